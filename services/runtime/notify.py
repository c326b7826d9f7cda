"""Tell the service manager how the daemon is doing: the sd_notify(3) datagrams.

The `sdnotify` package writes Latin-1 and swallows every failure, so this is our own.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

from signals.errors import ConfigError

_log = logging.getLogger(__name__)
SEND_TIMEOUT_S = 1.0


class Notifier:
    """A connection to `NOTIFY_SOCKET`; without one every call does nothing and returns False.

    Each call returns whether the message was handed over. A failure is logged once until it works
    again and does not raise: a daemon goes on working when its manager is gone.
    Raises `ConfigError` when `NOTIFY_SOCKET` is not an address this can send to.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        self._failing = False
        self.watchdog_interval_s = _watchdog_interval(environ) if self._address else None
        """Seconds between two calls of `watchdog()`: half of what is allowed; None when not watched."""

    def ready(self, status: str = "") -> bool:
        """The daemon can do its work (also the end of a reload)."""
        return self._send("READY=1", *_status(status))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(*_status(text))

    def watchdog(self) -> bool:
        """The work loop is alive. Call it from the loop that does the work, nowhere else."""
        return self._send("WATCHDOG=1")

    def reloading(self) -> bool:
        """A reload has begun; `ready()` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str = "") -> bool:
        """The daemon has begun to stop."""
        return self._send("STOPPING=1", *_status(status))

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> bool:
        if self._address is None:
            return False
        try:
            self._open().sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError as error:
            self._failed(error)
            return False
        self._failing = False
        return True

    def _open(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(SEND_TIMEOUT_S)
        return self._socket

    def _failed(self, error: OSError) -> None:
        if not self._failing:
            _log.warning("cannot notify the service manager at NOTIFY_SOCKET: %s", error)
        self._failing = True


def _address(text: str) -> str | bytes | None:
    if not text:
        return None
    if text[0] == "@" and len(text) > 1:
        return b"\0" + os.fsencode(text[1:])
    if text[0] == "/":
        return text
    raise ConfigError(
        f"NOTIFY_SOCKET is {text!r}: it must be an absolute path, or @name for an abstract socket",
        key="NOTIFY_SOCKET",
    )


def _status(text: str) -> list[str]:
    # a line break would start another assignment, such as READY=1
    return [f"STATUS={' '.join(text.split())}"] if text else []


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    text, pid = environ.get("WATCHDOG_USEC"), environ.get("WATCHDOG_PID")
    if not text or (pid and pid != str(os.getpid())):
        return None
    if not text.isdecimal() or int(text) == 0:
        raise ConfigError(f"WATCHDOG_USEC is {text!r}: it must be microseconds, above 0", key="WATCHDOG_USEC")
    return int(text) / 2_000_000
