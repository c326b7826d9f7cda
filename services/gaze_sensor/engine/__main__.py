"""Begin the child: `python -I -S __main__.py EXTRA`, with the folder of the engine; a JSON object comes in a line.

Nothing of the daemon's own environment is on the path here: it has another protobuf than the engine needs.
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path
from types import ModuleType

MOST_BYTES = (512 << 20) + (os.cpu_count() or 1) * (40 << 20)
"""Of memory, since a camera can send a picture, or a part of one, of any size; the engine's threads, some for each
processor, are counted with stacks of 8 MiB that they do not use.
"""


def _be_services() -> None:
    """Let this package be imported by its name, and nothing that lies beside it."""
    services = ModuleType("services")
    services.__path__ = [str(Path(__file__).resolve().parents[2])]
    sys.modules["services"] = services


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):  # meant for the daemon, with which it ends: see `child`
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash would write down what the camera saw
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    sys.path.insert(0, sys.argv[1])
    _be_services()
    from services.gaze_sensor.engine.child import main

    main(json.loads(sys.stdin.buffer.readline()))
