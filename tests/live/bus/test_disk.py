"""A disk that is full or odd. If this fails, a person is left with a traceback, or with a disk that fills up."""

import subprocess
from collections.abc import Callable

import pytest

from tests.live.bus.conftest import acknowledged
from tests.support.commands import started
from tests.support.constellation import Constellation, constellation
from tests.support.raw import Raw
from tests.support.required import lacking, root

TEXT = {"text": {"type": "string"}}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MiB."""
    root("mounting")
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        lacking("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(home: Constellation, gone: Callable[[], bool]) -> int:
    """Emit until the bus does not answer and is gone; how many were acknowledged."""
    taken = 0
    with home.emitter(timeout_s=2.0) as emitter:
        while True:
            note = emitter.signal("Q_NOTE_TAKEN", {"text": "x" * 20_000})
            while not acknowledged(emitter, note):
                if gone():
                    return taken
            taken += 1


def test_a_full_disk_ends_the_bus_in_words_and_loses_nothing_that_was_acknowledged(small_disk):
    """The person reads what is wrong and what to do; when there is room again, everything acknowledged is there."""
    with constellation(small_disk) as home:
        home.contract("Q_NOTE_TAKEN", TEXT, example={"text": "x"})
        bus = home.bus()
        taken = fill(home, lambda: bus.process.poll() is not None)
        assert bus.process.wait(60) == 1
        assert "Make room on the disk" in bus.tail()
        assert "Traceback" not in bus.tail()
        subprocess.run(["mount", "-o", "remount,size=32m", small_disk], check=True)
        home.bus()
        assert len(home.signals("Q_NOTE_TAKEN")) in (taken, taken + 1)  # the last one was not answered


def test_a_full_disk_that_is_freed_again_needs_no_person(small_disk):
    """The supervisor starts the bus again and again; once there is room, a waiting emitter gets its answer."""
    home = Constellation(small_disk)
    home.contract("Q_NOTE_TAKEN", TEXT, example={"text": "x"})
    home.config("bus", {"disable": ["capability_integrator", "intent_router", "investigator"]})
    with started("ligand", small_disk, "up", "--only", "bus") as process:
        assert process.stdout is not None
        assert any(b"ready: 1 daemon" in line for line in process.stdout)
        taken = fill(home, lambda: True)
        subprocess.run(["mount", "-o", "remount,size=32m", small_disk], check=True)
        with home.emitter(timeout_s=60.0) as emitter:
            emitter.emit(emitter.signal("Q_NOTE_TAKEN", {"text": "at last"}))
        process.terminate()
        assert process.wait(60) == 0
    found = [signal.facts["text"] for signal in home.signals("Q_NOTE_TAKEN")]
    assert found[-1] == "at last"
    assert len(found) - 1 in (taken, taken + 1)  # the one that was not answered may be there


def test_a_journal_that_cannot_be_opened_is_told_in_words(tmp_path):
    """A folder in the journal's place is no reason for a traceback."""
    with constellation(tmp_path) as home:
        home.paths.journal.mkdir(parents=True)
        bus = home.start("bus", "-m", "services.bus")
        assert bus.process.wait(60) == 78
        assert "cannot be opened for writing" in bus.tail()
        assert "Traceback" not in bus.tail()


def test_the_dead_letter_file_keeps_to_its_budget(tmp_path):
    """Refused emits cannot fill the disk between two cleanings."""
    with constellation(tmp_path) as home:
        home.config("bus", {"retention": {"dead_letter_bytes": 65_536}})
        home.contract("Q_NOTE_TAKEN", TEXT, example={"text": "x"})
        home.bus()
        with Raw(home.paths) as person:
            for _ in range(60):
                person.refusal_of(b"emit", {}, b'{"signal":"' + b"x" * 10_000)
            person.query("status")
            home.wait_for("Q_DEAD_LETTER_ADDED", 60)
            person.query("status")
        assert home.paths.dead_letters.stat().st_size < 2 * 65_536
