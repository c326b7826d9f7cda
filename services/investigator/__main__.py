"""Run the investigator until it is told to stop."""

from services.investigator.daemon import daemon

daemon.run()
