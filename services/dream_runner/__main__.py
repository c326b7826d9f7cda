"""Runs the daemon."""

from services.dream_runner.daemon import daemon

daemon.run()
