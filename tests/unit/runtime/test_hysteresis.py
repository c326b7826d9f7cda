"""States that turn only after a while."""

from __future__ import annotations

from services.runtime.hysteresis import Hysteresis, Limits

LIMITS = Limits(on=0.6, on_after=2, off=0.4, off_after=3)


def turns(*values: float) -> list[int]:
    """At which of the values, one a second, it turned."""
    state = Hysteresis()
    return [t for t, value in enumerate(values) if state.feed(t, value, LIMITS)]


def test_it_turns_when_values_have_lasted() -> None:
    """Neither a glance nor a click is attention or speech; a blink or a breath does not end them."""
    assert turns(0.7, 0.7, 0.5, 0.7, 0.7, 0.7) == [5]
    assert turns(0.7, 0.7, 0.7, 0.3, 0.3, 0.3, 0.4, 0.3, 0.3, 0.3, 0.3) == [2, 10]
    assert turns(*[0.5] * 10) == []


def test_it_can_be_turned_at_once() -> None:
    """When the camera goes nobody attends any more, and what began before does not count afterwards."""
    state = Hysteresis()
    state.feed(0, 0.9, LIMITS)
    state.turn()
    assert (state.is_on, state.feed(1, 0.9, LIMITS), state.feed(2, 0.1, LIMITS)) == (True, False, False)
