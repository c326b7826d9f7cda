"""What a check says after a look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.advisory_monitor.logic import Pace, Severity


class CheckFailed(Exception):
    """A check could not look, for a reason that it knows; told as an alert about the check itself."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One condition as it is now: facts of a Q_HEALTH_ALERT, or of its end where `severity` is None.

    `check` and `subject` name the condition. `because` are ids of the signals that it follows from.
    """

    check: str
    severity: Severity | None
    value: float | str
    threshold: float | str
    unit: str
    message: str
    hint: str = "Nothing to do."
    subject: str | None = None
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """A signal to emit, once; `taint` where its facts hold words that somebody else wrote."""

    signal: str
    facts: Mapping[str, Any]
    because: tuple[str, ...] = ()
    taint: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unseen:
    """Something that a person wants watched and that cannot be looked at: told as an alert about the check."""

    subject: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Seen:
    """All that one look found. What is said and put becomes true in one step, or not at all.

    `lacking` is what this machine does not have, `note` what a person should know while all is well; both are for the
    daemon's status. `puts` are kept beneath the check's own name. A condition that was told and is not among the
    readings has ended.
    """

    readings: tuple[Reading, ...] = ()
    says: tuple[Said, ...] = ()
    puts: Mapping[str, Any] = field(default_factory=dict)
    unseen: tuple[Unseen, ...] = ()
    lacking: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What a check is given: `heard` by the daemon's handlers, `kept` by its own puts, the time.

    `told` is how bad each of its conditions is that was told and has not ended, by check and subject.
    """

    heard: Mapping[str, Any]
    kept: Mapping[str, Any]
    mono: float
    wall: float
    told: Mapping[tuple[str, str | None], Severity] = field(default_factory=dict)


def clean(text: str) -> str:
    """A text that JSON can carry; what no encoding explains (in a file's name) becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


class Check(Protocol):
    """Looks when asked, in a thread; one look at a time. What it raises is told as an alert about it."""

    pace: Pace

    def look(self, now: Look) -> Seen:
        """Look."""

    def close(self) -> None:
        """Give back what it holds."""
