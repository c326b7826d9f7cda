"""Whether the time of day can be believed. If this fails, age decides too early or never."""

from time import CLOCK_BOOTTIME

import pytest

from services.bus import clock


class Machine:
    """The three clocks of a machine, which cannot be put to sleep here."""

    CLOCK_BOOTTIME = CLOCK_BOOTTIME

    def __init__(self) -> None:
        self.awake = self.slept = self.set_by = 0.0

    def monotonic(self) -> float:
        return self.awake

    def clock_gettime(self, which: int) -> float:
        assert which == self.CLOCK_BOOTTIME
        return self.awake + self.slept

    def time(self) -> float:
        return 1.8e9 + self.awake + self.slept + self.set_by


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(clock, "time", found)
    return found


def test_a_machine_that_is_put_to_sleep_each_hour_still_forgets_what_is_old(machine):
    """A laptop that is closed now and then would keep for ever what its owner was told is gone after 30 days."""
    found = clock.WallClock()
    for _ in range(3):
        machine.awake += 1500
        machine.slept += 30_000
        found.is_sure()
    assert found.is_sure()


def test_a_clock_that_was_just_set_is_not_believed(machine):
    """A wrong year would otherwise forget everything at once."""
    found = clock.WallClock()
    machine.awake += 3600
    assert found.is_sure()
    machine.set_by += 1e9
    assert not found.is_sure()
    assert (found.was_set(), found.was_set()) == (True, False)
    machine.awake += 3600
    assert found.is_sure()
