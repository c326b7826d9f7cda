"""Which dead letters: by number, signal, daemon, reason and age."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from signals.errors import UsageError
from tools.signal_tap.measures import unix
from tools.signal_tap.options import Letters
from tools.signal_tap.selection import names_of
from tools.signal_tap.times import moment_s

Letter = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a dead letter must be; an empty field allows everything. Times in Unix seconds."""

    numbers: frozenset[int] = frozenset()
    names: tuple[str, ...] = ()
    daemons: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    since_s: float | None = None
    until_s: float | None = None

    def __bool__(self) -> bool:
        return self != Wanted()

    @property
    def by_number_alone(self) -> bool:
        """Whether nothing but numbers was said."""
        return bool(self.numbers) and self == Wanted(self.numbers)

    def takes(self, letter: Letter) -> bool:
        """Whether this one is meant."""
        if self.numbers and letter.get("dead_letter_id") not in self.numbers:
            return False
        if self.reasons and letter.get("reason") not in self.reasons:
            return False
        return _fits(name_of(letter), self.names) and self._fits_daemon(letter) and self._fits_age(letter)

    def _fits_daemon(self, letter: Letter) -> bool:
        return _fits(str(letter.get("daemon")), self.daemons) or _fits(str(letter.get("consumer")), self.daemons)

    def _fits_age(self, letter: Letter) -> bool:
        if self.since_s is None and self.until_s is None:
            return True
        at = unix(letter.get("timestamp"))
        return at is not None and (self.since_s or 0.0) <= at <= (self.until_s or at)


def wanted(typed: Letters) -> Wanted:
    """Check what was typed. Raises `UsageError`."""
    now = time.time()
    since, until = typed.since, typed.until
    for reason in typed.reasons:
        if reason not in REASONS:
            raise UsageError(f"{reason[:80]!r} is no reason. There are {', '.join(REASONS)}.")
    return Wanted(
        numbers=frozenset(typed.numbers),
        names=names_of(typed.names),
        daemons=typed.daemons,
        reasons=typed.reasons,
        since_s=None if since is None else moment_s(since, now),
        until_s=None if until is None else moment_s(until, now),
    )


REASONS = (
    "schema", "unauthorised", "rejected", "attempts_exhausted", "poison", "oversize", "loop", "malformed",
    "conflict", "undeliverable", "pressure",
)  # fmt: skip


def name_of(letter: Letter) -> str:
    """The name of the signal; nothing when it was none."""
    signal = letter.get("signal")
    return str(signal.get("signal", "")) if isinstance(signal, Mapping) else ""


def _fits(text: str, globs: tuple[str, ...]) -> bool:
    return not globs or any(fnmatchcase(text, glob) for glob in globs)
