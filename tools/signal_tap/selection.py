"""Which signals: names, story, source, time, and where to start. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from signals.errors import UsageError

_GLOB = re.compile(r"[A-Z0-9_*?\[\]!-]{1,80}")
_AGO = re.compile(r"-\s*(\d+(?:\.\d+)?)\s*(s|sec|seconds?|min|minutes?|h|hours?|d|days?|w|weeks?)")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
FIRST = "first"


@dataclass(frozen=True, slots=True)
class Selection:
    """What a signal must be to be shown; an empty field allows everything. `correlation` is a story's whole id."""

    names: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    correlation: str | None = None

    def takes_name(self, name: str) -> bool:
        """Whether signals of this name may be shown."""
        return not self.names or any(fnmatchcase(name, glob) for glob in self.names)

    def among(self, known: Iterable[str]) -> list[str] | None:
        """Those of the known names that may be shown; None for all."""
        return [name for name in known if self.takes_name(name)] if self.names else None

    @property
    def by_name_alone(self) -> bool:
        """Whether the name decides, so that no envelope need be read."""
        return not self.sources and self.correlation is None

    def takes(self, envelope: Mapping[str, Any]) -> bool:
        """Whether this signal is shown."""
        if self.correlation is not None and envelope.get("correlation_id") != self.correlation:
            return False
        source = str(envelope.get("source"))
        by_source = not self.sources or any(fnmatchcase(source, glob) for glob in self.sources)
        return by_source and self.takes_name(str(envelope.get("signal")))


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin: at a sequence number, so many signals before the end, at a time (Unix µs), or nowhere said."""

    seq: int | None = None
    back: int | None = None
    since_us: int | None = None

    def __bool__(self) -> bool:
        return self != Start()


def names_of(globs: Iterable[str]) -> tuple[str, ...]:
    """Checked globs of signal names. Raises `UsageError`."""
    found = tuple(globs)
    for glob in found:
        if not _GLOB.fullmatch(glob):
            raise UsageError(
                f"{glob!r} is neither a verb nor a signal's name. Names look like Q_SPEAK or 'Q_INTENT_*'."
            )
    return found


def start_of(start: str | None, since: str | None, now_s: float) -> Start:
    """Read `--from` and `--since`. Raises `UsageError`."""
    since_us = None if since is None else int(since_s(since, now_s) * 1_000_000)
    if start is None:
        return Start(since_us=since_us)
    if start == FIRST:
        return Start(seq=1, since_us=since_us)
    if not re.fullmatch(r"-?\d{1,18}", start):
        raise UsageError(f"--from takes a sequence number, -N (so many before the end) or 'first'; not {start!r}.")
    number = int(start)
    return Start(back=-number, since_us=since_us) if start[0] == "-" else Start(seq=number, since_us=since_us)


def since_s(text: str, now_s: float) -> float:
    """Unix seconds of `-15min`, `-2h`, `-1d` or an RFC 3339 time (local when it names no zone). Raises `UsageError`."""
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return max(0.0, now_s - float(ago[1]) * _UNIT_S[ago[2][0]])
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"{text!r} is no time. Write it like 2026-03-01T08:00:00Z, '2026-03-01 08:00' or -15min (s, min, h, d, w)."
        ) from error
