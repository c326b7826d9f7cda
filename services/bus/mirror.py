"""The mirror: every committed signal once more, for whoever watches. Lossy, with counts that say what was missed."""

from __future__ import annotations

import time

import orjson
import zmq

from signals.frames import send
from signals.wire import BEACON, WOKEN

BEACON_EVERY_S = 1.0


class Mirror:
    """An XPUB socket; a message is `[name, count of that name, envelope]`, a beacon `[_beacon, {epoch, …}]`.

    After each commit `[_woken, 1, nothing]`: who only waits for news is told of many signals at once. What nobody
    subscribed to is counted and not sent.
    """

    def __init__(self, socket: zmq.Socket[bytes], epoch: str) -> None:
        self.socket = socket
        self._epoch = epoch
        self._counts: dict[str, int] = {}
        self._topics: set[bytes] = set()
        self._shown: dict[str, bool] = {}
        self._last_beacon = 0.0

    def heed(self) -> None:
        """Take note of who came and went."""
        while True:
            try:
                message = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            if message[:1] == b"\x01":
                self._topics.add(message[1:])
            elif message[:1] == b"\x00":
                self._topics.discard(message[1:])
            self._shown.clear()

    def _is_wanted(self, name: str) -> bool:
        found = self._shown.get(name)
        if found is None:
            topic = name.encode()
            found = self._shown[name] = any(topic.startswith(each) for each in self._topics)
        return found

    def publish(self, name: str, raw: bytes) -> None:
        """Show one signal."""
        count = self._counts[name] = self._counts.get(name, 0) + 1
        if self._is_wanted(name):
            self._send([name.encode(), b"%d" % count, raw])

    def wake(self) -> None:
        """Say that something was committed."""
        if WOKEN in self._topics:
            self._send([WOKEN, b"1", b""])  # the shape of a signal: a watcher of an older version passes it over

    def beacon(self, head: int) -> None:
        """Once a second, say how many of each were shown."""
        now = time.monotonic()
        if self._topics and now - self._last_beacon >= BEACON_EVERY_S:
            self._last_beacon = now
            self._send([BEACON, orjson.dumps({"epoch": self._epoch, "head": head, "counts": self._counts})])

    def next_beacon_in(self) -> float | None:
        """Seconds until the next beacon is due; None while nobody watches."""
        if not self._topics:
            return None
        return max(0.0, self._last_beacon + BEACON_EVERY_S - time.monotonic())

    def _send(self, frames: list[bytes]) -> None:
        try:
            send(self.socket, frames)
        except zmq.Again:  # XPUB drops for slow watchers itself; it never blocks unless told to
            self._counts["_dropped"] = self._counts.get("_dropped", 0) + 1
