"""`python -m services.winner_deployer`."""

from services.winner_deployer.daemon import daemon

daemon.run()
