"""Keeping up with the bus: durable signals from the journal, woken by the mirror; live ones from the mirror alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType

import orjson
import zmq

from signals.journal import Journal
from signals.live import Seen, Subscription
from signals.paths import Paths
from tools.signal_tap.reading import between
from tools.signal_tap.selection import Selection

BURST = 1000
WAKES = 100
NAP_S = 0.01
"""How long a tap of chosen names lets commits add up, most of which are of others."""
QUEUED, FEW = 20_000, 10
"""How many signals of the mirror may wait here: all that can be, or what is enough to wake us."""


class Tail:
    """Reads on from a sequence number for as long as it is asked to. Nothing durable is passed over.

    `is_live` says of a signal's name whether it is never journaled; such are only taken when `live` is set.
    """

    def __init__(
        self,
        paths: Paths,
        selection: Selection,
        after: int,
        *,
        is_live: Callable[[str], bool] = lambda name: False,
        live: bool = False,
    ) -> None:
        self._journal = Journal(paths.journal)
        self._mirror = _subscription(paths, selection.names, live)
        self._selection = selection
        self._is_live = is_live
        self._live = live
        self._told: dict[str, int] = {}
        self._restarts = 0
        self.after = after

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._mirror.close()
        self._journal.close()

    def wait(self, timeout_s: float) -> list[bytes] | None:
        """Wait until the mirror says something; the live signals in it. None when it was silent.

        The bus shows that it lives once a second, so a silence of more means that it is down.
        """
        if not self._mirror.socket.poll(int(timeout_s * 1000)):
            return None
        if not self._live:
            if self._selection.names:
                time.sleep(NAP_S)
            self._wake()
            return []
        seen: list[bytes] = []
        for _ in range(BURST):
            one = self._mirror.next(0)
            if one is None:
                break
            if self._wanted(one):
                seen.append(one.raw)
        return seen

    def _wake(self) -> None:
        """Take in a little of what the mirror says: that something came is all that matters."""
        with suppress(zmq.Again):
            for _ in range(WAKES):
                self._mirror.socket.recv_multipart(zmq.NOBLOCK)

    def _wanted(self, one: Seen) -> bool:
        return self._live and self._is_live(one.name) and self._selection.takes(orjson.loads(one.raw))

    def rows(self) -> Iterator[tuple[int, bytes]]:
        """The durable signals since the last time."""
        head = self._journal.head()
        for seq, raw in between(self._journal, self._selection, self.after, head):
            self.after = seq
            yield seq, raw
        self.after = max(self.after, head)

    def is_replaced(self) -> bool:
        """Whether the journal was replaced, by a restore or salvage, and this reads one that gets nothing more."""
        return self._journal.is_replaced()

    def pruned(self) -> int:
        """How many signals retention took away before they were read."""
        return max(0, self._journal.first() - self.after - 1)

    def missed(self) -> dict[str, int]:
        """How many live signals of each name were missed since the last time."""
        new = {
            name: count - self._told.get(name, 0)
            for name, count in self._mirror.missed.items()
            if self._live and self._is_live(name) and count > self._told.get(name, 0)
        }
        self._told |= {name: self._mirror.missed[name] for name in new}
        return new

    def restarted(self) -> bool:
        """Whether the bus was restarted since the last time, and live signals may be missing that nobody counted."""
        before, self._restarts = self._restarts, self._mirror.restarts
        return self._restarts > before


def _subscription(paths: Paths, names: tuple[str, ...], live: bool) -> Subscription:
    """What costs the bus least: every signal only for who shows what the journal does not have."""
    if live:
        return Subscription(paths.mirror_socket, names or ("*",), high_water=QUEUED)
    return Subscription(paths.mirror_socket, (), high_water=FEW, woken=True)
