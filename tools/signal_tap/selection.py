"""Which signals: names, story, source, time, and where to start. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import orjson

from signals.errors import UsageError
from tools.signal_tap.conditions import Condition
from tools.signal_tap.times import moment_s

_GLOB = re.compile(r"[A-Z0-9_*?\[\]!-]{1,80}")
FIRST = "first"
Envelope = Mapping[str, Any]


def _as_is(envelope: Envelope) -> Envelope:
    return envelope


@dataclass(frozen=True, slots=True)
class Selection:
    """What a signal must be to be shown; an empty field allows everything. `correlation` is a story's whole id.

    `hide` masks secret facts: what nobody may read cannot be searched for either.
    """

    names: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    correlation: str | None = None
    exclude: tuple[str, ...] = ()
    grep: re.Pattern[str] | None = None
    where: tuple[Condition, ...] = ()
    hide: Callable[[Envelope], Envelope] = field(default=_as_is, compare=False)

    def takes_name(self, name: str) -> bool:
        """Whether signals of this name may be shown."""
        wanted = not self.names or any(fnmatchcase(name, glob) for glob in self.names)
        return wanted and not any(fnmatchcase(name, glob) for glob in self.exclude)

    def among(self, known: Iterable[str]) -> list[str] | None:
        """Those of the known names that may be shown; None for all."""
        return [name for name in known if self.takes_name(name)] if self.names or self.exclude else None

    @property
    def by_name_alone(self) -> bool:
        """Whether the name decides, so that no envelope need be read."""
        return not self.sources and self.correlation is None and self.grep is None and not self.where

    def takes(self, envelope: Envelope) -> bool:
        """Whether this signal is shown."""
        if self.correlation is not None and envelope.get("correlation_id") != self.correlation:
            return False
        if not self._takes_source(str(envelope.get("source"))) or not self.takes_name(str(envelope.get("signal"))):
            return False
        return (self.grep is None and not self.where) or self._takes_content(self.hide(envelope))

    def _takes_source(self, source: str) -> bool:
        return not self.sources or any(fnmatchcase(source, glob) for glob in self.sources)

    def _takes_content(self, envelope: Envelope) -> bool:
        if self.grep is not None and not self.grep.search(orjson.dumps(envelope).decode()):
            return False
        return all(condition.holds(envelope) for condition in self.where)


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
    since_us = None if since is None else int(moment_s(since, now_s) * 1_000_000)
    if start is None:
        return Start(since_us=since_us)
    if start == FIRST:
        return Start(seq=1, since_us=since_us)
    if not re.fullmatch(r"-?\d{1,18}", start):
        raise UsageError(f"--from takes a sequence number, -N (so many before the end) or 'first'; not {start!r}.")
    number = int(start)
    return Start(back=-number, since_us=since_us) if start[0] == "-" else Start(seq=number, since_us=since_us)
