"""`ligand journal restore`, killed at every step: afterwards there is the old journal or the new one, never none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services.runtime import restoring
from signals.errors import SchemaError
from signals.journal import Journal
from tests.support.commands import environment, ligand
from tests.support.constellation import ROOT, Constellation, constellation
from tools.ligand.backup import check_integrity

DRIVER = Path(__file__).parents[2] / "support" / "restores.py"
ITEM = {"n": {"type": "integer"}, "pad": {"type": "string"}}
BEFORE, AFTER = ["kept"], ["kept", "since", "then"]
"""What the backup holds, and what the journal that it replaces does."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A backup, and homes in which its restore was killed before each of its steps; the last one was not."""
    folder = tmp_path_factory.mktemp("killed")
    home, backup, into = (folder / name for name in ("home", "backup", "into"))
    with constellation(home) as found:
        home.mkdir()
        found.contract("Q_ITEM_START", ITEM, example={"n": 1, "pad": ""})
        found.config("bus", {"disable": ["capability_integrator", "intent_router", "investigator"]})
        found.bus()
        emit(found, *BEFORE)
        assert ligand(home, "journal", "backup", str(backup)).code == 0
        emit(found, *AFTER[1:])
        with found.emitter() as emitter:
            refused = emitter.signal("Q_ITEM_START", {"nonsense": 1})
            with pytest.raises(SchemaError):
                emitter.emit(refused)
        found.running[0].kill()  # its write-ahead log stays, with what belongs to the journal
    into.mkdir()
    done = subprocess.run(
        [sys.executable, str(DRIVER), *map(str, (home, backup, into))],
        env=environment(None),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shutil.rmtree(home)
    return backup, [Path(line) for line in done.stdout.split()]


def emit(home: Constellation, *pads: str) -> None:
    with home.emitter() as emitter:
        for pad in pads:
            emitter.emit(emitter.signal("Q_ITEM_START", {"n": 1, "pad": pad}))


def pads(home: Path) -> list[str]:
    return [str(signal.facts["pad"]) for signal in Constellation(home).signals("Q_ITEM_START")]


def state_of(home: Path) -> Path:
    return Constellation(home).paths.journal.parent


def decided(home: Path) -> bool:
    return restoring.pending(state_of(home)) is not None


def again(home: Path, tmp_path: Path) -> Path:
    """A copy, for a test that changes it."""
    return Path(shutil.copytree(home, tmp_path / home.name))


def test_at_every_instant_there_is_a_whole_journal(made: tuple[Path, list[Path]]) -> None:
    """Old until the restore is decided, and then old or new: a power cut must not leave a person without any."""
    _, homes = made
    assert len(homes) > 12
    for home in homes:
        check_integrity(state_of(home) / "journal.db")
        if not decided(home) and home != homes[-1]:
            assert pads(home) in (AFTER, BEFORE)
    first = next(nth for nth, home in enumerate(homes) if decided(home))
    assert all(pads(home) == AFTER for home in homes[:first])
    assert sum(map(decided, homes)) >= 5
    assert pads(homes[-1]) == BEFORE


def test_what_was_decided_is_finished_and_nothing_of_before_is_lost(
    made: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    """From each instant the new journal and its dead letters come, and the old ones lie whole in the folder beside."""
    backup, homes = made
    for home in [again(one, tmp_path) for one in homes if decided(one)]:
        state = state_of(home)
        check_integrity(state / "journal.db")  # who looks meanwhile leaves an empty write-ahead log behind
        kept = restoring.finish(state)
        assert kept is not None
        assert pads(home) == BEFORE
        assert (state / "failed_signals.jsonl").read_bytes() == (backup / "failed_signals.jsonl").read_bytes()
        assert b"nonsense" in (kept / "failed_signals.jsonl").read_bytes()
        with Journal(kept / "journal.db") as journal:
            assert sum(b'"since"' in raw or b'"then"' in raw for _, raw in journal.walk()) == 2
        assert [path.name for path in state.iterdir() if path.name.startswith(".")] == []
        assert restoring.finish(state) is None


def test_the_bus_finishes_it_at_its_start_and_until_then_it_is_told(
    made: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    """After a power cut the machine starts by itself; who looks before that is told what to do."""
    half = [home for home in made[1] if decided(home)]
    home = again(half[len(half) // 2], tmp_path)
    told = ligand(home, "status")
    assert (told.code, "A restore of the journal was interrupted" in told.err) == (3, True)
    (found,) = [each for each in ligand(home, "doctor", "-o", "json").objects if each["check"] == "journal"]
    assert (found["state"], "the bus finishes it" in found["todo"]) == ("mend", True)
    with constellation(home) as running:
        bus = running.bus()
        assert "finished a restore that was interrupted" in bus.tail()
        assert pads(home) == BEFORE
    assert not decided(home)


def test_the_command_run_again_finishes_it_too(made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    """Who sees it die runs it once more; that must not make it worse."""
    backup, homes = made
    for nth, source in enumerate((homes[2], *filter(decided, homes))):
        home = again(source, tmp_path)
        done = ligand(home, "journal", "restore", str(backup), "--yes")
        assert done.code == 0, done.err
        assert ("A restore was interrupted here" in done.err) == bool(nth)
        assert pads(home) == BEFORE
        assert len(list(state_of(home).glob("before-restore-*"))) >= 1
