"""Run one instance until it is told to stop: `python -m services.model_worker primary`."""

import os
import sys

from services.model_worker.daemon import INSTANCES, build

if len(sys.argv) != 2 or sys.argv[1] not in INSTANCES:
    sys.exit(f"usage: python -m services.model_worker {'|'.join(INSTANCES)}")
for name in [name for name in os.environ if name.startswith("OPENAI_")]:
    del os.environ[name]  # the client library would take keys, headers and addresses from there, unasked

build(sys.argv[1]).run()
