"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from signals.errors import UsageError
from tools.signal_tap.times import moment_s, span_s

NOW = datetime(2026, 3, 11, 15, 20, 30, 500000, tzinfo=UTC).timestamp()
EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("-15min", 900),
        ("-2h", 7200),
        ("-1d", 86400),
        ("-90s", 90),
        ("-1w", 604800),
        ("-1.5 hours", 5400),
        ("-1h 30min", 5400),
        ("-1h30m", 5400),
        ("2 hours ago", 7200),
        ("3min 20s ago", 200),
        ("+5min", -300),
        ("now", 0),
    ],
)
def test_times_may_be_told_from_now(text: str, ago: float) -> None:
    """`-S -15min` is what people type most."""
    assert moment_s(text, NOW) == NOW - ago


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("10:30", "2026-03-11T10:30:00+02:00"),
        ("10:30:15.25", "2026-03-11T10:30:15.250000+02:00"),
        ("yesterday", "2026-03-10T00:00:00+02:00"),
        ("yesterday 23:59", "2026-03-10T23:59:00+02:00"),
        ("today", "2026-03-11T00:00:00+02:00"),
        ("tomorrow", "2026-03-12T00:00:00+02:00"),
        ("2026-03-01", "2026-03-01T00:00:00+02:00"),
        ("2026-03-01 08:00", "2026-03-01T08:00:00+02:00"),
        ("Sun 2026-03-01 08:00:10", "2026-03-01T08:00:10+02:00"),
        ("2026-03-01 08:00 UTC", "2026-03-01T08:00:00+00:00"),
        ("2026-03-01T08:00:00.5Z", "2026-03-01T08:00:00.500000+00:00"),
        ("2026-03-01T08:00:00-05:00", "2026-03-01T08:00:00-05:00"),
        ("@1772352000", "2026-03-01T08:00:00+00:00"),
    ],
)
def test_times_may_be_told_as_journalctl_takes_them(text: str, when: str) -> None:
    """Who knows journalctl need not read our help."""
    assert moment_s(text, NOW, EAST) == datetime.fromisoformat(when).timestamp()


def test_a_time_without_a_zone_is_local() -> None:
    """Copied from `ls -l` it must mean what it says there."""
    assert moment_s("2026-03-01 08:00", NOW) == datetime(2026, 3, 1, 8).astimezone().timestamp()


@pytest.mark.parametrize(
    "text",
    ["last week", "-5", "-5 fortnights", "", "2026-13-01", "25:00", "yesterday evening", "@nan", "@1e300", "-", " ago",
     "9" * 400 + "s ago", "+" + "9" * 400 + "s"],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    """A silently misread time would show the wrong hour."""
    with pytest.raises(UsageError, match="-15min"):
        moment_s(text, NOW)


def test_spans() -> None:
    """`-W 30s` and `-W 30` are the same."""
    assert [span_s(text) for text in ("30", "30s", "1.5h", "1h 30min", "200ms")] == [30, 30, 5400, 5400, 0.2]
    for wrong in ("", "0", "-5s", "soon", "5 fortnights"):
        with pytest.raises(UsageError, match="no span"):
            span_s(wrong)
