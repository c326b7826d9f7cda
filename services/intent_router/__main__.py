"""Runs the daemon: `python -m services.intent_router`."""

from services.intent_router.daemon import daemon

if __name__ == "__main__":
    daemon.run()
