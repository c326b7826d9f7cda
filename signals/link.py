"""A connection to the bus on asyncio: a DEALER socket read straight from the event loop.

pyzmq's own asyncio sockets cost a future for each message; this calls back instead. A link that goes down is
not mended but replaced, so that nothing stale is ever sent to a new bus.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from signals.frames import receive, send
from signals.paths import endpoint

RECONNECT_MS = 50


class Link:
    """One DEALER socket. `on_message(frames)` is called for each message, `on_down()` once when the peer is gone."""

    def __init__(
        self,
        context: zmq.Context[Any],
        path: Path,
        on_message: Callable[[list[bytes]], None],
        on_down: Callable[[], None],
    ) -> None:
        address = endpoint(path)
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_down = on_down
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._loop.add_reader(self._socket.fileno(), self._drain)
        self._loop.add_reader(self._monitor.fileno(), self._look)
        self._draining = False
        self.closed = False
        self._socket.connect(address)
        self._loop.call_soon(self._look)  # a descriptor stays silent until its socket was once found empty

    def send(self, frames: list[bytes]) -> None:
        """Hand a message over; it waits while the bus is not there."""
        send(self._socket, frames)
        if not self._draining:
            # the descriptor tells of changes only, and sending may have swallowed one
            self._draining = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._draining = False
        while not self.closed:
            try:
                frames = receive(self._socket)
            except zmq.Again:
                return
            self._on_message(frames)

    def _look(self) -> None:
        while not self.closed:
            try:
                frames = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if parse_monitor_message(frames)["event"] == zmq.EVENT_DISCONNECTED:
                self._drain()
                self.close()
                self._on_down()

    def close(self, linger_ms: int = 0) -> None:
        """Let go of the sockets."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_reader(self._monitor.fileno())
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close(linger=linger_ms)
