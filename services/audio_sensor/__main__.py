"""Run audio_sensor until it is told to stop."""

from services.audio_sensor.daemon import daemon

daemon.run()
