"""Which cameras there are, looked up without opening any; and what to say when one cannot be used."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from services.gaze_sensor import bundle
from services.gaze_sensor.logic import ENROLLED
from services.gaze_sensor.settings import AUTO, Seeing
from services.runtime import extras

DEVICES = Path("/dev")
FILE = "gaze_sensor.yaml"
AGAIN = "nothing needs to be restarted"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing is seen, and what a person can do."""

    reason: str
    hint: str
    device: str | None = None

    def facts(self, sensor: str) -> dict[str, object]:
        """As Q_SENSOR_DEGRADED tells it."""
        facts = {"sensor": sensor, "reason": self.reason[:512], "hint": self.hint[:1024], "device": self.device}
        return {name: value for name, value in facts.items() if value}


@dataclass(frozen=True, slots=True)
class Target:
    """What can be tried now. `stamp` tells a film from one that was put in its place; a film is read once."""

    extra: Path
    seeing: Seeing
    sources: tuple[str, ...]
    stamp: int = 0

    @property
    def is_film(self) -> bool:
        return bool(self.stamp)


def find(seeing: Seeing) -> Target | Trouble:
    """What to open for these settings, or why there is nothing."""
    camera = seeing.camera
    if (missing := extras.lacking("gaze")) is not None:
        return Trouble(missing.reason, f"{missing.hint}; if it is not wanted, enabled: false in {FILE}")
    if (fault := bundle.fault(seeing.model)) is not None:
        return Trouble(fault, f"{bundle.HINT}; {AGAIN}")
    if seeing.face == ENROLLED and (missing := extras.lacking("face")) is not None:
        return Trouble(missing.reason, f"{missing.hint}; or face: largest in {FILE}")
    if seeing.face == ENROLLED and not seeing.enrolled:
        return Trouble("no face is enrolled", f"ligand gaze enrol learns yours; or face: largest in {FILE}; {AGAIN}")
    extra = extras.folder_of("gaze")
    if camera == AUTO:
        return Target(extra, seeing, found) if (found := _devices()) else _nothing()
    if "://" in camera:
        return Target(extra, seeing, (camera,))
    path = Path(camera)
    if not path.is_relative_to(DEVICES):
        path = Path(os.path.realpath(path))  # a link to a device is one
    stamp = _stamp_of(path, camera)
    return stamp if isinstance(stamp, Trouble) else Target(extra, seeing, (str(path),), stamp)


def _stamp_of(path: Path, camera: str) -> int | Trouble:
    """That of a film, 0 for a device; or why it cannot be opened."""
    is_device, hint = path.is_relative_to(DEVICES), f"plug it in, or set camera in {FILE}; {AGAIN}"
    name = f"the {'camera' if is_device else 'film'} {camera}"
    try:
        found = path.stat()
    except FileNotFoundError:
        return Trouble(f"{name} is not there", hint, shown(camera))
    except OSError as error:
        return Trouble(f"{name} cannot be opened: {error.strerror}", hint, shown(camera))
    if is_device:
        return 0
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for, without end
        return Trouble(f"{camera} is neither a device nor a film", hint, shown(camera))
    return found.st_mtime_ns or 1  # 0 in an archive that keeps no times


def _devices() -> tuple[str, ...]:
    numbered = [(int(found[1]), str(path)) for path in DEVICES.glob("video*") if (found := _NUMBER.match(path.name))]
    return tuple(path for _, path in sorted(numbered))


_NUMBER = re.compile(r"video(\d+)$")


def _nothing() -> Trouble:
    return Trouble(
        "no camera was found",
        f"plug one in, or set camera in {FILE}; {AGAIN}; if none is wanted, enabled: false there",
    )


def shown(camera: str) -> str:
    """The camera as it may be told: an address without its password and query."""
    if "://" not in camera:
        return camera[:256]
    parts = urlsplit(camera)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))[:256]


def unusable(kind: str, sources: tuple[str, ...]) -> Trouble:
    """What it means that the child gave a camera up."""
    names = [shown(source) for source in sources]
    name, device = ", ".join(names)[:300], names[0]
    if kind == "cannot_open":
        return Trouble(f"{name} gives no picture", f"{_see(sources[0])}; {AGAIN}", device)
    if kind == "stalled":
        return Trouble(f"{name} has stopped giving frames", f"unplug it and plug it in again; {AGAIN}", device)
    if kind == "gone":
        return Trouble(f"{name} is gone", f"plug it in again, or see that it runs; {AGAIN}", device)
    return Trouble(f"{name} has ended", f"name a camera in {FILE}, or put another film in its place", device)


def _see(source: str) -> str:
    """What to look at where nothing can be opened."""
    if "://" in source:
        return "see that it runs, that address and password are right, and that the network may be used: docs/gaze.md"
    if Path(source).is_relative_to(DEVICES):
        return "see that it is plugged in, that it runs, and that no other program uses it"
    return "see that it is a film or a picture, and whole"


def ended(told: Mapping[str, Any], sources: tuple[str, ...]) -> Trouble:
    """What it means that the child has ended by itself: `told` is the last of it, see `engine.child`."""
    if told["ended"] == "model":
        return Trouble(f"the engine cannot use the model {told['model']}: {told['why']}", f"{bundle.HINT}; {AGAIN}")
    return unusable(told["ended"], sources)


def crashed(code: int, said: str, model: str = "") -> Trouble:
    """The engine was killed, or ended by itself and said why; a `model` of a person's own may be the cause."""
    how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
    own = f"do without the model {model}, or " if model else ""
    why = f"; it said: {said}" if said else ""
    return Trouble(f"the engine that finds faces {how}", f"if this goes on, {own}install the engine again{why}")


HUNG = Trouble("the engine that finds faces hangs", f"it is killed and started again; {AGAIN}")


def too_slow(least: float, source: str) -> Trouble:
    """Too few frames to tell a blink from a look away."""
    hint = f"use a nearer port, more light, or another camera; {AGAIN}"
    return Trouble(f"the camera gives fewer than {least:g} frames a second", hint, shown(source))
