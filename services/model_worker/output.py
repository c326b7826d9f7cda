"""What a model's text is worth: thoughts put aside, JSON found, held against the schema that was asked for."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import jsonschema_rs
import orjson

MAX_STARTS = 64
PROBLEM_CHARS = 300
THOUGHT, THOUGHT_ENDS = "<think>", "</think>"
_START = re.compile(r"[{\[]")


class UnfitError(Exception):
    """The text is no answer. `path` is where in the data, `problem` says what is wrong."""

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(problem)
        self.problem = problem[:PROBLEM_CHARS]
        self.path = path[:PROBLEM_CHARS]

    def __str__(self) -> str:
        return f"at {self.path}: {self.problem}" if self.path else self.problem


@dataclass(frozen=True, slots=True)
class Wanted:
    """The shape that an answer must have."""

    schema: Mapping[str, Any]
    validator: jsonschema_rs.Draft202012Validator

    @classmethod
    def of(cls, schema: Mapping[str, Any]) -> Wanted:
        """Raises `UnfitError` for what is no JSON Schema, or refers to others."""
        try:
            validator = jsonschema_rs.Draft202012Validator(dict(schema), retriever=_refuse)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise UnfitError(f"response_schema is no JSON Schema: {error}") from error
        return cls(schema, validator)

    def read(self, text: str) -> Any:
        """The data in a model's text. Raises `UnfitError`, about the first JSON found if none fits."""
        first: UnfitError | None = None
        for found in candidates(text):
            try:
                self.check(found)
            except UnfitError as error:
                first = first or error
            else:
                return found
        raise first or UnfitError("there is no JSON in it")

    def check(self, data: Any) -> None:
        """Raise `UnfitError` when the data does not fit, or when no signal could carry it."""
        try:
            orjson.dumps(data)
        except TypeError as error:  # lone surrogates, integers beyond 64 bits
            raise UnfitError(f"it cannot be carried: {error}") from error
        for wrong in self.validator.iter_errors(data):
            raise UnfitError(wrong.message, "/" + "/".join(str(part) for part in wrong.instance_path))


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"it refers to {uri}")


def candidates(text: str) -> Iterator[Any]:
    """The JSON values in a text: the whole, else each object or list that begins somewhere, in order.

    Read leniently in one point: control characters stand unescaped in strings, as small models write them.
    NaN, Infinity and what is too large to be told from it (1e999) are no JSON.
    """
    try:
        yield _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        pass
    else:
        return
    end = 0
    for starts, start in enumerate(_START.finditer(text)):
        if starts >= MAX_STARTS:
            return
        if start.start() < end:
            continue
        try:
            found, end = _DECODER.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        yield found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    found = float(text)
    return found if math.isfinite(found) else _no_constant(text)


_DECODER = json.JSONDecoder(strict=False, parse_float=_finite, parse_constant=_no_constant)


def visible(text: str) -> str:
    """The text without a thought at its beginning; empty as long as there may be one."""
    bare = text.lstrip()
    if bare.startswith(THOUGHT):
        _, ends, after = bare.partition(THOUGHT_ENDS)
        return after.lstrip() if ends else ""
    return "" if THOUGHT.startswith(bare[: len(THOUGHT)]) and len(bare) < len(THOUGHT) else text


def writable(text: str) -> str:
    """The text as JSON can hold it: without lone surrogates."""
    return text.encode("utf-8", "replace").decode()
