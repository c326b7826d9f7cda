"""A person's own template daemon, for the tests under systemd: each instance says of an intent that it heard it.

Installed as `/srv/twin.py` with the manifest `twin`; the instance is its one argument.
"""

import sys

from services.runtime import Daemon

daemon = Daemon("twin", instance=sys.argv[1])


@daemon.on("Q_INTENT_READY")
async def heard(signal, emit):
    emit("Q_SPEAK", text=f"{daemon.name} heard {signal.facts['file']}")


daemon.run()
