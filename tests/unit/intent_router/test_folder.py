"""Claiming, keeping and pruning on a real file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.intent_router.folder import Claim, Folder, claimed_at_ms, is_temporary, rename_new
from services.intent_router.mounts import file_system, refuse_network
from signals.errors import ConfigError
from signals.ids import uuid7


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "intents", uuid7)
    made.ensure()
    return made


def claimed(folder: Folder, name: str) -> Claim:
    (folder.root / name).write_text("x")
    claim = folder.claim(name)
    assert claim is not None
    return claim


@pytest.mark.parametrize(
    "name",
    [
        ".a.swp",
        "a.json~",
        "a.tmp",
        "a.json.part",
        ".#a",
        "#a#",
        "4913",
        "5036",
        "a.crdownload",
        ".goutputstream-X",
    ],
)
def test_editors_and_downloaders_are_left_to_finish(name: str) -> None:
    """A half-written file would be refused, and the editor would find its own file gone."""
    assert is_temporary(name)


@pytest.mark.parametrize("name", ["a.json", "4914", "2024", "a.tmp.json", "question", "a.template"])
def test_real_names_are_not_taken_for_temporaries(name: str) -> None:
    """A file that is ignored is a question nobody answers."""
    assert not is_temporary(name)


@pytest.mark.parametrize("name", ["x" * 250 + ".json", "ü" * 124 + ".json", "x" * 255, "y." + "z" * 250])
def test_the_longest_names_can_be_claimed_answered_and_refused(folder: Folder, name: str) -> None:
    """A name the file system just holds would otherwise never leave the drop folder."""
    claim = claimed(folder, name)
    assert claim.name.endswith(".json") == name.endswith(".json")
    folder.explain(claim, "why")
    (folder.done / f"{claim.name}.answer.json").write_text("{}")
    folder.finish(claim)


def test_a_name_that_is_no_text_is_claimed_and_shown(folder: Folder) -> None:
    """A file named in another encoding would stop the router."""
    name = os.fsdecode(b"caf\xe9\n.json")
    assert claimed(folder, name).file == "caf\\xe9\n.json"


@pytest.mark.parametrize("ending", [b".json", b".txt", b""])
def test_a_long_name_that_is_no_text_keeps_something_readable(folder: Folder, ending: bytes) -> None:
    """The file would lie in done/ as `.json`, hidden and without a name."""
    claim = claimed(folder, os.fsdecode(b"\xe9" * 200 + ending))
    assert claim.file.startswith("\\xe9\\xe9")
    assert claim.file.endswith(ending.decode())
    folder.explain(claim, "why")
    folder.finish(claim)


def test_two_files_of_one_name_are_both_kept(folder: Folder) -> None:
    """Yesterday's file would be overwritten by today's."""
    for _ in range(3):
        folder.finish(claimed(folder, "a.json"))
    assert len(list(folder.done.iterdir())) == 3


def test_nothing_that_stands_there_is_overwritten(folder: Folder) -> None:
    """A person's copy in done/ would vanish."""
    claim = claimed(folder, "a.json")
    (folder.done / claim.name).write_text("a person's copy")
    folder.finish(claim)
    (kept,) = (path for path in folder.done.iterdir() if path.name != claim.name)
    assert (folder.done / claim.name).read_text() == "a person's copy"
    assert kept.read_text() == "x"
    with pytest.raises(FileExistsError):
        rename_new(str(kept), str(folder.done / claim.name))


def test_a_refused_file_moved_back_is_a_new_intent(folder: Folder) -> None:
    """The old id would make the bus take the mended file for the broken one."""
    first = claimed(folder, "a.json")
    folder.reject(first)
    (folder.rejected / first.name).rename(folder.root / first.name)
    second = folder.claim(first.name)
    assert second is not None
    assert second.claim_id != first.claim_id
    assert second.file == "a.json"


def test_what_is_taken_by_somebody_else_is_no_claim(folder: Folder) -> None:
    """Two routers at once would both emit it."""
    assert folder.claim("gone.json") is None


def test_a_lost_working_folder_is_made_again(folder: Folder) -> None:
    """A person who tidies up would stop the router."""
    folder.working.rmdir()
    assert claimed(folder, "a.json")


def test_pruning_goes_by_the_time_of_the_claim_and_spares_what_is_in_hand(folder: Folder) -> None:
    """An old file dropped today would lose its answer at once; a question in hand would be lost."""
    old, new, at_work = (claimed(folder, name) for name in ("old", "new", "work"))
    folder.finish(old)
    folder.explain(old, "why")
    os.utime(folder.working / new.name, (0, 0))
    folder.finish(new)
    (folder.done / "a person's note").write_text("x")
    cut = claimed_at_ms(new.name)
    assert cut is not None
    aged = f"{'0' * 8}-0000-7{old.claim_id[15:]}.old"
    (folder.done / old.name).rename(folder.done / aged)
    (folder.rejected / f"{old.name}.error").rename(folder.rejected / f"{aged}.error")
    assert folder.prune(cut) == 2
    assert {path.name for path in folder.done.iterdir()} == {new.name, "a person's note"}
    assert (folder.working / at_work.name).exists()


def test_a_link_in_the_place_of_a_subfolder_is_refused(tmp_path: Path) -> None:
    """Files would be moved out of the folder."""
    (tmp_path / "intents").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "intents" / "done").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="not a link"):
        Folder(tmp_path / "intents", uuid7).ensure()


MOUNTS = """\
22 1 254:1 / / rw,relatime - ext4 /dev/root rw
40 22 0:35 / /home/ada rw shared:5 master:1 - nfs4 server:/ada rw
41 40 0:36 / /home/ada/local\\040disk rw - tmpfs tmpfs rw
42 22 0:37 / /mnt/s rw - fuse.sshfs far: rw
"""


@pytest.mark.parametrize("folder", ["/home/ada/ligand/intents", "/mnt/s/x"])
def test_a_network_folder_is_refused_in_clear_words(folder: str) -> None:
    """Files dropped from another machine would never be seen."""
    with pytest.raises(ConfigError, match="network file system"):
        refuse_network(Path(folder), MOUNTS)


@pytest.mark.parametrize(("folder", "kind"), [("/home/adam", "ext4"), ("/home/ada/local disk/x", "tmpfs")])
def test_a_local_folder_beside_or_below_a_network_mount_is_taken(folder: str, kind: str) -> None:
    """A person with a network home would have no place left."""
    assert file_system(Path(folder), MOUNTS) == kind
    refuse_network(Path(folder), MOUNTS)


def test_this_machines_own_folder_is_taken(tmp_path: Path) -> None:
    """A format of the kernel's table that is misread would refuse every folder."""
    refuse_network(tmp_path)
