"""Whole messages through a socket, without waiting.

pyzmq's own `send_multipart` and `recv_multipart` do the same at two to three times the cost: they combine
flags anew for each frame, and ask the socket after each whether more follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from errno import EINVAL
from typing import Any

import zmq
from zmq.backend import Socket as Backend

_NOW = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
_send = Backend.send
_receive = Backend.recv


def send(socket: zmq.Socket[Any], frames: Sequence[bytes]) -> None:
    """Hand one message over. Raises `zmq.Again` when its queue is full, `zmq.ZMQError` when nobody is there."""
    for frame in frames[:-1]:
        _send(socket, frame, _MORE)
    _send(socket, frames[-1], _NOW)


def receive(socket: zmq.Socket[Any]) -> list[bytes]:
    """The next message. Raises `zmq.Again` when there is none."""
    return _rest(socket, _receive(socket, _NOW, False))


def receive_from(socket: zmq.Socket[Any]) -> tuple[list[bytes], str | None]:
    """The next message and the `Peer-Address` of its sender. Raises `zmq.Again` when there is none.

    A peer that speaks a ZMTP older than 3.0 has no address: None.
    """
    first = _receive(socket, _NOW, False)
    frames = _rest(socket, first)
    try:
        return frames, str(first.get("Peer-Address"))
    except zmq.ZMQError as error:
        if error.errno != EINVAL:
            raise
        return frames, None


def _rest(socket: zmq.Socket[Any], frame: zmq.Frame) -> list[bytes]:
    found = [frame.bytes]
    while frame.more:
        frame = _receive(socket, _NOW, False)
        found.append(frame.bytes)
    return found
