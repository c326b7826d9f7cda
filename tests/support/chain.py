"""A daemon of the tests: hands an item on, one step of a chain. `chain.py NAME IN OUT`."""

import sys

from services.runtime import Daemon

name, takes, gives = sys.argv[1:4]
daemon = Daemon(name)


@daemon.on(takes)
async def hand_on(signal, emit, put):
    emit(gives, signal.facts)
    put("count", daemon.state.get("count", 0) + 1)


daemon.run()
