"""Begin a child: `python -m services.audio_sensor.child MODULE`, with the extra's packages on its path.

Its settings are the first message on its standard input.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from services.audio_sensor import messages
from services.audio_sensor.voices import UNTOLD
from services.runtime import extras

if __name__ == "__main__":
    os.environ.update(UNTOLD)
    extras.use("audio")
    module = import_module(f"services.audio_sensor.{sys.argv[1]}")
    order = messages.read(sys.stdin.buffer)
    code = 0 if order is None else module.main(order[0])
    sys.stdout.buffer.flush()
    os._exit(code)  # PortAudio's threads may hang in a sound server that has gone
