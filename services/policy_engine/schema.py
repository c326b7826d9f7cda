"""The form of a rules file, as JSON Schema."""

from __future__ import annotations

import re
from typing import Any

_LENGTH = r"[0-9]{1,9}(\.[0-9]{1,9})?(s|m|h|d)"
_DURATION = {"type": "string", "pattern": f"^{_LENGTH}$", "examples": ["90s", "10m", "6h", "7d"]}
_SIGNAL = {"type": "string", "pattern": "^Q_[A-Z0-9]+(_[A-Z0-9]+)*$", "examples": ["Q_HEALTH_ALERT"]}
_ID = {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$", "examples": ["dream-on-promotions"]}
_CEL = {"type": "string", "minLength": 1}
_MODE = {"enum": ["enforce", "shadow", "off"]}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 1000}


def _closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


_DO = {
    "type": "array",
    "minItems": 1,
    "maxItems": 16,
    "items": _closed(["emit"], emit=_SIGNAL, facts={"type": "object"}),
}
_CHOOSE = _closed(
    ["question", "actions"],
    question={"type": "string", "minLength": 1, "maxLength": 4000},
    deadline=_DURATION,
    history={"type": "integer", "minimum": 0, "maximum": 50},
    actions={
        "type": "array",
        "minItems": 1,
        "maxItems": 16,
        "items": _closed(
            ["name", "about", "do"], name=_ID, about={"type": "string", "minLength": 1, "maxLength": 1000}, do=_DO
        ),
    },
)
_EXAMPLE = _closed(
    ["signal", "facts", "outcome"],
    signal=_SIGNAL,
    facts={"type": "object"},
    taint={"type": "array", "items": {"type": "string"}},
    asked_by={"type": "string"},
    outcome={"enum": ["fires", "no_match", "counting", "armed", "error"]},
)
_RULE = _closed(
    ["id", "signals"],
    id=_ID,
    about={"type": "string"},
    mode=_MODE,
    signals={"type": "array", "minItems": 1, "items": _SIGNAL, "uniqueItems": True},
    key=_CEL,
    when={"type": "array", "items": {"type": "object", "minProperties": 1, "additionalProperties": _CEL}},
    hold=_DURATION,
    cooldown=_DURATION,
    limit=_closed(["max", "per"], max=_COUNT, per=_DURATION),
    count=_closed(["at_least", "within"], at_least=_COUNT, within=_DURATION, distinct=_CEL),
    absent=_closed(["signal", "within"], signal=_SIGNAL, within=_DURATION, where=_CEL),
    do=_DO,
    choose=_CHOOSE,
    examples={"type": "array", "items": _EXAMPLE},
)
SCHEMA: dict[str, Any] = _closed(
    ["version"],
    version={"const": 1},
    defaults=_closed([], mode=_MODE, cooldown=_DURATION),
    modes={"type": "object", "additionalProperties": _MODE},
    rules={"type": "array", "items": _RULE, "maxItems": 500},
)
"""`rules`, the `defaults` for them, and `modes`, which sets the mode of any rule, Ligand's own too, by its id."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_WAIT = 7 * 86400


def seconds(text: str) -> float:
    """The seconds of a duration such as `90s`, `10m`, `6h`, `1.5d`. Raises ValueError."""
    if not re.fullmatch(_LENGTH, text, re.ASCII):
        raise ValueError(f"{text!r} is no length of time")
    return float(text[:-1]) * _UNITS[text[-1]]
