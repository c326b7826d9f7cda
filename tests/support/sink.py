"""A daemon of the tests that takes what it is given and says nothing. `sink.py NAME SIGNAL`."""

import sys

from services.runtime import Daemon

name, takes = sys.argv[1:3]
daemon = Daemon(name)


@daemon.on(takes)
async def take(signal):
    daemon.log.debug("taken", seq=signal.seq)


daemon.run()
