"""Run gaze_sensor until it is told to stop."""

from services.gaze_sensor.daemon import daemon

daemon.run()
