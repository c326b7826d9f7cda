"""The JSON Schema of an experiment's file, and its defaults."""

from __future__ import annotations

from typing import Any

from services.experiments.space import MAX_MAGNITUDE, MAX_TEXT

NAME = "^[a-z][a-z0-9_]{0,63}$"
FORMATS = ("yaml", "json", "toml", "env", "ini")
AUTONOMY = ("deploy", "ask", "report")
NO_NUL = r"^[^\x00]*$"
"""Neither an argument nor an environment can carry it."""
_TEXT = {"type": "string", "minLength": 1, "maxLength": 512}
_WORD = {"type": "string", "minLength": 1, "maxLength": 4096, "pattern": NO_NUL}
_ARGV = {"type": "array", "items": _WORD, "minItems": 1, "maxItems": 64}
_BOUNDS = {"minimum": -MAX_MAGNITUDE, "maximum": MAX_MAGNITUDE}
_NUMBER = {"type": "number", **_BOUNDS}
VALUE = {"type": ["string", "number", "boolean"], "maxLength": MAX_TEXT, "pattern": NO_NUL, **_BOUNDS}
_CASES = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": NO_NUL},
    "minItems": 1,
    "maxItems": 32,
    "uniqueItems": True,
}
_POSITIVE = {"type": "number", "exclusiveMinimum": 0}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}


def _named(values: dict[str, Any], *, most: int) -> dict[str, Any]:
    names = {"propertyNames": {"pattern": NAME}, "minProperties": 1, "maxProperties": most}
    return {"type": "object", "additionalProperties": values, **names}


PARAMETER = _object(
    {
        "type": {"enum": ["float", "int", "categorical"]},
        "low": _NUMBER,
        "high": _NUMBER,
        "step": {**_POSITIVE, "maximum": MAX_MAGNITUDE},
        "log": {"type": "boolean", "default": False},
        "choices": {"type": "array", "items": VALUE, "minItems": 2, "maxItems": 64, "uniqueItems": True},
        "when": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"anyOf": [VALUE, {"type": "array", "items": VALUE, "minItems": 1}]},
        },
    },
    "type",
)
HEALTH = _object(
    {
        "command": _ARGV,
        "windows": {"type": "integer", "minimum": 1, "maximum": 100, "default": 3},
        "window_s": {**_POSITIVE, "maximum": 3600, "default": 10},
    },
    "command",
)
TARGET = _object(
    {
        "file": {"type": "string", "minLength": 1, "maxLength": 4096},
        "format": {"enum": list(FORMATS)},
        "keys": _named({"type": "string", "minLength": 1, "maxLength": 128}, most=16),
        "daemon": {"type": "string", "pattern": NAME},
        "reload": _ARGV,
        "health": HEALTH,
    },
    "file",
    "format",
    "keys",
)
EVALUATE = _object(
    {
        "command": _ARGV,
        "python": {"type": "string", "pattern": r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"},
        "timeout_s": {**_POSITIVE, "maximum": 3600, "default": 30},
        "memory_mib": {"type": "integer", "minimum": 16, "maximum": 65536, "default": 256},
        "repeats": {"type": "integer", "minimum": 1, "maximum": 32, "default": 3},
        "cases": _object({"tuning": _CASES, "held_out": _CASES}, "tuning", "held_out"),
    }
)
OBJECTIVE = _object(
    {
        "metrics": _named({"enum": ["maximize", "minimize"]}, most=4),
        "guardrails": _named({**_object({"min": _NUMBER, "max": _NUMBER}), "minProperties": 1}, most=16),
        "alpha": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.2, "default": 0.05},
        "least_effect": {**_NUMBER, "minimum": 0, "default": 0.01},
    },
    "metrics",
)
BUDGET = _object(
    {
        "trials": {"type": "integer", "minimum": 1, "maximum": 10000, "default": 40},
        "wall_clock_s": {**_POSITIVE, "maximum": 3000, "default": 600},
        "concurrency": {"type": "integer", "minimum": 1, "maximum": 16, "default": 1},
    }
)
SCHEMA = _object(
    {
        "about": _TEXT,
        "target": TARGET,
        "search_space": _named(PARAMETER, most=16),
        "constraints": {"type": "array", "items": _TEXT, "maxItems": 16, "default": []},
        "evaluate": EVALUATE,
        "objective": OBJECTIVE,
        "budget": BUDGET,
        "autonomy": {"enum": list(AUTONOMY), "default": "ask"},
    },
    "about",
    "target",
    "search_space",
    "evaluate",
    "objective",
)
