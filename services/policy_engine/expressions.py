"""CEL expressions: checked against contracts when they are loaded, evaluated within a bound.

The bound is the library's own (cel-cpp): an expression nests at most 32 deep and one evaluation makes at most 10,000
steps of its loops, all loops together, after which it ends with an error; a regular expression is linear (RE2). What
a step could make large (joining texts or lists, regular expressions) is refused inside loops. Loops that make lists, or
search or copy texts, take only so long ones, since the library frees nothing before the end; a text may only be made
`MAX_GROWTH` times as long. So no evaluation runs away, and the bound does not depend on how fast the machine is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from services.policy_engine.shapes import PACKAGE, pool, typed, types_of
from services.policy_engine.syntax import Reads, reads
from signals.catalogue import Catalogue

MAX_LENGTH = 2000
MAX_STEPS = 10_000
MAX_GROWTH = 64
MAX_LIST = 500
MAX_TEXT = 4096
"""How long lists and texts may be that a heavy loop reads: its memory grows with the square of the list."""
MISSING = "Key not found in map"
_STRUCT = re.compile(rf"'{PACKAGE}\.(\w+)'")
_KINDS = {"BOOL": "boolean", "INT": "integer", "DOUBLE": "number", "STRING": "string", "NULL": "null"}


class ExpressionError(Exception):
    """The expression cannot be used, or could not be evaluated; the text says why."""


class MissingError(ExpressionError):
    """The signal does not carry a fact that the expression reads."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression. `kind` is the JSON type of its value, `any` when only known at run time."""

    text: str
    kind: str
    paths: tuple[tuple[str, ...], ...]
    guarded: frozenset[tuple[str, ...]]
    is_heavy: bool
    program: Any = field(repr=False, compare=False)

    def value(self, scope: Mapping[str, Any]) -> Any:
        """Evaluate. Raises `ExpressionError`; `MissingError` when a fact it reads is not there."""
        if self.is_heavy and _is_long(self.seen(scope)):
            raise ExpressionError(
                f"its loop would take too much: it reads a list of more than {MAX_LIST}, or a text of more than "
                f"{MAX_TEXT:,} characters"
            )
        try:
            found = self.program.eval(data=dict(scope))
        except RuntimeError as error:
            raise ExpressionError(_first_line(str(error))) from error
        if found.type() == cel.Type.ERROR:
            said = str(found.plain_value())
            kind = MissingError if MISSING in said or "No value with name" in said else ExpressionError
            raise kind(_first_line(said))
        return _plain(found.plain_value())

    def seen(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """The value of each path that it reads, longest paths only, as far as the signal carries it."""
        longest = [p for p in self.paths if not any(o[: len(p)] == p and o != p for o in self.paths)]
        return {".".join(path): _at(scope, path) for path in sorted(longest) if path[0] in scope}


class Environment:
    """Checks and compiles expressions over `event`, and `other` where one is named."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._schemas = {name: contract.schema for name, contract in catalogue.items()}
        self._pool = pool(self._schemas)
        self._runtime = _environment({"event": cel.Type.DYN, "other": cel.Type.DYN})
        self._checkers: dict[tuple[str, str | None], Any] = {}

    def compile(
        self, text: str, signals: Iterable[str], *, other: str | None = None,
        known: frozenset[tuple[str, ...]] = frozenset(), optional: bool = False,
    ) -> Expression:  # fmt: skip
        """Check `text` against each of the signals it may see. Raises `ExpressionError` with the reason.

        `known` are optional facts that an earlier condition has found to be there; with `optional` a fact may be
        missing.
        """
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"it is longer than {MAX_LENGTH} characters")
        kinds, found = set(), Reads()
        for signal in signals:
            checked = _compiled(self._checker(signal, other), text, signal)
            kinds.add(_kind(repr(checked.return_type())))
            found = reads(checked.serialize())
            self._judge(found, {"event": signal, "other": other or ""}, known, optional)
        kind = kinds.pop() if len(kinds) == 1 else "any"
        program = _compiled(self._runtime, text, "")
        return Expression(text, kind, tuple(sorted(found.paths)), frozenset(found.guarded), found.is_heavy, program)

    def _checker(self, signal: str, other: str | None) -> Any:
        found = self._checkers.get((signal, other))
        if found is None:
            names = {"event": signal} | ({"other": other} if other else {})
            variables = {name: cel.Type(f"{PACKAGE}.{of}") for name, of in names.items()}
            found = self._checkers[signal, other] = _environment(variables, self._pool)
        return found

    def _judge(self, found: Reads, names: Mapping[str, str], known: frozenset[Any], optional: bool) -> None:
        if found.costly:
            raise ExpressionError(
                f"inside a loop it may not use {', '.join(sorted(found.costly))}: that could run away"
            )
        if found.growth > MAX_GROWTH:
            raise ExpressionError(
                f"its replace, join, quote or format could make a text more than {MAX_GROWTH} times as long; what they "
                "put in must be written there, and be short"
            )
        for path in sorted(found.paths):
            missing = self._optional(path, names.get(path[0], ""))
            if missing and not optional and missing not in found.guarded | known:
                dotted = ".".join(missing)
                raise ExpressionError(f"not every {names[path[0]]} has {dotted}; say has({dotted}) as well")

    def _optional(self, path: tuple[str, ...], signal: str) -> tuple[str, ...] | None:
        """The first part of a path that a signal need not carry."""
        schema: Mapping[str, Any] = self._schemas.get(signal, {})
        for depth, name in enumerate(path[2:] if path[1:2] == ("facts",) else (), start=3):
            if name not in schema.get("properties", {}):
                return None
            if name not in schema.get("required", ()):
                return path[:depth]
            inner = schema["properties"][name]
            schema = inner if isinstance(inner, Mapping) else {}
        return None

    def scope(self, envelope: Mapping[str, Any], asked_by: str = "") -> dict[str, Any]:
        """What an expression sees of a signal's envelope."""
        name = str(envelope["signal"])
        texts = ("id", "signal", "source", "host", "timestamp", "received_at", "correlation_id", "causation_id")
        return {
            **{key: envelope.get(key) or "" for key in texts},
            "hops": envelope.get("hops") or 0,
            "replayed": bool(envelope.get("replayed")),
            "taint": list(envelope.get("taint", ())),
            "asked_by": asked_by,
            "facts": typed(envelope["facts"], self._schemas.get(name, {})),
        }


def fits(kind: str, schema: Mapping[str, Any] | bool) -> bool:
    """Whether a value of this kind can be what a contract wants of a fact."""
    wanted = types_of(schema)
    return kind == "any" or not wanted or kind in wanted or (kind == "integer" and "number" in wanted)


def _is_long(value: Any) -> bool:
    """Whether a value holds a list or a text that is too long for a heavy loop."""
    if isinstance(value, Mapping):
        return any(map(_is_long, value.values()))
    if isinstance(value, list):
        return len(value) > MAX_LIST or any(map(_is_long, value))
    return isinstance(value, str) and len(value) > MAX_TEXT


def _environment(variables: Mapping[str, Any], descriptors: Any = None) -> Any:
    extensions = [ext_strings.ExtStrings()]
    if descriptors is None:
        return cel.NewEnv(variables=variables, extensions=extensions)
    return cel.NewEnv(descriptor_pool=descriptors, variables=variables, extensions=extensions)


def _compiled(environment: Any, text: str, signal: str) -> Any:
    try:
        return environment.compile(text)
    except RuntimeError as error:
        raise ExpressionError(_words(str(error), signal)) from error


def _words(said: str, signal: str) -> str:
    line = _first_line(said)
    line = _STRUCT.sub(lambda found: _place(found[1], signal), line.split("<input>:1:", 1)[-1])
    line = line.replace("undefined field", "there is no")
    column, _, words = line.partition(": ")
    found = f"character {column}: {words}" if column.isdigit() else line
    if "(double, int)" in found or "(int, double)" in found:
        found += "; write a number with a decimal point where the contract says number, and without for integer"
    return found.replace(" not found in struct", " in")


def _place(struct: str, signal: str) -> str:
    """What a message made of a contract is for a person."""
    inner = struct.removeprefix(f"{signal}_facts").lstrip("_")
    return signal if struct == signal else f"the facts of {signal}" + (f", {inner}" if inner else "")


def _first_line(said: str) -> str:
    line = said.split("\n", 1)[0].removeprefix("INVALID_ARGUMENT: ").removeprefix("ERROR: ")[:400]
    if "Iteration budget exceeded" in line:
        return f"its loops took more than {MAX_STEPS:,} steps, and were ended"
    return line


def _kind(name: str) -> str:
    if name.startswith(("LIST", "MAP")):
        return "array" if name.startswith("LIST") else "object"
    return _KINDS.get(name, "string" if name == "TIMESTAMP" else "any")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ExpressionError(f"its value is a {type(value).__name__}, which no fact can hold")


def _at(scope: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = scope
    for name in path:
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found
