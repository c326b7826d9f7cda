"""Say what is wrong with a configuration, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.runtime.yamlmarks import Marked, PathTo
from signals.errors import ConfigError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError as Found

SHOWN = 10
_TYPES = {
    "object": "a mapping (key: value)",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing (null)",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `key` is dotted, `line` counts from 1."""

    line: int
    key: str
    words: str


def explain(filled: Any, schema: Mapping[str, Any], marked: Marked, path: Path | None, daemon: str) -> ConfigError:
    """The error that names every problem, in the order of the file, at most ten."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 70 ms that only a fault is worth

    validator = Draft202012Validator(dict(schema))
    problems = sorted(
        (problem for error in validator.iter_errors(filled) for problem in _problems(error, marked)),
        key=lambda problem: (problem.line, problem.key),
    )
    where = str(path) if path is not None else "(no configuration file)"
    missing = f"{where}, which is not there" if path is not None else where
    if not problems:  # the two validators disagree; still refuse, and say so
        problems = [Problem(1, "", "does not fit the schema in the manifest")]
    lines = [f"{f'{where}:{one.line}' if one.line else missing}: {one.key}: {one.words}" for one in problems]
    hidden = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    first = problems[0]
    return ConfigError(
        f"{daemon}: " + "\n  ".join(lines[:SHOWN] + hidden),
        file=where,
        line=first.line,
        key=first.key,
        problems=lines,
        lines=[one.line for one in problems],
    )


def _problems(error: Found, marked: Marked) -> Iterator[Problem]:
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - as above

    error = best_match([error])
    path: PathTo = tuple(error.absolute_path)
    schema: Any = error.schema
    required: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "additionalProperties" and isinstance(instance, dict):
        known = list(schema.get("properties", {}))
        for key in instance:
            if key not in known:
                yield _at(marked, (*path, key), _unknown(key, known))
    elif error.validator == "required":
        for key in required:
            if key not in instance:
                yield _at(marked, (*path, key), "is missing and has no default; " + _wanted(schema, key))
    else:
        yield _at(marked, path, _what(error))


def _at(marked: Marked, path: PathTo, words: str) -> Problem:
    return Problem(marked.line(path), dotted(path), words)


def dotted(path: PathTo) -> str:
    """`roots[0].path`; the whole file is `(the whole file)`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".") or "(the whole file)"


def _unknown(key: str, known: list[str]) -> str:
    if not known:
        return "unknown key; none is allowed here"
    return f"unknown key{_near(key, known)}; allowed: {', '.join(sorted(known))}"


def _near(given: object, allowed: list[str]) -> str:
    close = difflib.get_close_matches(str(given), allowed, n=2, cutoff=0.6)
    return f" (did you mean {' or '.join(repr(one) for one in close)}?)" if close else ""


def _wanted(schema: Mapping[str, Any], key: str) -> str:
    sub = schema.get("properties", {}).get(key, {})
    kinds = sub.get("type") if isinstance(sub, Mapping) else None
    return f"give it {_types(kinds)}" if kinds else "give it a value"


def _types(kinds: str | list[str]) -> str:
    return " or ".join(_TYPES.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _what(error: Found) -> str:
    given = _shown(error.instance)
    limit: Any = error.validator_value
    match error.validator:
        case "type":
            return f"must be {_types(limit)}, not {given}{_hint(error)}"
        case "enum":
            allowed = [str(one) for one in limit]
            return f"must be one of {', '.join(allowed)}, not {given}{_near(error.instance, allowed)}"
        case "const":
            return f"must be {_shown(limit)}, not {given}"
        case "pattern" if isinstance(error.schema, dict) and (like := error.schema.get("examples")):
            return f"must be like {', '.join(map(str, like))}, not {given}"
    bound = _BOUNDS.get(str(error.validator))
    return f"{bound.format(limit=limit)}, not {given}" if bound else error.message


_BOUNDS = {
    "minimum": "must be at least {limit}",
    "maximum": "must be at most {limit}",
    "exclusiveMinimum": "must be more than {limit}",
    "exclusiveMaximum": "must be less than {limit}",
    "multipleOf": "must be a multiple of {limit}",
    "minLength": "must be at least {limit} characters long",
    "maxLength": "must be at most {limit} characters long",
    "minItems": "must have at least {limit} items",
    "maxItems": "must have at most {limit} items",
    "pattern": "must match the pattern {limit}",
}


def _hint(error: Found) -> str:
    wants_bool = "boolean" in str(error.validator_value)
    if wants_bool and str(error.instance).lower() in ("yes", "no", "on", "off"):
        return "; write true or false"
    return ""


def _shown(value: Any) -> str:
    if isinstance(value, str):
        text = f"the text {value!r}"
    elif isinstance(value, dict | list):
        text = "a mapping" if isinstance(value, dict) else "a list"
    elif value is None:
        text = "nothing"
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
