"""Run the policy engine until it is told to stop; with `--check-config` only judge its files."""

import sys

from services.policy_engine.checking import FLAG, check
from services.policy_engine.daemon import daemon

if FLAG in sys.argv[1:]:
    sys.exit(check())
daemon.run()
