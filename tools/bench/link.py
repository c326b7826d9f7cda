"""One daemon of the chain: `python -m tools.bench.link NAME IN OUT`."""

import sys
from collections.abc import Callable
from typing import Any

from services.runtime import Daemon
from signals.envelope import Signal

name, takes, gives = sys.argv[1:4]
daemon = Daemon(name)


@daemon.on(takes)
async def hand_on(signal: Signal, emit: Callable[..., Any]) -> None:
    """Pass the facts on under the next name."""
    emit(gives, signal.facts)


daemon.run()
