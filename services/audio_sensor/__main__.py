"""Run audio_sensor until it is told to stop."""

import resource

from services.audio_sensor.daemon import daemon

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash, here or of a child, would write down what was heard
daemon.run()
