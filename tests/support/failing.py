"""A daemon of the tests: rejects an item whose `pad` says so, and hands the others on. `failing.py NAME IN OUT`."""

import sys

from services.runtime import Daemon, Reject

name, takes, gives = sys.argv[1:4]
daemon = Daemon(name)


@daemon.on(takes)
async def hand_on(signal, emit):
    if signal.facts["pad"].startswith("bad"):
        raise Reject("the pad is bad: " + signal.facts["pad"])
    emit(gives, n=signal.facts["n"], pad=signal.facts["pad"])


daemon.run()
