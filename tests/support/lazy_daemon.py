"""A person's own daemon, for the tests under systemd: it hangs in a busy loop on the first delivery of a signal.

Installed as `/srv/lazy.py` with the manifest `lazy`; it consumes Q_INTENT_READY and logs how long a secret is.
"""

from pathlib import Path

from services.runtime import Daemon

daemon = Daemon("lazy")


@daemon.on_start
async def start():
    daemon.log.info("credential", length=len(daemon.credential("token")))


@daemon.on("Q_INTENT_READY")
async def heard(signal, emit):
    mark = Path(daemon.state_dir) / "hung_once"
    if not mark.exists():
        mark.touch()
        while True:
            pass
    emit("Q_SPEAK", text=f"heard {signal.facts['file']}")


daemon.run()
