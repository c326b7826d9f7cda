"""The manager's end of sd_notify: who says what, with the sender's process id from the kernel."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from signals.errors import LigandError

_CREDENTIALS = struct.Struct("iii")  # pid, uid, gid: unix(7), SCM_CREDENTIALS
_SPACE = socket.CMSG_SPACE(_CREDENTIALS.size)
MAX_MESSAGE = 4096
MAX_PATH = 107


class NotifySocket:
    """A datagram socket at `path`. `on_message(pid, fields)` is called for each message.

    File descriptors that come along are closed. Raises `LigandError` when the path is too long.
    """

    def __init__(self, path: Path, on_message: Callable[[int, dict[str, str]], None]) -> None:
        if len(str(path).encode()) > MAX_PATH:
            raise LigandError(f"{path} is longer than the {MAX_PATH} bytes a socket's path may have")
        self.path = path
        self._on_message = on_message
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        path.unlink(missing_ok=True)  # left by a supervisor that was killed; the lock says there is no other
        self._socket.bind(str(path))
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def _read(self) -> None:
        while True:
            try:
                raw, ancillary, _flags, _address = self._socket.recvmsg(MAX_MESSAGE, 4 * _SPACE)
            except BlockingIOError:
                return
            pid = _sender(ancillary)
            if pid:
                self._on_message(pid, parse(raw))

    def close(self) -> None:
        """Stop listening and remove the socket's file."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self.path.unlink(missing_ok=True)


def parse(raw: bytes) -> dict[str, str]:
    """The assignments of one message; lines that are none are left out."""
    lines = raw.decode(errors="replace").split("\n")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int:
    pid = 0
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0]
        elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            _close_all(data)
    return pid


def _close_all(data: bytes) -> None:
    for (descriptor,) in struct.iter_unpack("i", data[: len(data) // 4 * 4]):
        socket.close(descriptor)
