"""One thing the doctor looked at: how it is, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "note", "mend"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`mend` makes the doctor's exit code 1; `note` is worth knowing. `todo` says what to do about either."""

    check: str
    state: State
    found: str
    todo: str = ""

    def as_json(self) -> dict[str, Any]:
        """The finding as one JSON object."""
        return asdict(self)


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", found)


def note(check: str, found: str, todo: str) -> Finding:
    """Worth knowing; works all the same."""
    return Finding(check, "note", found, todo)


def mend(check: str, found: str, todo: str) -> Finding:
    """Something must be mended."""
    return Finding(check, "mend", found, todo)
