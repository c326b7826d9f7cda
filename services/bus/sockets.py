"""Where the bus is found: one bus at an address, its two sockets, and who may connect to them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, TextIO

import zmq

from services.bus.access import Mode
from services.bus.doors import Door, close_to_others
from signals import locking
from signals.envelope import rfc3339
from signals.errors import ConfigError
from signals.paths import Paths, endpoint
from signals.wire import MAX_FRAME_BYTES

LOCK = "bus.lock"


def claim(paths: Paths) -> TextIO:
    """Hold the lock that makes this the only bus here: a second bind on a socket's path would steal it silently."""
    try:
        lock = locking.hold(paths, LOCK)
    except locking.HeldError as error:
        who = error.holder or "another process"
        raise ConfigError(
            f"Another bus ({who}) serves {paths.bus_socket}. Stop it, or choose another --home."
        ) from error
    locking.write(lock, f"pid {os.getpid()}, since {rfc3339(time.time())}")
    return lock


def leave(paths: Paths, lock: TextIO) -> None:
    """Nobody is to find the address any more, and whoever comes may have it."""
    for path in (paths.bus_socket, paths.mirror_socket):
        path.unlink(missing_ok=True)
    paths.leave_run(LOCK)
    lock.close()


def bind(context: zmq.Context[Any], paths: Paths, mode: Mode, log: Any) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    """The socket of requests and that of the mirror. Raises `ConfigError`."""
    router, mirror = context.socket(zmq.ROUTER), context.socket(zmq.XPUB)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    mirror.setsockopt(zmq.MAXMSGSIZE, 4096)
    router.setsockopt(zmq.RCVHWM, 4000)
    router.setsockopt(zmq.SNDHWM, 10_000)
    mirror.setsockopt(zmq.SNDHWM, 5_000)
    for sock, path in ((router, paths.bus_socket), (mirror, paths.mirror_socket)):
        address = endpoint(path)
        path.unlink(missing_ok=True)
        sock.bind(address)
    open_doors(paths, mode, log)
    return router, mirror


def open_doors(paths: Paths, mode: Mode, log: Any) -> None:
    """Say who may connect, from the groups as they are now. Raises `ConfigError`."""
    doors: tuple[tuple[Path, Door], ...] = ((paths.bus_socket, "bus"), (paths.mirror_socket, "mirror"))
    for path, door in doors:
        for group in close_to_others(path, door, mode):
            log.warning("group_missing", group=group, socket=str(path), mend="ligand install --system makes it")
