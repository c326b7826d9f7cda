"""JSON read strictly, and where in the text a key stands, so that a refusal can point at it."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn

from services.intent_router.refusal import IntentRefused, Where

Path = tuple[str | int, ...]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_LARGEST = 2**63
_SHOWN = 100


class _Fault(ValueError):
    """A value that JSON parsers let through and the bus does not."""

    def __init__(self, reason: str, message: str, token: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.token = token


def loads(text: str) -> Any:
    """Read one JSON value; raises `IntentRefused` for bad syntax, duplicate keys, NaN, Infinity, integers
    beyond 64 bits, lone surrogates and nesting too deep to read."""
    try:
        value = _decoder.decode(text)
        if "\\u" in text:  # the only way in: the text itself was UTF-8
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise _syntax(error) from error
    except _Fault as fault:
        raise _refusal_of(fault, text) from fault
    except RecursionError as error:
        raise IntentRefused("not_json", "The JSON is nested too deeply.", "Flatten it.") from error
    except UnicodeEncodeError as error:
        message = "A string holds half of a surrogate pair, which is no character."
        mend = "Write the character itself, or its whole \\u pair."
        raise IntentRefused("not_json", message, mend) from error
    return value


def place(text: str, path: Path) -> Where:
    """Where the value at `path` is named in a text that is valid JSON; only the key when it is not there."""
    key = dotted(path)
    for found, offset in _places(text):
        if found == path:
            return _where(text, offset, key)
    return Where(key=key)


def dotted(path: Path) -> str:
    """`("data", "evidence", 1)` as `data.evidence[1]`."""
    whole = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    return "".join(_visible(letter) for letter in whole[:_SHOWN])


def _visible(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


def _where(text: str, offset: int, key: str | None) -> Where:
    line = text.count("\n", 0, offset) + 1
    return Where(line, offset - text.rfind("\n", 0, offset), key or None)


def _syntax(error: json.JSONDecodeError) -> IntentRefused:
    where = Where(error.lineno, error.colno)
    if error.msg == "Extra data":
        return IntentRefused(
            "not_json",
            "There is more text after the end of the JSON object.",
            "Keep one object a file.",
            where,
        )
    return IntentRefused("not_json", f"This is not JSON: {error.msg}.", "Mend the JSON at that place.", where)


def _refusal_of(fault: _Fault, text: str) -> IntentRefused:
    twice = fault.reason == "duplicate_key"
    mend = "Keep one of them." if twice else "Write a finite number of at most 64 bits."
    return IntentRefused(fault.reason, str(fault), mend, _where_of(fault, text))


def _where_of(fault: _Fault, text: str) -> Where:
    if fault.reason != "duplicate_key":
        offsets = (m.start() for m in _TOKEN.finditer(text) if m.group() == fault.token)
        return _where(text, next(offsets, 0), None)
    seen: set[Path] = set()
    for path, offset in _places(text):
        if path in seen and path[-1] == fault.token:
            return _where(text, offset, dotted(path))
        seen.add(path)
    return Where()


def _places(text: str) -> Iterator[tuple[Path, int]]:
    """Each key and list item of a valid JSON text with the offset at which it starts."""
    stack: list[str | int] = []
    fresh = False
    tokens = list(_TOKEN.finditer(text))
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        symbol = token.group()
        in_list = bool(stack) and isinstance(stack[-1], int)
        if fresh and in_list and symbol != "]":
            yield tuple(stack), token.start()
        fresh = symbol in ("[", ",")
        if symbol in "{[":
            stack.append(0 if symbol == "[" else "")
        elif symbol in "}]":
            stack.pop()
        elif symbol == "," and in_list:
            stack[-1] = int(stack[-1]) + 1
        elif following is not None and following.group() == ":" and symbol[0] == '"':
            stack[-1] = json.loads(symbol, strict=False)
            yield tuple(stack), token.start()


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise _Fault("duplicate_key", f"The key {twice[:_SHOWN]!r} stands twice in one object.", twice)
    return found


def _constant(token: str) -> NoReturn:
    raise _Fault("not_json", f"{token} is not a number in JSON.", token)


def _integer(token: str) -> int:
    if len(token) > 20 or not -_LARGEST <= int(token) < 2 * _LARGEST:
        raise _Fault("not_json", f"The number {token[:24]} does not fit into 64 bits.", token)
    return int(token)


def _float(token: str) -> float:
    value = float(token)
    if not math.isfinite(value):
        raise _Fault("not_json", f"The number {token[:24]} is beyond what a number can hold.", token)
    return value


_decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_integer, parse_float=_float)
