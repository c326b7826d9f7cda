"""What an intent is, however it was written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

PRIORITIES = ("critical", "high", "normal", "low")
NUMBERED = {7: "critical", 6: "high", 5: "normal", 4: "low"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest file and largest question, in bytes of UTF-8."""

    file_bytes: int = 64 * 1024
    question_bytes: int = 16 * 1024


class Intent(NamedTuple):
    """What a dropped file asks for. `intent_id` names this drop of it, `question_id` the question itself."""

    intent_id: str
    intent_type: str
    question_id: str
    file: str
    sha256: str
    size_bytes: int
    priority: str = "normal"
    question: str | None = None
    evidence: tuple[str, ...] = ()
    module_path: str | None = None
    hypothesis: str | None = None
    reason: str | None = None
    data: Mapping[str, Any] | None = None

    def field(self, path: Sequence[str]) -> Any:
        """The value that a template's reference means; None when it is absent."""
        value: Any = getattr(self, path[0])
        for part in path[1:]:
            value = value.get(part) if isinstance(value, Mapping) else None
        return list(value) if isinstance(value, tuple) else value
