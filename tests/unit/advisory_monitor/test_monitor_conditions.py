"""From readings to signals and what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from services.advisory_monitor.conditions import Conditions, severities, standing
from services.advisory_monitor.logic import Moment, Pace
from services.advisory_monitor.seen import Reading, Said
from signals.catalogue import Catalogue

PACE = Pace(hold_s=0, clear_s=0, repeat_s=3600, again_s=0)
FULL = Reading("disk", "warning", 93.5, 90.0, "percent", "It is full.", "Remove something.", "/home", ("x",))
CATALOGUE = Catalogue.load([])


class Told:
    """Conditions with a state, as the daemon has it."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.conditions = Conditions("health")

    def look(self, wall: float, *readings: Reading) -> list[Said]:
        says, puts = self.conditions.judge(readings, self.state, Moment(wall, wall), PACE)
        self.state |= puts
        self.state = {key: value for key, value in self.state.items() if value is not None}
        for said in says:
            CATALOGUE[said.signal].check(dict(said.facts))
        return says

    def restart(self) -> None:
        self.conditions = Conditions("health")


def test_begin_and_end_fit_their_contracts() -> None:
    """A signal that does not fit its contract would end the monitor instead of warning a person."""
    told = Told()
    (alert,) = told.look(100.0, FULL)
    assert (alert.signal, alert.facts["edge"], alert.facts["subject"], alert.because) == (
        "Q_HEALTH_ALERT", "raised", "/home", ("x",),
    )  # fmt: skip
    assert dict(severities(told.state, "health")) == {("disk", "/home"): "warning"}
    told.restart()
    assert told.look(110.0, FULL) == []
    (cleared,) = told.look(160.0, replace(FULL, severity=None, value=70.0))
    assert (cleared.signal, cleared.facts["lasted_s"], cleared.facts["value"]) == ("Q_HEALTH_CLEARED", 60.0, 70.0)
    assert list(standing(told.state)) == []
    told.look(200.0)
    assert told.state == {}


def test_what_is_there_no_more_has_ended() -> None:
    """A disk that was unplugged while full would be full for ever."""
    told = Told()
    told.look(100.0, FULL)
    told.restart()
    (cleared,) = told.look(110.0)
    assert (cleared.signal, cleared.facts["subject"]) == ("Q_HEALTH_CLEARED", "/home")


def test_what_was_not_looked_at_has_not_ended() -> None:
    """While D-Bus is away every failed unit would be mended, and fail again when it is back."""
    told = Told()
    told.look(100.0, FULL)
    says, puts = told.conditions.judge((), told.state, Moment(110.0, 110.0), PACE, whole=False)
    assert (says, puts) == ([], {})


def test_names_of_any_bytes_can_be_told() -> None:
    """A folder with a name in no encoding would end the monitor again and again."""
    told = Told()
    odd = "/mnt/\udcff" + "x" * 1000
    (alert,) = told.look(100.0, replace(FULL, subject=odd, message=odd * 3))
    alert.facts["subject"].encode()
    assert told.look(110.0, replace(FULL, subject=odd)) == []


def test_many_conditions_are_told_the_worst_first_and_bounded() -> None:
    """A thousand failed units must neither flood the bus nor hide the critical one."""
    told = Told()
    many = [replace(FULL, subject=f"unit{n}") for n in range(1000)]
    says = told.look(100.0, *many, replace(FULL, subject="critical", severity="critical"))
    assert (len(says), says[0].facts["subject"]) == (200, "critical")
    assert len(list(standing(told.state))) == 200
