"""Wires the watch to the bus; nothing is consumed."""

from __future__ import annotations

from services.gaze_sensor import bundle
from services.gaze_sensor.settings import Settings
from services.gaze_sensor.watching import Watch
from services.runtime import Daemon
from signals.errors import ConfigError

daemon = Daemon("gaze_sensor")
watch = Watch(daemon)
daemon.on_start(watch.open)
daemon.on_reload(watch.open)
daemon.on_stop(watch.close)
daemon.every(0)(watch.watch)


@daemon.on_check
def check() -> None:
    """Bounds that contradict each other, and a model that is none, are told before use. Raises `ConfigError`."""
    file = str(daemon.paths.config_of(daemon.name))
    try:
        settings = Settings.of(daemon.config)
    except ConfigError as error:
        raise ConfigError(error.message, file=file) from error
    if (fault := bundle.fault(settings.seeing.model)) is not None:
        raise ConfigError(f"gaze_sensor: {fault}: {bundle.HINT}.", file=file)
