"""Run the capability integrator until it is told to stop."""

from services.capability_integrator.daemon import daemon

daemon.run()
