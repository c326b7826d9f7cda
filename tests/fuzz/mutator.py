"""Wrong bytes from right ones: cut, spliced, flipped, and JSON whose values, keys and depth are not what was meant."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import orjson

LARGEST = 70_000
LONGEST_KEPT = 4096
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, -0.0, 1e308, 2**31, 2**63 - 1, -(2**63), 2**64 - 1, "", " ", "x" * 300,
    "Q_THING_SEEN", "bus", "person@root", "../../etc/passwd", "/", "\0", "\u202e", "\ud7ff", "é" * 40, "$question",
    "2026-01-01T00:00:00.000000Z", "9999-12-31T23:59:60.000000Z", [], {}, [[]], [None], [1, "a"], {"": {}}, {"a": [0]},
)  # fmt: skip
ODD_BYTES = (
    b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\n", b"\r\n", b"\t", b" ", b"{", b"}", b"[", b"]",
    b",", b":", b'"', b"'", b"\\", b"\\ud800", b"\\u0000", b"NaN", b"-Infinity", b"1e999", b"-0", b"1" * 30, b"null",
    b"[" * 300, b'{"a":' * 300, b"&a [*a,*a]", b"!!python/object:os.system", b"*a", b"<<: ", b"---\n", b"%YAML 9\n",
    b"0x1F", b"0o9", b"1_000", b"2026-99-99", b"12:30:45", b"!!binary x", b"? ", b"- ", b"|\n", b">\n", b"#", b"~",
    b"on", b"yes", b".inf", b".nan", b"$", b"Q_", b"../", b"%s", b"A" * 5000,
)  # fmt: skip


class Mutator:
    """Draws inputs. `keep` adds one that led to an answer not seen before, so that it is built upon."""

    def __init__(self, chance: random.Random, seeds: Sequence[bytes], most_kept: int = 300) -> None:
        self._chance = chance
        self._seeds = list(seeds)
        self._kept: list[bytes] = []
        self._most_kept = most_kept
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._flip, self._insert, self._cut, self._repeat, self._splice, self._shuffle,
        )  # fmt: skip

    def draw(self) -> bytes:
        """The next input."""
        kept = self._kept and self._chance.random() < 0.5
        raw = self._chance.choice(self._kept if kept else self._seeds)
        if self._chance.random() < 0.5:
            raw = self._restructured(raw)
        for _ in range(self._chance.choice((0, 1, 1, 2, 3, 8))):
            raw = self._chance.choice(self._ways)(raw)
        return raw[:LARGEST]

    def keep(self, raw: bytes) -> None:
        """Build on this one too, unless it is long."""
        if len(raw) > LONGEST_KEPT:
            return
        if len(self._kept) < self._most_kept:
            self._kept.append(raw)
        else:
            self._kept[self._chance.randrange(self._most_kept)] = raw

    # -- bytes ---------------------------------------------------------------------------------------

    def _place(self, raw: bytes) -> int:
        return self._chance.randrange(len(raw) + 1)

    def _flip(self, raw: bytes) -> bytes:
        if not raw:
            return raw
        at = self._chance.randrange(len(raw))
        return raw[:at] + bytes((raw[at] ^ 1 << self._chance.randrange(8),)) + raw[at + 1 :]

    def _insert(self, raw: bytes) -> bytes:
        at = self._place(raw)
        odd = self._chance.choice(ODD_BYTES) if self._chance.random() < 0.8 else self._chance.randbytes(8)
        return raw[:at] + odd + raw[at + self._chance.choice((0, 0, 1, len(odd))) :]

    def _cut(self, raw: bytes) -> bytes:
        start, end = sorted((self._place(raw), self._place(raw)))
        return raw[:start] + raw[end:] if self._chance.random() < 0.7 else raw[:end]

    def _repeat(self, raw: bytes) -> bytes:
        start, end = sorted((self._place(raw), self._place(raw)))
        return raw[:end] + raw[start:end] * self._chance.choice((1, 1, 2, 50)) + raw[end:]

    def _splice(self, raw: bytes) -> bytes:
        other = self._chance.choice(self._seeds)
        return raw[: self._place(raw)] + other[self._place(other) :]

    def _shuffle(self, raw: bytes) -> bytes:
        lines = raw.split(b"\n")
        self._chance.shuffle(lines)
        return b"\n".join(lines)

    # -- structure -----------------------------------------------------------------------------------

    def _restructured(self, raw: bytes) -> bytes:
        """The same JSON with something changed in it; other bytes stay as they are."""
        try:
            found = orjson.loads(raw)
        except ValueError:
            return raw
        for _ in range(self._chance.choice((1, 1, 2, 4))):
            found = self._changed(found)
        try:
            return orjson.dumps(found)
        except orjson.JSONEncodeError:  # nested too deeply to be written
            return raw

    def _changed(self, found: Any) -> Any:
        """Go down to somewhere, and change it there."""
        if isinstance(found, dict) and found and self._chance.random() < 0.85:
            key = self._chance.choice(list(found))
            return self._changed_at(found, key)
        if isinstance(found, list) and found and self._chance.random() < 0.85:
            at = self._chance.randrange(len(found))
            return [*found[:at], self._changed(found[at]), *found[at + 1 :]]
        return self._other(found)

    def _changed_at(self, found: dict[str, Any], key: str) -> dict[str, Any]:
        way = self._chance.randrange(6)
        if way == 0:
            return {name: value for name, value in found.items() if name != key}
        if way == 1:
            odd = self._chance.choice(("", key.upper(), key + "s", "seq", "\0", "x" * 300, "$ref"))
            return {**found, odd: self._other(found[key])}
        return {**found, key: self._changed(found[key])}

    def _other(self, found: Any) -> Any:
        way = self._chance.randrange(6)
        if way == 0:
            for _ in range(self._chance.choice((1, 10, 100, 240))):
                found = [found] if self._chance.random() < 0.5 else {"a": found}
            return found
        if way == 1 and isinstance(found, str):
            return found + self._chance.choice(("\n", "\0", "é", "x" * 5000, "*", "?", "[", "../"))
        if way == 2 and isinstance(found, int):
            return self._chance.choice((-found, found + 1, found * 10**9 % 2**63, float(found)))
        if way == 3:
            return [found] * self._chance.choice((0, 2, 100))
        return self._chance.choice(ODD_VALUES)
