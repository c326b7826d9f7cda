"""Run the policy engine until it is told to stop."""

from services.policy_engine.daemon import daemon

daemon.run()
