"""The mirror: every committed signal once more, for whoever watches. Lossy, with counts that say what was missed."""

from __future__ import annotations

import time

import orjson
import zmq

from signals.frames import send
from signals.wire import BEACON

BEACON_EVERY_S = 1.0


class Mirror:
    """An XPUB socket; a message is `[name, count of that name, envelope]`, a beacon `[_beacon, counts]`."""

    def __init__(self, socket: zmq.Socket[bytes], epoch: str) -> None:
        self.socket = socket
        self._epoch = epoch
        self._counts: dict[str, int] = {}
        self._watchers = 0
        self._last_beacon = 0.0

    def heed(self) -> None:
        """Take note of who came and went."""
        while True:
            try:
                message = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._watchers += 1 if message[:1] == b"\x01" else -1 if message[:1] == b"\x00" else 0

    def publish(self, name: str, raw: bytes) -> None:
        """Show one signal."""
        count = self._counts[name] = self._counts.get(name, 0) + 1
        if self._watchers > 0:
            self._send([name.encode(), b"%d" % count, raw])

    def beacon(self, head: int) -> None:
        """Once a second, say how many of each were shown."""
        now = time.monotonic()
        if self._watchers > 0 and now - self._last_beacon >= BEACON_EVERY_S:
            self._last_beacon = now
            self._send([BEACON, orjson.dumps({"epoch": self._epoch, "head": head, "counts": self._counts})])

    def next_beacon_in(self) -> float | None:
        """Seconds until the next beacon is due; None while nobody watches."""
        if self._watchers <= 0:
            return None
        return max(0.0, self._last_beacon + BEACON_EVERY_S - time.monotonic())

    def _send(self, frames: list[bytes]) -> None:
        try:
            send(self.socket, frames)
        except zmq.Again:  # XPUB drops for slow watchers itself; it never blocks unless told to
            self._counts["_dropped"] = self._counts.get("_dropped", 0) + 1
