"""When a condition is told: never in silence, never every minute."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.advisory_monitor.logic import Bounds, Edge, Moment, Pace, Pending, Settled, Severity, Told, step

TICK_S = 10.0
LEVELS: st.SearchStrategy[Severity | None] = st.sampled_from([None, None, "warning", "critical"])
PACES = st.builds(
    Pace,
    hold_s=st.sampled_from([0.0, 30.0, 60.0]),
    clear_s=st.sampled_from([0.0, 60.0]),
    repeat_s=st.sampled_from([300.0, 3600.0]),
    again_s=st.sampled_from([120.0, 900.0]),
)
SPELLS = st.lists(st.tuples(LEVELS, st.integers(1, 15)), min_size=1, max_size=12)
RANK = {None: 0, "warning": 1, "critical": 2}


def told(spells: Any, pace: Pace, restarts: frozenset[int] = frozenset()) -> list[tuple[float, Edge, Severity]]:
    """(when, edge, severity) of all that is told of levels that last so many ticks; at restarts pending is lost."""
    kept: dict[str, Any] | None = None
    pending: Pending | None = None
    found = []
    levels = [level for level, ticks in spells for _ in range(ticks)]
    for tick, level in enumerate(levels):
        pending = None if tick in restarts else pending
        before = Told.of_json(kept) if kept is not None else None
        done = step(before, pending, level, Moment(tick * TICK_S, 1_000_000 + tick * TICK_S), pace)
        kept, pending = done.told.as_json() if done.told else None, done.pending
        if done.edge is not None and done.told is not None:
            found.append((tick * TICK_S, done.edge, done.told.severity))
    return found


@given(SPELLS, PACES, st.frozensets(st.integers(0, 100), max_size=5))
def test_what_is_told_is_a_story(spells: Any, pace: Pace, restarts: frozenset[int]) -> None:
    """A person would hear of an end that had no beginning, or of a second beginning without an end."""
    is_bad = False
    for _, edge, _ in told(spells, pace, restarts):
        assert (edge is Edge.RAISED) is not is_bad
        is_bad = edge is not Edge.CLEARED


@given(SPELLS, PACES, st.frozensets(st.integers(0, 100), max_size=5))
def test_the_same_is_not_told_again_before_its_time(spells: Any, pace: Pace, restarts: frozenset[int]) -> None:
    """A disk that hovers around its bound would be told every minute, day and night."""
    last: tuple[float, Severity] | None = None
    for at, edge, severity in told(spells, pace, restarts):
        if edge is Edge.CLEARED:
            continue
        if last is not None and RANK[severity] <= RANK[last[1]]:
            assert at - last[0] >= min(pace.repeat_s, pace.again_s)
        last = at, severity


@given(PACES, st.sampled_from(["warning", "critical"]), st.integers(1, 500))
def test_what_lasts_is_told_once_and_then_at_its_interval(pace: Pace, level: Severity, ticks: int) -> None:
    """A full disk would be forgotten after one signal, or be one signal a look."""
    lasted = (ticks - 1) * TICK_S
    expected = 1 + int((lasted - pace.hold_s) // pace.repeat_s) if lasted >= pace.hold_s else 0
    assert len(told([(level, ticks)], pace)) == expected


@given(SPELLS, PACES)
def test_what_is_short_is_not_told(spells: Any, pace: Pace) -> None:
    """A moment of work would wake a person."""
    short = [(level, 1) for level, _ in spells for level in (level, None)]
    assert pace.hold_s == 0 or told(short, pace) == []


@given(SPELLS, PACES)
def test_what_is_well_for_a_moment_has_not_ended(spells: Any, pace: Pace) -> None:
    """Each dip below the bound would be an end and soon another beginning."""
    long, dips = [("warning", 20)], [(level, 1) for _ in spells for level in (None, "warning")]
    found = [edge for _, edge, _ in told(long + dips, pace)]
    assert pace.clear_s == 0 or Edge.CLEARED not in found


@given(st.floats(0, 100), st.floats(0, 20), LEVELS)
def test_within_the_margin_nothing_changes(value: float, margin: float, before: Severity | None) -> None:
    """A value at the bound would begin and end with each look."""
    bounds = Bounds(80, 95, margin)
    found = bounds.severity(value, before)
    assert bounds.severity(value, found) == found
    assert RANK[found] <= RANK[bounds.severity(value, "critical")]
    if value >= 95:
        assert found == "critical"
    if value < 80 - margin:
        assert found is None


def test_what_was_bad_stays_so_until_it_is_better_by_the_margin() -> None:
    """A disk at its bound would be told to fill up and to be well again with every file that comes and goes."""
    bounds, severity = Bounds(80, 95, 5), None
    found: list[Severity | None] = []
    for value in (79, 80, 76, 75, 74, 79, 95, 91, 90, 89, 76, 74):
        severity = bounds.severity(value, severity)
        found.append(severity)
    warned: list[Severity | None] = ["warning"] * 3
    assert found == [None, *warned, None, None, *["critical"] * 3, "warning", "warning", None]


def test_worse_is_told_at_once_and_better_is_not() -> None:
    """That the disk is full now, not only nearly so, must not wait for six hours."""
    pace = Pace(hold_s=0, clear_s=0, repeat_s=3600, again_s=900)
    spells = [("warning", 3), ("critical", 3), ("warning", 3), ("critical", 3), (None, 1), ("warning", 3)]
    assert [(edge, severity) for _, edge, severity in told(spells, pace)] == [
        (Edge.RAISED, "warning"),
        (Edge.WORSENED, "critical"),
        (Edge.CLEARED, "critical"),
    ]


def test_a_clock_that_is_put_back_silences_nothing_for_long() -> None:
    """After a flat battery the machine may believe it is next year for a while."""
    pace = Pace(hold_s=0, clear_s=0, repeat_s=100, again_s=10)
    kept = Told("warning", since=5_000.0, at=5_000.0)
    first = step(kept, None, "warning", Moment(0, 1_000), pace)
    assert (first.edge, first.told) == (None, Told("warning", 5_000.0, 1_000.0))
    assert step(first.told, None, "warning", Moment(100, 1_100), pace).edge is Edge.REPEATED


def test_rest_comes_after_quiet_or_after_long() -> None:
    """Three files dropped in a second would be three signals; a file written all day would be none."""
    now = Settled.of(None, "a", 0.0)
    for mono, value in ((1.0, "b"), (2.0, "c"), (2.9, "c")):
        now = Settled.of(now, value, mono)
        assert not now.is_at_rest(mono, 2.0, 30.0)
    assert now.is_at_rest(4.0, 2.0, 30.0)
    for mono in range(3, 30):
        now = Settled.of(now, mono, float(mono))
    assert now.is_at_rest(30.0, 2.0, 30.0)
