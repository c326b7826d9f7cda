"""A daemon that takes what comes: `python -m tools.bench.taker`."""

from services.runtime import Daemon
from signals.envelope import Signal

daemon = Daemon("bench_taker")


@daemon.on("Q_BENCH_ITEM")
async def take(signal: Signal) -> None:
    """Nothing is to be done with it."""


daemon.run()
