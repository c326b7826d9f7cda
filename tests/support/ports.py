"""Ports of this machine, each held for a test: what is free now may be another's a moment later."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def held() -> Iterator[int]:
    """A port of 127.0.0.1 that nothing else is given meanwhile; who listens on it has to set SO_REUSEADDR."""
    with socket.socket() as holding:
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holding.bind(("127.0.0.1", 0))
        yield holding.getsockname()[1]
