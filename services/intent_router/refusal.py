"""Why a dropped file was refused, in words for the person who dropped it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from signals.errors import LigandError

EXAMPLE = """\
{
  "type": "discover.module",
  "id": "discover.module.json",
  "data": {
    "question": "What does the json module do?",
    "priority": "normal",
    "module_path": "json"
  }
}"""

DETAIL_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file; line and column count from 1, `key` is dotted such as `data.priority`."""

    line: int | None = None
    column: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        parts = [f"line {self.line}, column {self.column}"] if self.line else []
        return ", ".join(parts + ([f"key {self.key}"] if self.key else []))


class IntentRefused(LigandError):
    """The dropped file is not an intent that can be routed.

    `reason` is a short stable name, the message says what is wrong, `mend` what to do about it.
    """

    code: ClassVar[str] = "intent"

    def __init__(self, reason: str, message: str, mend: str, where: Where | None = None) -> None:
        super().__init__(message, reason=reason)
        self.reason = reason
        self.mend = mend
        self.where = where or Where()

    @property
    def detail(self) -> str:
        """Place, fault and remedy in one line, cut to 2,000 characters."""
        place = f"{self.where}: " if str(self.where) else ""
        return f"{place}{self.message} {self.mend}"[:DETAIL_LIMIT]


def explain(refusal: IntentRefused, kept: str, folder: str) -> str:
    """The text of the `.error` file beside a refused file, whose name is `kept`."""
    place = f"Where:           {refusal.where}\n" if str(refusal.where) else ""
    return (
        f"This file was refused as an intent ({refusal.reason}).\n\n"
        f"What is wrong:   {refusal.message}\n"
        f"{place}"
        f"How to mend it:  {refusal.mend}\n"
        f"To try again:    mend {kept} and move it back into {folder}\n\n"
        f"An intent that is accepted, as an example:\n\n{EXAMPLE}\n\n"
        "A .txt or .md file whose text is the question is accepted too.\n"
    )
