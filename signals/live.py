"""The live subscription: the mirror of everything the bus commits. Lossy, and it says what was missed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import orjson
import zmq

from signals.paths import endpoint
from signals.wire import BEACON, WOKEN

_NEW = ""
"""Stands for the epoch of a bus that has not said it yet."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One mirrored signal, and how many of its name were missed just before it."""

    name: str
    raw: bytes
    missed: int


class Subscription:
    """A SUB socket on the mirror for names or globs. Use it in one thread.

    `woken`: also be woken by each commit, whatever it is of.
    """

    def __init__(
        self, mirror_socket: Path, names: Iterable[str] = ("*",), *, high_water: int = 20_000, woken: bool = False
    ) -> None:
        address = endpoint(mirror_socket)
        self._globs = tuple(names)
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.RCVHWM, high_water)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 50)
        for glob in self._globs:
            self.socket.setsockopt(zmq.SUBSCRIBE, _prefix(glob).encode())
        for topic in (BEACON, WOKEN) if woken else (BEACON,):
            self.socket.setsockopt(zmq.SUBSCRIBE, topic)
        self.socket.connect(address)
        self._last: dict[str, int] = {}
        self._since: dict[str, int] = {}
        self._epoch: str | None = None
        self.head = 0
        self.missed: dict[str, int] = {}
        self.restarts = 0
        """How often another bus was met: what the one before showed last may be missing without being counted."""

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def counts(self) -> dict[str, int]:
        """How many of each name the bus has shown since it started, as far as it is known here."""
        return dict(self._last)

    def close(self) -> None:
        """Let go of the socket."""
        self.socket.close()
        self._context.term()

    def next(self, timeout_s: float | None = None) -> Seen | None:
        """The next signal; None after `timeout_s` without any."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = None if deadline is None else int(max(0.0, deadline - time.monotonic()) * 1000)
            if not self.socket.poll(left):
                return None
            found = self._take(self.socket.recv_multipart())
            if found is not None:
                return found

    def wait(self, timeout_s: float) -> bool:
        """Whether anything came, a beacon included, within `timeout_s`; takes in all that is there."""
        if not self.socket.poll(int(timeout_s * 1000)):
            return False
        while self.socket.poll(0):
            self._take(self.socket.recv_multipart())
        return True

    def __iter__(self) -> Iterator[Seen]:
        while (found := self.next()) is not None:
            yield found

    def _take(self, frames: list[bytes]) -> Seen | None:
        if frames[0] == BEACON:
            self._on_beacon(frames[1])
            return None
        if frames[0] == WOKEN:
            return None
        name, count, raw = frames[0].decode(), int(frames[1]), frames[2]
        if not any(fnmatchcase(name, glob) for glob in self._globs):
            return None
        if count <= self._last.get(name, 0) and self._epoch != _NEW:
            self._since.pop(name, None)
            self._begin_anew()
        last = min(count - 1, self._last.get(name, count - 1 if self._epoch is None else 0))
        missed = count - 1 - last
        self._last[name] = count
        self._since[name] = self._since.get(name, 0) + missed + 1
        if missed:
            self.missed[name] = self.missed.get(name, 0) + missed
        return Seen(name, raw, missed)

    def _on_beacon(self, raw: bytes) -> None:
        beacon = orjson.loads(raw)
        self.head = beacon["head"]
        if self._epoch not in (None, _NEW, beacon["epoch"]):
            self._begin_anew()
        first, self._epoch = self._epoch is None, beacon["epoch"]
        for name, count in beacon["counts"].items():
            missed = count - self._last.get(name, 0)
            if missed > 0 and not first and any(fnmatchcase(name, glob) for glob in self._globs):
                self.missed[name] = self.missed.get(name, 0) + missed
            self._last[name] = count
        self._since.clear()

    def _begin_anew(self) -> None:
        """Another bus counts from 1 again. What came since the last beacon may be its own: nothing is counted twice."""
        self.restarts += 1
        self._last, self._epoch = dict(self._since), _NEW


def _prefix(glob: str) -> str:
    cut = min((glob.index(mark) for mark in "*?[" if mark in glob), default=len(glob))
    return glob[:cut]
