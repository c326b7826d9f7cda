"""Wires the watch to the bus; nothing is consumed."""

from __future__ import annotations

from services.gaze_sensor.settings import Settings
from services.gaze_sensor.watching import Watch
from services.runtime import Daemon

daemon = Daemon("gaze_sensor")
watch = Watch(daemon)
daemon.on_start(watch.open)
daemon.on_reload(watch.open)
daemon.on_stop(watch.close)
daemon.every(0)(watch.watch)


@daemon.on_check
def check() -> None:
    """Bounds that contradict each other are told before they are used. Raises `ConfigError`."""
    Settings.of(daemon.config)
