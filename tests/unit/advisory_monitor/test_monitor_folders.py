"""Promotions, modules and watched files, in real folders."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from services.advisory_monitor.changes import changes
from services.advisory_monitor.checks import files, modules
from services.advisory_monitor.hearing import short
from services.advisory_monitor.watching import Stamp, Tree, Watch
from tests.unit.advisory_monitor.looking import Looking


class TestPromotions:
    """`ID.json` in a folder."""

    def test_told_when_all_are_there_and_again_only_when_more_come(self, tmp_path: Path) -> None:
        """Three promotions in a second would be three cycles, or the same three told at every look."""
        folder = tmp_path / "promotions"
        looking = Looking("promotions", tmp_path)
        assert looking.says() == []
        for name in ("a", "b", "c"):
            (folder / f"{name}.json").write_text("{}")
            assert looking.says(0.5) == []
        (folder / ".d.json").write_text("half written")
        (told,) = looking.says(3)
        assert (told["promotion_count"], sorted(told["promotion_ids"])) == (3, ["a", "b", "c"])
        looking.restart()
        assert [looking.says(3), looking.says(3), looking.says(3600)] == [[], [], []]
        (folder / "d.json").write_text("{}")
        assert looking.says(1) == []
        assert looking.says(3)[0]["unacknowledged_count"] == 4

    def test_how_long_the_oldest_has_waited_is_told_with_the_last_cycle(self, tmp_path: Path) -> None:
        """A rule that waits for a promotion to be a day old would never fire, or at once."""
        looking = Looking("promotions", tmp_path)
        looking.look()
        now = 1_700_000_000 + looking.now
        for name, hours in (("new", 1), ("old", 30), ("done", 90)):
            file = tmp_path / "promotions" / f"{name}.json"
            file.write_text("{}")
            os.utime(file, (now - 3600 * hours,) * 2)
        looking.heard |= {"acknowledged|done": {"at": 1, "signal": "s"}, "last_dream": "2026-01-01T00:00:00Z"}
        looking.look()
        (told,) = looking.says(3)
        assert (told["oldest_promotion_age_hours"], told["last_dream_time"]) == (30.001, "2026-01-01T00:00:00Z")
        assert (told["promotion_count"], told["promotion_ids"]) == (3, ["old", "new"])

    def test_what_waits_for_long_is_told_again_and_what_is_acknowledged_never(self, tmp_path: Path) -> None:
        """Promotions would be forgotten, or a settled one start a cycle each day."""
        looking = Looking("promotions", tmp_path, repeat_s=3600)
        looking.look()
        (tmp_path / "promotions" / "a.json").write_text("{}")
        looking.look(1)
        assert len(looking.says(3)) == 1
        assert len(looking.says(3601)) == 1
        looking.heard["acknowledged|a"] = {"at": 1, "signal": "s"}
        looking.look(1)
        seen = looking.look(3)
        assert (seen.says[0].facts["unacknowledged_count"], seen.says[0].because) == (0, ("s",))
        assert looking.says(100_000) == []

    def test_a_folder_that_is_not_there_is_said(self, tmp_path: Path) -> None:
        """A person with a slip in the configuration would wait for ever, in silence."""
        folder = str(tmp_path / "my promotionz $(reboot)")
        (unseen,) = Looking("promotions", tmp_path, folders=[folder]).look().unseen
        assert folder in unseen.message
        line = unseen.hint.rpartition(" granted: `")[2].removesuffix("`.")
        assert shlex.split(line) == ["ligand", "grant", "advisory_monitor", folder, "--read"]

    @pytest.mark.parametrize("name", ["x" * 200, "caf\udce9", "ok"])
    def test_any_file_name_makes_an_id(self, tmp_path: Path, name: str) -> None:
        """A file with an odd name would keep all others from being told."""
        looking = Looking("promotions", tmp_path)
        looking.look()
        (tmp_path / "promotions" / f"{name}.json").write_text("{}")
        looking.look(1)
        assert len(looking.says(3)[0]["promotion_ids"]) == 1


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder with folders in it, 1,200 deep: as deep as no recursion goes."""
    top, steps = tmp_path / "root" / "deep", "/".join("d" * 100)
    top.mkdir(parents=True)
    with contextlib.chdir(top):
        for _ in range(12):
            os.makedirs(steps)
            os.chdir(steps)
    yield top
    subprocess.run(["rm", "-rf", top], check=True)  # nor does shutil's way of removing


class TestModules:
    """Packages and modules right beneath a root."""

    def module(self, root: Path, name: str, age_s: int = 0) -> Path:
        folder = root / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        (folder / "work.py").write_text("")
        os.utime(folder, (1_600_000_000 - age_s,) * 2)
        return folder

    def test_a_module_is_told_once_it_is_whole_and_only_once(self, tmp_path: Path) -> None:
        """A module half copied would be investigated, or the same one day after day."""
        looking = Looking("modules", tmp_path, roots=[str(tmp_path / "root")])
        folder = self.module(tmp_path / "root", "camera")
        (tmp_path / "root" / "notes.txt").write_text("")
        (tmp_path / "root" / "garden.py").write_text("")
        assert looking.says() == []
        (folder / "more.py").write_text("")
        assert [one["module_name"] for one in looking.says(10)] == ["garden"]
        (told,) = looking.says(10)
        assert told == {
            "module_name": "camera",
            "module_path": str(folder),
            "py_files_count": 3,
            "has_init": True,
            "root": str(tmp_path / "root"),
        }
        looking.restart()
        assert [looking.says(20), looking.says(20)] == [[], []]

    def test_a_module_that_goes_while_it_is_looked_at_hides_no_other(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each folder that a person deletes would be an alert that the root cannot be seen."""
        looking = Looking("modules", tmp_path, roots=[str(tmp_path / "root")])
        going = self.module(tmp_path / "root", "going")
        self.module(tmp_path / "root", "stays")
        real = os.listdir

        def listing(folder: str) -> list[str]:
            if folder == str(going) and going.exists():
                shutil.rmtree(going)
            return real(folder)

        monkeypatch.setattr(modules.os, "listdir", listing)  # type: ignore[attr-defined]
        assert looking.look().unseen == ()
        assert [one["module_name"] for one in looking.says(20)] == ["stays"]

    def test_a_module_however_deep_hides_no_other(self, tmp_path: Path, deep: Path) -> None:
        """One folder that goes deeper than a program may recurse would end the look at all modules."""
        (deep / "work.py").touch()
        self.module(tmp_path / "root", "other")
        looking = Looking("modules", tmp_path, roots=[str(tmp_path / "root")])
        looking.look()
        assert {one["module_name"]: one["py_files_count"] for one in looking.says(20)} == {"deep": 1, "other": 2}

    def test_what_the_registry_knows_is_not_told(self, tmp_path: Path) -> None:
        """Every module of a person would be investigated anew after an upgrade."""
        looking = Looking("modules", tmp_path, roots=[str(tmp_path / "root")])
        known = self.module(tmp_path / "root", "known")
        self.module(tmp_path / "root", "new")
        looking.heard[short(str(known))] = {"at": 1}
        looking.look()
        assert [one["module_name"] for one in looking.says(20)] == ["new"]

    def test_a_root_full_of_modules_is_told_bit_by_bit_the_newest_first(self, tmp_path: Path) -> None:
        """Pointing at a folder with 500 packages would be 500 investigations in a minute."""
        looking = Looking("modules", tmp_path, roots=[str(tmp_path / "root")], per_day=3)
        for age in range(7):
            self.module(tmp_path / "root", f"m{age}", age)
        looking.look()
        seen = looking.look(20)
        assert [said.facts["module_name"] for said in seen.says] == ["m0", "m1", "m2"]
        assert seen.note == "4 modules wait to be told of, 3 a day"
        looking.restart()
        looking.look(3600)
        assert looking.says(20) == []
        assert len(looking.says(86_400)) == 3
        shutil.rmtree(tmp_path / "root" / "m0")
        looking.look(20)
        assert short(str(tmp_path / "root" / "m0")) not in looking.kept


class TestFiles:
    """What changes beneath watched paths."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        (tmp_path / "place" / "deep").mkdir(parents=True)
        (tmp_path / "place" / "old.txt").write_text("old")
        return tmp_path / "place"

    @pytest.fixture
    def looking(self, tmp_path: Path, place: Path) -> Iterator[Looking]:
        found = Looking("files", tmp_path / "ligand", watch=[{"path": str(place)}], again_s=0)
        assert found.says() == []
        yield found
        found.check.close()

    def told(self, looking: Looking) -> list[tuple[str, str]]:
        """What is told once all is at rest."""
        looking.look()
        return [(one["change"], one["path"].rpartition("/place")[2]) for one in looking.says(3)]

    def test_changes_are_told_net_once_at_rest(self, looking: Looking, place: Path) -> None:
        """An editor's save is one change, not six; and what came and went is none."""
        for _ in range(5):
            (place / "old.txt").write_text("new")
            (place / "new.txt").write_text("x")
        (place / "gone.txt").write_text("x")
        (place / "gone.txt").unlink()
        (place / "old.txt~").write_text("backup")
        assert looking.says(1) == []
        assert self.told(looking) == [("created", "/new.txt"), ("modified", "/old.txt")]
        (place / "new.txt").rename(place / "deep" / "moved.txt")
        (place / "old.txt").unlink()
        assert self.told(looking) == [("moved", "/deep/moved.txt"), ("deleted", "/old.txt")]
        assert self.told(looking) == []

    def test_a_folder_is_one_change_and_watched_from_then_on(self, looking: Looking, place: Path) -> None:
        """A copied project would be a thousand signals, and later changes in it none."""
        shutil.copytree(place, place / "copy")
        assert self.told(looking) == [("created", "/copy")]
        (place / "copy" / "deep" / "a.txt").write_text("x")
        assert self.told(looking) == [("created", "/copy/deep/a.txt")]
        (place / "copy").rename(place / "kept")
        assert self.told(looking) == [("moved", "/kept")]
        (place / "kept" / "deep" / "a.txt").write_text("more")
        assert self.told(looking) == [("modified", "/kept/deep/a.txt")]
        shutil.rmtree(place / "kept")
        assert self.told(looking) == [("deleted", "/kept")]

    def test_what_ligands_daemons_write_is_not_told(self, looking: Looking, place: Path) -> None:
        """A registry in a watched folder would set off rules each time an investigation ends."""
        registry, init = place / "capabilities.yaml", place / "deep" / "__init__.py"
        content = b"capabilities: {}\n"
        for name in (registry, place / ".capabilities.yaml.new", place / "capabilities.yaml.bak.3"):
            name.write_bytes(content)
        init.write_text("# made\n")
        looking.heard[f"written|{short(str(registry))}"] = {"at": 1, "sha256": sha256(content).hexdigest()}
        looking.heard[f"written|{short(str(init))}"] = {"at": 1, "sha256": None}
        looking.look()
        assert looking.says(11) == []
        registry.write_text("a person's own\n")
        looking.look()
        assert [one["change"] for one in looking.says(11)] == ["modified"]

    def test_ligands_own_folders_are_never_watched(self, tmp_path: Path) -> None:
        """Watching a home with Ligand in it would be a circle."""
        state = tmp_path / "state" / "bus"
        state.mkdir(parents=True)
        looking = Looking("files", tmp_path, watch=[{"path": str(tmp_path)}])
        looking.look()
        (state / "journal.db").write_text("x")
        (tmp_path / "mine.txt").write_text("x")
        looking.look()
        assert [one["path"] for one in looking.says(3)] == [str(tmp_path / "mine.txt")]
        looking.check.close()

    def test_without_a_watch_left_changes_are_found_by_comparing(
        self, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a machine whose watches are used up a person would hear of nothing, and not know why."""

        def none_left(watch: Watch, folder: str) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(Watch, "add", none_left)
            looking = Looking("files", tmp_path / "ligand", watch=[{"path": str(place)}])
            (reading,) = looking.look().readings
            assert (reading.severity, reading.value) == ("warning", "comparing")
            assert "max_user_watches" in reading.message
            (place / "new.txt").write_text("x")
            looking.look(31)
            assert [one["path"] for one in looking.says(3)] == [str(place / "new.txt")]
        looking.look(31)
        (reading,) = looking.look(1).readings
        assert reading.severity is None
        looking.check.close()

    def test_lost_reports_are_told_and_made_good(
        self, looking: Looking, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a burst the kernel drops reports; what changed then would never be told."""
        (place / "new.txt").write_text("x")
        with monkeypatch.context() as patched:
            patched.setattr(Watch, "read", lambda watch: (set(), True))
            (reading,) = looking.look().readings
        assert (reading.severity, reading.value) == ("warning", "overflow")
        looking.look()
        assert [one["path"] for one in looking.says(3)] == [str(place / "new.txt")]
        assert looking.look(60).readings[0].severity is None

    def test_what_is_too_much_is_said_and_seldom_walked_through(
        self, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A person who watches a whole home would have a core at work for nothing, or the monitor out of memory."""
        walks: list[str] = []
        walk = Tree.walk

        def counted(tree: Tree, top: str | None = None) -> dict[str, Stamp]:
            walks.append(tree.path)
            return walk(tree, top)

        monkeypatch.setattr(Tree, "walk", counted)
        monkeypatch.setattr(files, "MAX_IN_ALL", 5)
        (tmp_path / "other").mkdir()
        looking = Looking(
            "files", tmp_path / "ligand", watch=[{"path": str(one)} for one in (place, tmp_path / "other")], again_s=0
        )
        (place / "more").mkdir()
        (place / "more" / "a").touch()
        (place / "more" / "b").touch()
        (unseen,) = looking.look().unseen
        assert (unseen.subject, "more than 5 files" in unseen.message) == (str(place), True)
        assert unseen.hint.startswith("Watch less")
        (tmp_path / "other" / "new").touch()
        looking.look(1)
        assert [one["path"] for one in looking.says(3)] == [str(tmp_path / "other" / "new")]
        assert walks.count(str(place)) == 1
        shutil.rmtree(place / "more")
        assert looking.look(300).unseen == ()
        (place / "old.txt").unlink()
        assert self.told(looking) == [("deleted", "/old.txt")]
        looking.check.close()

    def test_a_folder_that_goes_at_once_or_is_closed_is_no_fault(
        self, looking: Looking, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each folder that a build makes for a moment would leave an alert that stands until a restart."""
        walk = Tree.walk

        def gone(tree: Tree, top: str | None = None) -> dict[str, Stamp]:
            if top == str(place / "moment"):
                os.rmdir(top)
            return walk(tree, top)

        (place / "moment").mkdir()
        monkeypatch.setattr(Tree, "walk", gone)
        assert looking.look().unseen == ()
        assert self.told(looking) == []

    def test_a_tree_however_deep_is_watched(self, tmp_path: Path, deep: Path) -> None:
        """One folder that goes deeper than a program may recurse would blind the watch on all files."""
        looking = Looking("files", tmp_path, watch=[{"path": str(deep.parent)}])
        looking.look()
        (deep / "new").touch()
        looking.look(0.1)
        assert [one["path"] for one in looking.says(10)] == [str(deep / "new")]
        looking.check.close()

    def test_a_single_file_and_one_that_comes_later(self, tmp_path: Path) -> None:
        """A file that an editor replaces, or that is not there yet, would be lost from sight."""
        file = tmp_path / "settings.toml"
        looking = Looking("files", tmp_path / "ligand", watch=[{"path": str(file)}], again_s=0)
        (unseen,) = looking.look().unseen
        assert "settings.toml cannot be watched" in unseen.message
        file.write_text("a")
        looking.look()
        (told,) = looking.says(3)
        assert (told["change"], told["size_bytes"]) == ("created", 1)
        assert looking.look().unseen == ()
        (tmp_path / "fresh").write_text("bc")
        (tmp_path / "fresh").rename(file)
        looking.look()
        assert [one["change"] for one in looking.says(3)] == ["modified"]
        looking.check.close()

    def test_a_file_that_is_written_all_day_is_told_now_and_then(self, tmp_path: Path, place: Path) -> None:
        """A log in a watched folder would be a signal every two seconds."""
        looking = Looking("files", tmp_path / "ligand", watch=[{"path": str(place)}], again_s=60)
        looking.look()
        told = 0
        for number in range(300):
            (place / "old.txt").write_text("x" * number)
            told += len(looking.says(1))
        assert 3 <= told <= 6
        looking.check.close()


def test_of_a_moved_folder_nothing_beneath_is_told() -> None:
    """Renaming a folder with a thousand files would be a thousand moves."""

    def stamp(number: int, folder: bool = False) -> Stamp:
        return Stamp(number, 0, 0, folder)

    states: dict[str, Any] = {
        "/a": (stamp(1, True), None),
        "/a/x": (stamp(2), None),
        "/b": (None, stamp(1, True)),
        "/b/x": (None, stamp(2)),
        "/c": (stamp(3), stamp(4)),
    }
    found = [(change.kind, change.path, change.previous) for change in changes(states)]
    assert found == [("moved", "/b", "/a"), ("modified", "/c", None)]
