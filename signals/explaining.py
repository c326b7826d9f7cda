"""Why facts do not fit their contract, in words for a person. Imports jsonschema, so only after a failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

import jsonschema_rs
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError, relevance
from referencing import Registry

from signals.errors import SchemaError

SHOWN = 60
LISTED = 10
DEEPEST = 32  # no contract is deeper
ANY = {"type": "a value, as the other fields ask for it"}
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def explain(
    name: str,
    schema: dict[str, Any],
    secrets: Sequence[Sequence[str]],
    strict: jsonschema_rs.Draft202012Validator,
    facts: Any,
) -> SchemaError:
    """The error to raise for facts that `strict`, the compiled schema, refused.

    `path` is the place (`$.facts.priority`), `expected` what the contract asks for there; the message also
    shows, shortened, what was found, except at places marked secret.
    """
    try:
        refused = list(strict.iter_errors(facts))
    except ValueError:
        steps, value = _foreign(facts, []) or ([], facts)
        return _error(name, steps, "what JSON can hold", f"a Python {type(value).__name__}", 0)
    errors = sorted(_validator(schema).iter_errors(facts), key=relevance, reverse=True)
    steps, expected, found = located(_deepest(errors[0])) if errors else _strict_words(schema, refused[0])
    told = place("$.facts", steps)
    also = [each for each in _missing(errors, secrets) if each != told]
    for secret in secrets:
        if _is_at(steps, secret):
            steps, found = steps[: len(secret)], "a value that is not shown"  # the keys in it are secret too
    return _error(name, steps, expected, found, max(len(errors) - 1 - len(also), 0), also=also)


def _validator(schema: dict[str, Any]) -> Any:
    """Tuples are lists here, as they are for the fast check and on the wire; nothing is ever fetched."""
    types = Draft202012Validator.TYPE_CHECKER.redefine("array", lambda _, value: isinstance(value, list | tuple))
    extend: Any = validators.extend
    return extend(Draft202012Validator, type_checker=types)(schema, registry=Registry())


def _error(
    name: str, steps: Sequence[str | int], expected: str, found: str, others: int, *, also: Sequence[str] = ()
) -> SchemaError:
    path = place("$.facts", steps)
    rest = [*also[:LISTED], f"and {len(also) - LISTED} further"] if len(also) > LISTED else also
    missing = f"; missing too: {', '.join(rest)}" if rest else ""
    more = f" (and {others} more)" if others else ""
    message = f"{name}: {path}: found {found}, expected {expected}{missing}{more}"
    return SchemaError(message, path=path, expected=expected)


def _deepest(error: ValidationError) -> ValidationError:
    """Of alternatives, the failure that came furthest."""
    while error.context and any(inner.validator != "required" for inner in error.context):
        error = max(error.context, key=lambda e: (len(e.absolute_path), relevance(e)))
    return error


def _missing(errors: Sequence[ValidationError], secrets: Sequence[Sequence[str]]) -> Iterator[str]:
    """The places of all that is required and not there, except in what is secret."""
    lacking = {tuple(error.absolute_path): error for error in errors if error.validator == "required"}
    for path, error in lacking.items():
        if any(_is_at(path, secret) for secret in secrets):
            continue
        wanted: Any = error.validator_value
        there: Any = error.instance
        yield from (place("$.facts", [*path, name]) for name in wanted if name not in there)


def place(root: str, steps: Sequence[str | int]) -> str:
    """A place below `root`, such as `$.facts.items[3]`."""
    return root + "".join(f"[{s}]" if isinstance(s, int) else f".{str(s)[:80]}" for s in steps)


def located(error: ValidationError) -> tuple[list[str | int], str, str]:
    """Where a failure is, what is expected there, and what was found."""
    steps: list[str | int] = list(error.absolute_path)
    instance: Any = error.instance
    schema = error.schema if isinstance(error.schema, dict) else {}
    known = schema.get("properties", {})
    if error.validator == "required":
        missing = next(n for n in schema["required"] if n not in instance)
        return [*steps, missing], expectation(known.get(missing, ANY)), "nothing"
    if error.validator == "additionalProperties":
        extra = next((n for n in instance if n not in known), "")
        return [*steps, extra], _one_of_fields(extra, known), "a field that the contract does not know"
    return steps, expectation(schema, str(error.validator)), shown(instance)


def _strict_words(schema: dict[str, Any], error: jsonschema_rs.ValidationError) -> tuple[list[str | int], str, str]:
    """For what only the compiled check refuses, such as a line break after a pattern's end."""
    part: Any = schema
    for step in error.schema_path[:-1]:
        part = part[step]
    return list(error.instance_path), expectation(part, str(error.schema_path[-1])), shown(error.instance)


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
    return "a number " + " and ".join(f"{word} {schema[key]}" for key, word in BOUNDS.items() if key in schema)


def _pattern(schema: dict[str, Any]) -> str:
    return f"text that matches {schema['pattern']}"


def _unique(_: dict[str, Any]) -> str:
    return "a list without repetitions"


def _one_of(schema: dict[str, Any]) -> str:
    fields = [" and ".join(part.get("required", ["…"])) for part in schema["oneOf"]]
    return f"exactly one of the fields {', '.join(fields)}"


def _any_of(schema: dict[str, Any]) -> str:
    fields = [" and ".join(part.get("required", ["…"])) for part in schema["anyOf"]]
    return f"at least one of the fields {', '.join(fields)}"


_RULES = {
    "oneOf": _one_of,
    "anyOf": _any_of,
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
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)[:SHOWN]


def _is_at(steps: Sequence[str | int], secret: Sequence[str]) -> bool:
    """Whether the place is the secret one or below it."""
    pairs = list(zip(steps, secret, strict=False))
    return len(steps) >= len(secret) and all(s in ("*", step) for step, s in pairs)


def _foreign(value: Any, steps: list[str | int]) -> tuple[list[str | int], Any] | None:
    """The first value that is none of JSON's, with its place."""
    if len(steps) > DEEPEST:
        return steps, value
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list | tuple):
        inner = list(enumerate(value))
    elif value is not None and not isinstance(value, str | int | float):
        return steps, value
    for step, item in inner:
        if not isinstance(step, str | int) or (isinstance(value, dict) and not isinstance(step, str)):
            return steps, step
        if (found := _foreign(item, [*steps, step])) is not None:
            return found
    return None
