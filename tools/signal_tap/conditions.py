"""Conditions on envelopes: `facts.priority=high`, `hops>2`, `facts.text~^Hello`. Pure."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from signals.envelope import BUS_FIELDS, EMITTER_FIELDS
from signals.errors import UsageError

_CONDITION = re.compile(r"\s*([A-Za-z_][\w.@-]*)\s*(!=|<=|>=|=|<|>|~)\s*(.*)", re.DOTALL)
FIELDS = frozenset((*EMITTER_FIELDS, *BUS_FIELDS))
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
ABSENT = object()


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of the value at a path of keys with a text."""

    path: tuple[str, ...]
    operator: str
    wanted: str
    pattern: re.Pattern[str] | None = None

    def holds(self, envelope: Mapping[str, Any]) -> bool:
        """Whether it holds of an envelope. A value that is not there is only unequal; of a list, any item may do."""
        found = value_at(envelope, self.path)
        if self.operator == "!=":
            return not self._any(found, self._equals)
        if found is ABSENT:
            return False
        if self.pattern is not None:
            return self._any(found, self._matches)
        return self._any(found, self._equals if self.operator == "=" else self._compares)

    def _any(self, found: Any, test: Callable[[Any], bool]) -> bool:
        return any(test(item) for item in found) if isinstance(found, list) else found is not ABSENT and test(found)

    def _matches(self, found: Any) -> bool:
        return self.pattern is not None and self.pattern.search(plain(found)) is not None

    def _equals(self, found: Any) -> bool:
        if isinstance(found, int | float) and not isinstance(found, bool):
            number = _number(self.wanted)
            return number is not None and found == number
        return plain(found) == self.wanted

    def _compares(self, found: Any) -> bool:
        test = _ORDER[self.operator]
        if isinstance(found, int | float) and not isinstance(found, bool):
            number = _number(self.wanted)
            return number is not None and test(found, number)
        return isinstance(found, str) and test(found, self.wanted)


def condition_of(text: str) -> Condition:
    """Read one `--where`. Raises `UsageError`."""
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise UsageError(f"{text[:80]!r} is no condition. Write --where 'facts.priority=high'; also != < <= > >= ~.")
    path, operator, wanted = found[1].split("."), found[2], found[3].strip()
    if operator in _ORDER and _is_no_measure(wanted):
        raise UsageError(f"{text[:80]!r}: nothing is more or less than {wanted[:80]}. Give a number.")
    return Condition(checked_path(path, text), operator, wanted, pattern_of(wanted) if operator == "~" else None)


def checked_path(path: list[str], text: str) -> tuple[str, ...]:
    """A path that begins with a field of the envelope. Raises `UsageError`."""
    if path[0] not in FIELDS or not all(path):
        raise UsageError(
            f"{text[:80]!r}: {path[0]} is no field of an envelope. For a fact write facts.{'.'.join(path)}"
        )
    return tuple(path)


def pattern_of(text: str) -> re.Pattern[str]:
    """A regular expression; without capital letters their case does not matter. Raises `UsageError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # what will mean something else, such as [[:alpha:]]
            return re.compile(text, re.IGNORECASE if text == text.lower() else 0)
    except (re.error, FutureWarning) as error:
        raise UsageError(f"{text[:80]!r} is no regular expression: {error}.") from error


def value_at(envelope: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """The value at a path of keys and places in lists; `ABSENT` when there is none."""
    found: Any = envelope
    for step in path:
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and len(step) < 19 and int(step) < len(found):
            found = found[int(step)]
        else:
            return ABSENT
    return found


def plain(value: Any) -> str:
    """A value as text: strings as they are, everything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _is_no_measure(text: str) -> bool:
    """Whether it is read as a number that orders nothing: NaN, or one without bound."""
    try:
        return not math.isfinite(float(text))
    except ValueError:
        return False


def _number(text: str) -> float | int | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
