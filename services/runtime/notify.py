"""Tell the service manager how the daemon is doing: the sd_notify(3) datagrams, sent through `sdnotify`.

`sdnotify` writes Latin-1 and is silent about failures unless asked; here text is UTF-8 and a failure is logged.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping

from sdnotify import SystemdNotifier

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
        self._told = _is_address(environ.get("NOTIFY_SOCKET", ""))
        self._systemd: SystemdNotifier | None = None
        self._failing = False
        self.watchdog_interval_s = _watchdog_interval(environ) if self._told else None
        """Seconds between two calls of `watchdog()`: half of what is allowed; None when not watched."""

    def ready(self, status: str = "") -> bool:
        """The daemon can do its work (also the end of a reload)."""
        return self._send("READY=1", *_status(status))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`; left out when the manager is behind with reading."""
        return self._send(*_status(text), wait_s=0.0)

    def watchdog(self) -> bool:
        """The work loop is alive. Call it from the loop that does the work, nowhere else."""
        return self._send("WATCHDOG=1", wait_s=0.0)

    def reloading(self) -> bool:
        """A reload has begun; `ready()` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str = "") -> bool:
        """The daemon has begun to stop."""
        return self._send("STOPPING=1", *_status(status))

    def close(self) -> None:
        """Give the socket back."""
        if self._systemd is not None:
            self._systemd.socket.close()
            self._systemd = None

    def _send(self, *lines: str, wait_s: float = SEND_TIMEOUT_S) -> bool:
        if not self._told:
            return False
        try:
            if self._systemd is None:
                self._systemd = SystemdNotifier(debug=True)
            self._systemd.socket.settimeout(wait_s)
            # the package encodes as Latin-1: what it is given must be the bytes of UTF-8, one a character
            self._systemd.notify("\n".join(lines).encode("utf-8", "replace").decode("latin-1"))
        except BlockingIOError:
            return False
        except OSError as error:
            self.close()
            self._failed(error)
            return False
        self._failing = False
        return True

    def _failed(self, error: OSError) -> None:
        if not self._failing:
            _log.warning("cannot notify the service manager at NOTIFY_SOCKET: %s", error)
        self._failing = True


def _is_address(text: str) -> bool:
    if not text:
        return False
    if text[0] == "/" or (text[0] == "@" and len(text) > 1):
        return True
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
