"""Times and spans of time as they are typed, in the ways that journalctl takes them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo

from signals.errors import UsageError

_UNITS = {
    "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800,
    "month": 2629800, "y": 31557600,
}  # fmt: skip
_WORDS = {
    **_UNITS, "usec": 1e-6, "msec": 1e-3, "sec": 1, "second": 1, "seconds": 1, "minute": 60, "minutes": 60,
    "hr": 3600, "hour": 3600, "hours": 3600, "day": 86400, "days": 86400, "week": 604800, "weeks": 604800,
    "months": 2629800, "year": 31557600, "years": 31557600, "": 1,
}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*")
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_WEEKDAY = re.compile(r"(mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,6})?)?")
FARTHEST = 1e11
EXAMPLES = "2026-03-01T08:00:00Z, '2026-03-01 08:00', 10:30, yesterday, -15min or '2 hours ago'"


def moment_s(text: str, now_s: float, zone: tzinfo | None = None) -> float:
    """Unix seconds of a time; one that names no zone is in `zone` (None: local). Raises `UsageError`."""
    said = text.strip()
    try:
        found = _moment(said, now_s, zone)
    except (ValueError, OverflowError, OSError) as error:
        raise _no_time(text) from error
    if found is None or not -FARTHEST < found < FARTHEST:
        raise _no_time(text)
    return max(0.0, found)


def _no_time(text: str) -> UsageError:
    return UsageError(f"{text[:80]!r} is no time. Write it like {EXAMPLES}.")


def _moment(said: str, now_s: float, zone: tzinfo | None) -> float | None:
    if said == "now":
        return now_s
    if said.startswith("@"):
        return float(said[1:])
    if said[:1] in ("-", "+"):
        span = _span(said[1:].strip().lower(), needs_unit=True)
        return None if span is None else now_s + (span if said[0] == "+" else -span)
    if said.endswith(" ago"):
        span = _span(said.removesuffix(" ago").strip().lower(), needs_unit=True)
        return None if span is None else now_s - span
    return _calendar(_WEEKDAY.sub("", said), now_s, zone)


def _calendar(said: str, now_s: float, zone: tzinfo | None) -> float | None:
    if said.endswith(" UTC"):
        said, zone = said.removesuffix(" UTC"), UTC
    today = datetime.fromtimestamp(now_s, UTC).astimezone(zone).date()
    word, _, rest = said.partition(" ")
    if word in _DAYS:
        return _on(today + timedelta(days=_DAYS[word]), rest.strip() or "00:00", zone)
    if _CLOCK.fullmatch(said):
        return _on(today, said, zone)
    return _zoned(datetime.fromisoformat(said), zone)


def _on(day: date, clock: str, zone: tzinfo | None) -> float | None:
    found = _CLOCK.fullmatch(clock)
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    micros = round(float(fraction or 0) * 1e6)
    return _zoned(datetime(day.year, day.month, day.day, int(hour), int(minute), int(second or 0), micros), zone)  # noqa: DTZ001 - the zone is given next


def _zoned(when: datetime, zone: tzinfo | None) -> float:
    return (when if when.tzinfo or zone is None else when.replace(tzinfo=zone)).timestamp()


def span_s(text: str) -> float:
    """Seconds of `5`, `1.5s`, `2h`, `1h 30min`. Raises `UsageError`."""
    found = _span(text.strip().lower())
    if found is None or found <= 0:
        raise UsageError(f"{text[:80]!r} is no span of time. Write it like 5s, 1.5h or '1h 30min'.")
    return found


def _span(text: str, *, needs_unit: bool = False) -> float | None:
    total, at = 0.0, 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or part[2] not in _WORDS or (needs_unit and not part[2]):
            return None
        total, at = total + float(part[1]) * _WORDS[part[2]], part.end()
    return total if text else None
