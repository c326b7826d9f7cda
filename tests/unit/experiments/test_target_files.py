"""Opening and replacing the one file that a person named: no link followed, whole or not at all, nobody's text lost."""

from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.experiments import files
from services.experiments.exchange import exchange
from services.experiments.files import ChangedError, FileError, Place, opened
from tests.support.constellation import ROOT
from tests.support.required import lacking, program, root


def replace(path: Path, before: bytes, after: bytes) -> None:
    with opened(Place.of(str(path), path.parent)) as file:
        file.replace(before, after)


def test_a_file_keeps_its_owner_mode_and_attributes(tmp_path) -> None:
    """After a deployment the same people and programs can read the file as before."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"old")
    path.chmod(0o640)
    os.setxattr(path, "user.note", b"mine")
    replace(path, b"old", b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.getxattr(path, "user.note") == b"mine"
    assert os.listdir(tmp_path) == ["x.yaml"]


def access_list(*entries: tuple[int, int, int]) -> bytes:
    """An access control list as the kernel has it (acl(5), linux/posix_acl_xattr.h): tag, permissions, id."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_the_access_list_of_a_file_is_kept_and_that_of_its_folder_lets_nobody_in(tmp_path) -> None:
    """A folder's default list is for new files; after a deployment nobody can read the file who could not before."""
    nobody, anyone = 65534, 0xFFFFFFFF
    folder, secret, shared = tmp_path / "folder", tmp_path / "folder" / "secret", tmp_path / "folder" / "shared"
    folder.mkdir()
    for path in (secret, shared):
        path.write_bytes(b"old")
        path.chmod(0o640)
    inherited = access_list((1, 7, anyone), (2, 7, nobody), (4, 7, anyone), (16, 7, anyone), (32, 0, anyone))
    given = access_list((1, 6, anyone), (2, 4, nobody), (4, 4, anyone), (16, 4, anyone), (32, 0, anyone))
    try:
        os.setxattr(folder, "system.posix_acl_default", inherited)
        os.setxattr(shared, "system.posix_acl_access", given)
    except OSError as error:
        pytest.skip(f"{tmp_path} takes no access lists: {error.strerror}")
    for path in (secret, shared):
        replace(path, b"old", b"new")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert "system.posix_acl_access" not in os.listxattr(secret)
    assert os.getxattr(shared, "system.posix_acl_access") == given


@pytest.mark.parametrize("how", ["moved", "link"])
def test_a_folder_that_was_exchanged_is_noticed(tmp_path, how) -> None:
    """Verified must be what stands under the name that the person wrote, not what once stood there."""
    folder, away = tmp_path / "folder", tmp_path / "away"
    folder.mkdir()
    (folder / "x").write_text("1")
    with opened(Place.of("folder/x", tmp_path)) as file:
        file.require_in_place()
        folder.rename(away)
        if how == "link":
            folder.symlink_to("away")
        else:
            folder.mkdir()
            (folder / "x").write_text("1")
        with pytest.raises(FileError, match="another file by now" if how == "moved" else "is a link"):
            file.require_in_place()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_stays_theirs(tmp_path) -> None:
    """A person whose file was tuned must still be able to edit it."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    replace(path, b"old", b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_whose_owner_could_not_be_kept_says_the_command(tmp_path, monkeypatch) -> None:
    """Whoever reads the refusal can mend it with one line, and nothing was changed."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)

    def no(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", no)
    with pytest.raises(FileError, match=f"chown root: {path}"):
        replace(path, b"old", b"new")
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["x.yaml"])


def test_what_somebody_wrote_meanwhile_is_kept(tmp_path) -> None:
    """An edit between looking and writing is not lost."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"theirs")
    with pytest.raises(ChangedError):
        replace(path, b"old", b"new")
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["x.yaml"]


@pytest.mark.parametrize("theirs", ["text", "link"])
def test_what_somebody_wrote_in_the_last_instant_goes_back(tmp_path, monkeypatch, theirs) -> None:
    """Even an edit after the last comparison and before the exchange is not lost."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"old")
    real = exchange

    def late(*names):
        if theirs == "link":
            (tmp_path / "other").write_text("theirs")
            (tmp_path / "link").symlink_to("other")
            os.replace(tmp_path / "link", path)
        else:
            path.write_bytes(b"theirs")
        monkeypatch.setattr(files, "exchange", real)
        return real(*names)

    monkeypatch.setattr(files, "exchange", late)
    with pytest.raises(ChangedError):
        replace(path, b"old", b"new")
    assert path.read_text() == "theirs"
    assert path.is_symlink() == (theirs == "link")
    assert not [name for name in os.listdir(tmp_path) if "ligand" in name]


def test_without_an_exchange_a_rename_does(tmp_path, monkeypatch) -> None:
    """A file system that cannot exchange two names still gets whole files."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"old")
    monkeypatch.setattr(files, "exchange", lambda *_: False)
    replace(path, b"old", b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x.yaml"]


def failing(number: int) -> Any:
    def act(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return act


@pytest.mark.parametrize(("module", "act", "number"), [(os, "fsync", errno.ENOSPC), (files, "exchange", errno.EBUSY)])
def test_what_could_not_be_replaced_has_nothing_left_beside_it(tmp_path, monkeypatch, module, act, number) -> None:
    """A half-written file in a person's folder, such as a `conf.d` that is read whole, is a fault of its own."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"old")
    monkeypatch.setattr(module, act, failing(number))
    with pytest.raises(FileError, match=os.strerror(number)):
        replace(path, b"old", b"new")
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["x.yaml"])


def test_a_file_system_without_attributes_has_none_to_keep(tmp_path, monkeypatch) -> None:
    """A file on a share that knows no attributes can be tuned like any other."""
    (tmp_path / "x.yaml").write_bytes(b"old")
    monkeypatch.setattr(os, "listxattr", failing(errno.ENOTSUP))
    replace(tmp_path / "x.yaml", b"old", b"new")
    assert (tmp_path / "x.yaml").read_bytes() == b"new"


def with_mount(folder: Path, mount: str, act: str, *names: str) -> str:
    """What is printed where that was mounted, for this alone: how `act` on each file was refused, and what is there."""
    root("mounting")
    text = f"""
import os, sys
from pathlib import Path
from services.experiments.files import FileError, Place, opened
for name in sys.argv[1:]:
    with opened(Place.of(name, Path.cwd())) as file:
        try:
            {act}
        except FileError as error:
            print(error.message)
        print(sorted(os.listdir(file.path.parent)), file.read())
"""
    script = f'{{ {mount}; }} >&2 || exit 9; exec "$0" -c "$@"'
    command = [program("unshare"), "--mount", "sh", "-c", script, sys.executable, text, *names]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode == 9:
        lacking(f"nothing can be mounted here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_that_is_mounted_by_itself_is_refused_before_anything_is_measured(tmp_path) -> None:
    """As containers have it; nothing can take its place, which would show only after an hour of measuring."""
    for name in ("real", "mounted", "plain"):
        (tmp_path / name).write_text("1")
    said = with_mount(tmp_path, "mount --bind real mounted", "file.require_replaceable()", "mounted", "plain")
    assert said.startswith(f"{tmp_path}/mounted is mounted there by itself")
    assert said.splitlines()[1:] == ["['mounted', 'plain', 'real'] b'1'"] * 2


def test_on_a_full_disk_the_file_stays_as_it_is_and_nothing_lies_beside_it(tmp_path) -> None:
    """Half a file in the place of a person's settings would keep their service from starting."""
    (tmp_path / "full").mkdir()
    fill = "mount -t tmpfs -o size=16k none full && echo old > full/x && ! head -c 99999 /dev/zero > full/fill"
    said = with_mount(tmp_path, fill, "file.replace(b'old\\n', b'new' * 2000)", "full/x")
    assert "full/x cannot be replaced: No space left on device" in said
    assert said.splitlines()[1] == "['fill', 'x'] b'old\\n'"


@pytest.mark.parametrize("swapped", [False, True])
def test_what_a_killed_replacement_left_is_cleaned_up(tmp_path, swapped) -> None:
    """After a kill the folder has no stray file, and a person's edit that was caught in it gets its place back."""
    path, beside = tmp_path / "x.yaml", tmp_path / ".x.yaml.ligand-new"
    path.write_bytes(b"new" if swapped else b"old")
    beside.write_bytes(b"theirs" if swapped else b"ne")
    with opened(Place.of("x.yaml", tmp_path)) as file:
        file.settle(files.digest(b"old"), files.digest(b"new"))
    assert path.read_bytes() == (b"theirs" if swapped else b"old")
    assert os.listdir(tmp_path) == ["x.yaml"]


def test_what_cannot_be_cleared_away_is_told(tmp_path) -> None:
    """Taken for a full disk of the deployer's own, it would keep every other deployment waiting for ever."""
    (tmp_path / "x.yaml").write_bytes(b"new")
    (tmp_path / ".x.yaml.ligand-new").mkdir()
    with opened(Place.of("x.yaml", tmp_path)) as file, pytest.raises(FileError, match="Take it away"):
        file.settle(files.digest(b"other"), files.digest(b"old"))
    assert (tmp_path / "x.yaml").read_bytes() == b"new"


def refused(written: str, config: Path) -> str:
    with pytest.raises(FileError) as caught, opened(Place.of(written, config)) as file:
        file.read()
    return caught.value.message


def test_links_and_ways_upwards_are_refused(tmp_path) -> None:
    """Nobody can make the deployer write elsewhere by a link or by `..`."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").write_text("secret")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "x").symlink_to("real/x")
    os.link(tmp_path / "real" / "x", tmp_path / "hard")
    os.mkfifo(tmp_path / "pipe")
    assert "is a link" in refused("folder/x", tmp_path)
    assert "is a link" in refused("x", tmp_path)
    assert "is a link" in refused(f"{tmp_path}/x", tmp_path)
    assert "straight way" in refused("real/../real/x", tmp_path)
    assert "straight way" in refused("real/", tmp_path)
    assert "straight way" in refused("./.", tmp_path)
    assert "2 names" in refused("hard", tmp_path)
    assert "regular" in refused("pipe", tmp_path)
    assert "regular" in refused("real", tmp_path)
    assert "No such file" in refused("gone", tmp_path)


def test_a_configuration_folder_may_be_reached_by_a_link(tmp_path) -> None:
    """A person's folder may be a link, such as a home on another disk."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").write_text("1")
    (tmp_path / "config").symlink_to("real")
    with opened(Place.of("./x", tmp_path / "config")) as file:
        assert file.read() == b"1"


def test_two_who_change_a_folder_do_so_one_after_the_other(tmp_path) -> None:
    """Two Ligands on one machine do not deploy into one file at once."""
    (tmp_path / "x").write_text("1")
    place = Place.of("x", tmp_path)
    with opened(place) as one, opened(place) as other:
        with one.locked(), pytest.raises(FileError, match="Another Ligand"), other.locked():
            pass
        with other.locked():
            pass


def test_a_folder_that_cannot_be_written_is_noticed_before_anything_is_measured(tmp_path, monkeypatch) -> None:
    """Nobody waits an hour for a measurement to hear that the file cannot be written."""
    (tmp_path / "x").write_text("1")

    def no(*_, **__):
        raise OSError(30, "Read-only file system")

    with opened(Place.of("x", tmp_path)) as file:
        file.require_replaceable()
        monkeypatch.setattr(os, "fsync", no)
        with pytest.raises(FileError, match="Let Ligand write in"):
            file.require_replaceable()
