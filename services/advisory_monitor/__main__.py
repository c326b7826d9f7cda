"""Run the advisory monitor until it is told to stop."""

from services.advisory_monitor.daemon import daemon

daemon.run()
