"""The small state that decisions rest on: kept by the bus with each settle, seen here with its changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import orjson

ENTRY, TIMER, LIMIT, OWED, ASKED = "entry", "timer", "limit", "owed", "asked"
EVENT = "event"
"""A signal that timers and requests rest on: kept once, since many rules may wait on one that is long."""
MAX_TIMERS = 500
MAX_ASKED = 500
MAX_KEPT = 20_000
"""Keys and waits that are remembered, of all rules together."""
MAX_WAITED_ON = 6 << 20
"""Bytes of the signals that are waited on. With the keys that is within the 16 MiB of state that a daemon may have."""
SIZE = "bytes"
MOST_STALE = 1000


class Memory:
    """What is kept, and what one evaluation changes of it; `changes` is what to put, None forgets."""

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self._kept = kept
        self.changes: dict[str, Any] = {}

    @property
    def is_full(self) -> bool:
        """Whether so much is remembered that nothing new may be."""
        return len(self._kept) >= MAX_KEPT

    @property
    def waited_on(self) -> int:
        """Bytes of the signals that are waited on; one on which several rest counts for each."""
        return sum(int(one.get(SIZE, 0)) for kind in (TIMER, ASKED) for _, one in self.each(kind))

    def get(self, *parts: str) -> Any:
        """The value, or None."""
        name = "|".join(parts)
        return self.changes[name] if name in self.changes else self._kept.get(name)

    def put(self, value: Any, *parts: str) -> None:
        """Change a value; None forgets it. The signal in it, as `event`, is kept apart: see `event_of`."""
        before = self.get(*parts)
        if value is None and before is None:
            return
        if isinstance(value, dict) and isinstance(event := value.get(EVENT), Mapping):
            kept = self.changes[f"{EVENT}|{event['id']}"] = dict(event)
            value = value | {EVENT: kept["id"], SIZE: len(orjson.dumps(kept))}
        self.changes["|".join(parts)] = value
        if isinstance(before, dict) and isinstance(before.get(EVENT), str):
            self._let_go(before[EVENT])

    def event_of(self, value: Mapping[str, Any]) -> Any:
        """The signal that was put with a value, while that is there."""
        found = value[EVENT]
        return self.get(EVENT, found) if isinstance(found, str) else found

    def _let_go(self, event_id: str) -> None:
        """Forget a signal that nothing rests on any more."""
        if not any(one.get(EVENT) == event_id for kind in (TIMER, ASKED) for _, one in self.each(kind)):
            self.changes[f"{EVENT}|{event_id}"] = None

    def each(self, kind: str) -> Iterator[tuple[str, Any]]:
        """Everything of one kind: the name below it, and the value."""
        lead = f"{kind}|"
        for name in sorted({name for name in (*self._kept, *self.changes) if name.startswith(lead)}):
            if (value := self.get(name)) is not None:
                yield name.removeprefix(lead), value


def short(key: str) -> str:
    """A key's name in the state; keys may be long paths."""
    return sha256(key.encode()).hexdigest()[:16]


def stale(kept: Mapping[str, Any], now: float, reach: Mapping[str, float]) -> dict[str, None]:
    """What bears on nothing any more, as changes that forget it. `reach`: seconds of each rule that is there.

    At most `MOST_STALE`, which a settle can carry.
    """
    found: dict[str, None] = {}
    for name, value in kept.items():
        if len(found) == MOST_STALE:
            break
        kind, _, rest = name.partition("|")
        rule = rest.partition("|")[0]
        old = kind == ASKED and value["until"] < now
        if kind in (ENTRY, LIMIT):
            last = value["last"] if kind == ENTRY else max(value, default=0.0)
            old = last + reach.get(rule, 0.0) < now
        if old:
            found[name] = None
    return found
