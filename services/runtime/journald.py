"""journald's own protocol: one datagram a line, with fields that `journalctl FIELD=value` finds.

The format is systemd's "Native Journal Protocol"; a line too long for a datagram travels in a sealed memory file.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

SOCKET = Path("/run/systemd/journal/socket")
FIELDS = {
    "daemon": "DAEMON",
    "action": "ACTION",
    "signal": "SIGNAL",
    "signal_id": "SIGNAL_ID",
    "correlation_id": "CORRELATION_ID",
    "seq": "SEQ",
}
"""What of a log line becomes a field of its own, beside the whole line in MESSAGE."""


def encode(fields: Mapping[str, str]) -> bytes:
    """The datagram for these fields."""
    return b"".join(_field(name, value.encode("utf-8", "replace")) for name, value in fields.items())


def _field(name: str, value: bytes) -> bytes:
    if b"\n" not in value:
        return name.encode() + b"=" + value + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"


class Journal:
    """A way to journald. `write(line, event)` takes a line as rendered, `<6>{...}`, and the event it came from."""

    def __init__(self, instead: TextIO, path: Path = SOCKET) -> None:
        """`instead` gets the line when journald does not take it."""
        self._instead = instead
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._address = str(path)

    def write(self, line: str, event: Mapping[str, Any]) -> None:
        """Send one line; never blocks on journald's socket."""
        known = {FIELDS[key]: str(event[key]) for key in FIELDS if event.get(key) is not None}
        message = {
            "MESSAGE": line[3:],
            "PRIORITY": line[1],
            "SYSLOG_IDENTIFIER": f"ligand-{str(event['daemon']).replace('_', '-')}",
            **known,
        }
        try:
            self._send(encode(message))
        except OSError:  # journald is away or behind: stderr is the other way to it, and it waits
            self._instead.write(f"{line}\n")
            self._instead.flush()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _send(self, datagram: bytes) -> None:
        try:
            self._socket.sendto(datagram, socket.MSG_DONTWAIT, self._address)
        except OSError as error:
            if isinstance(error, BlockingIOError | FileNotFoundError | ConnectionRefusedError):
                raise
            self._send_in_memory(datagram)

    def _send_in_memory(self, datagram: bytes) -> None:
        descriptor = os.memfd_create("ligand-log", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(datagram)
            seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))]
            self._socket.sendmsg([b""], rights, socket.MSG_DONTWAIT, self._address)
        finally:
            os.close(descriptor)


class JournalLogger:
    """What structlog writes through: every level's method sends one line."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def msg(self, line: str, event: Mapping[str, Any]) -> None:
        """Send one line."""
        self._journal.write(line, event)

    debug = info = warning = error = critical = exception = fatal = log = msg
