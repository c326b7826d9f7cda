"""One at a time, also when the file that is locked goes away with its folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from signals import locking
from signals.errors import ConfigError, LigandError
from signals.paths import Paths

NAME = "bus.lock"
ROUNDS = 150


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    """Those of a home with a long path."""
    found = Paths.resolve(tmp_path / ("x" * 120), {})
    assert not found.run.is_relative_to(tmp_path)
    yield found
    if found.run.is_symlink():
        found.run.unlink()
    shutil.rmtree(found.run, ignore_errors=True)


def home_of(paths: Paths) -> Path:
    assert paths.home is not None
    return paths.home


def test_a_lock_that_is_taken_away_is_held_by_one_at_a_time(paths: Paths) -> None:
    """Two buses on one journal would each write what the other does not know of."""
    inside: list[int] = []

    def take_turns(number: int) -> int:
        held = 0
        while held < ROUNDS:
            try:
                file = locking.hold(paths, NAME)
            except locking.HeldError:
                continue
            with file:
                held += 1
                inside.append(number)
                assert inside == [number]
                inside.remove(number)
                paths.leave_run(NAME)
        return held

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(take_turns, range(3))) == [ROUNDS] * 3
    assert not paths.run.exists()
    assert not (home_of(paths) / "run").exists()


def test_who_holds_a_lock_is_told(paths: Paths) -> None:
    """Else nobody knows which process to end."""
    with locking.hold(paths, NAME) as file:
        locking.write(file, "pid 7")
        with pytest.raises(locking.HeldError) as found:
            locking.hold(paths, NAME)
        assert found.value.holder == "pid 7"


def test_a_folder_that_others_still_use_stays(paths: Paths) -> None:
    """`ligand up` and its bus share it: the first to end must not take the other's address away."""
    paths.ensure()
    (paths.run / "up.lock").write_text("1\n")
    (paths.run / NAME).touch()
    paths.leave_run(NAME)
    assert [each.name for each in paths.run.iterdir()] == ["up.lock"]
    assert (home_of(paths) / "run" / "runtime_folder").exists()


def test_nothing_is_taken_from_a_folder_that_is_no_short_one(tmp_path: Path) -> None:
    """Elsewhere the lock's file stays for whoever waits at it, as it always has."""
    paths = Paths.resolve(tmp_path, {})
    with locking.hold(paths, NAME):
        paths.leave_run(NAME)
    assert (paths.run / NAME).exists()


def test_a_link_to_a_folder_of_ours_is_not_taken_for_it(paths: Paths, tmp_path: Path) -> None:
    """Somebody else could have put it there, and lead it to a bus of their own at any time."""
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / NAME).touch()
    paths.run.symlink_to(ours)
    for act in (paths.ensure, lambda: paths.leave_run(NAME), lambda: locking.hold(paths, NAME)):
        with pytest.raises(ConfigError, match="belongs to somebody else"):
            act()
    assert (ours / NAME).exists()


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A link to nowhere in its place must not hold up the start for ever."""
    paths = Paths.resolve(tmp_path, {})
    paths.ensure()
    (paths.run / NAME).symlink_to(tmp_path / "no" / "where")
    with pytest.raises(LigandError, match="goes away again and again"):
        locking.hold(paths, NAME)
