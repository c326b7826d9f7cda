"""Why facts do not fit their contract, in words for a person. Imports jsonschema, so only after a failure."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, relevance

from signals.errors import SchemaError

SHOWN = 60
TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def explain(name: str, schema: dict[str, Any], secrets: Sequence[Sequence[str]], facts: Any) -> SchemaError:
    """The error to raise for facts that were found not to fit.

    `path` is the place (`$.facts.priority`), `expected` what the contract asks for there; the message also
    shows, shortened, what was found, except at places marked secret.
    """
    if (foreign := _foreign(facts, [])) is not None:
        steps, value = foreign
        return _error(name, steps, "a value that JSON has", f"a Python {type(value).__name__}", 0)
    errors = sorted(Draft202012Validator(schema).iter_errors(facts), key=relevance, reverse=True)
    if not errors:
        return _error(name, [], "facts as in the contract", "something only the strict check refuses", 0)
    error = _deepest(errors[0])
    steps, expected, found = _words(error)
    if any(_is_at(steps, secret) for secret in secrets):
        found = "a value that is not shown"
    return _error(name, steps, expected, found, len(errors) - 1)


def _error(name: str, steps: Sequence[str | int], expected: str, found: str, others: int) -> SchemaError:
    path = "$.facts" + "".join(f"[{s}]" if isinstance(s, int) else f".{str(s)[:80]}" for s in steps)
    more = f" (and {others} more)" if others else ""
    message = f"{name}: {path}: found {found}, expected {expected}{more}"
    return SchemaError(message, path=path, expected=expected)


def _deepest(error: ValidationError) -> ValidationError:
    """Of alternatives, the failure that came furthest."""
    while error.context:
        error = max(error.context, key=lambda e: (len(e.absolute_path), relevance(e)))
    return error


def _words(error: ValidationError) -> tuple[list[str | int], str, str]:
    steps: list[str | int] = list(error.absolute_path)
    schema = error.schema if isinstance(error.schema, dict) else {}
    known = schema.get("properties", {})
    if error.validator == "required":
        missing = next(n for n in schema["required"] if n not in error.instance)
        return [*steps, missing], expectation(known.get(missing, {})), "nothing"
    if error.validator == "additionalProperties":
        extra = next((n for n in error.instance if n not in known), "")
        return [*steps, extra], _one_of_fields(extra, known), "a field that the contract does not know"
    return steps, expectation(schema, str(error.validator)), shown(error.instance)


def _one_of_fields(extra: object, known: dict[str, Any]) -> str:
    near = get_close_matches(str(extra), known, n=1)
    return f"perhaps {near[0]}" if near else "only " + ", ".join(sorted(known))


def expectation(schema: dict[str, Any], keyword: str = "type") -> str:
    """What a part of a schema asks for, in plain words; `keyword` is the rule that was broken."""
    if "const" in schema:
        return f"exactly {schema['const']!r}"
    if "enum" in schema:
        return "one of " + ", ".join("null" if v is None else str(v) for v in schema["enum"])
    return _RULES.get(keyword, _type_words)(schema)


def _type_words(schema: dict[str, Any]) -> str:
    types = schema.get("type", [])
    words = [TYPES.get(t, t) for t in ([types] if isinstance(types, str) else types)]
    return " or ".join(words) or "something else"


def _length(schema: dict[str, Any]) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    return f"text of {_span(least, most)} characters"


def _items(schema: dict[str, Any]) -> str:
    return f"a list of {_span(schema.get('minItems', 0), schema.get('maxItems'))} items"


def _fields(schema: dict[str, Any]) -> str:
    return f"an object with {_span(schema.get('minProperties', 0), schema.get('maxProperties'))} fields"


def _range(schema: dict[str, Any]) -> str:
    bounds = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    return "a number " + " and ".join(
        f"{word} {schema[key]}" for key, word in bounds.items() if key in schema
    )


def _pattern(schema: dict[str, Any]) -> str:
    return f"text that matches {schema['pattern']}"


def _unique(_: dict[str, Any]) -> str:
    return "a list without repetitions"


_RULES = {
    "minLength": _length,
    "maxLength": _length,
    "minItems": _items,
    "maxItems": _items,
    "minProperties": _fields,
    "maxProperties": _fields,
    "minimum": _range,
    "maximum": _range,
    "exclusiveMinimum": _range,
    "exclusiveMaximum": _range,
    "pattern": _pattern,
    "uniqueItems": _unique,
}


def _span(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least}"
    return f"{least} to {most}" if least else f"at most {most}"


def shown(value: Any) -> str:
    """A value in a few characters; of lists and objects only the size."""
    if isinstance(value, dict):
        return f"an object with {len(value)} fields"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)} items"
    if isinstance(value, str) and len(value) > SHOWN:
        return f"{value[:SHOWN]!r}… ({len(value)} characters)"
    return (
        {None: "null", True: "true", False: "false"}.get(value, repr(value)[:SHOWN])
        if not isinstance(value, int | float) or isinstance(value, bool)
        else repr(value)[:SHOWN]
    )


def _is_at(steps: Sequence[str | int], secret: Sequence[str]) -> bool:
    """Whether the place is the secret one or below it."""
    pairs = list(zip(steps, secret, strict=False))
    return len(steps) >= len(secret) and all(s in ("*", step) for step, s in pairs)


def _foreign(value: Any, steps: list[str | int]) -> tuple[list[str | int], Any] | None:
    """The first value that is none of JSON's types, looked for only as deep as a contract goes."""
    if len(steps) > 32:
        return steps, value
    if isinstance(value, dict):
        bad = next((key for key in value if not isinstance(key, str)), None)
        inner: list[tuple[str | int, Any]] = list(value.items())
        if bad is not None:
            return steps, bad
    elif isinstance(value, list | tuple):
        inner = list(enumerate(value))
    else:
        return None if value is None or isinstance(value, str | int | float) else (steps, value)
    return next((f for step, v in inner if (f := _foreign(v, [*steps, step])) is not None), None)
