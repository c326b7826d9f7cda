"""The face that a person had learnt: what is kept of it, numbers that are no picture, in the daemon's own folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from math import dist, isfinite
from pathlib import Path
from tempfile import NamedTemporaryFile

import orjson

from services.gaze_sensor.logic import Face
from signals.errors import ConfigError
from signals.files import read_regular, sync

Features = tuple[float, ...]
"""128 numbers; see `engine.likeness`."""
LENGTH = 128
FILE = "enrolled.json"
MOST_BYTES = 1 << 16
LEAST, MOST = 5, 12
"""Of a face, how many features are needed, and how many are kept."""
ONE_PERSON = 0.45
"""Features of one person in a few seconds are no further apart; of two people they are."""
NEAR_PX, STRAIGHT_DEG = 73.0, 30.0
AGAIN = "ligand gaze enrol makes it anew"


def load(folder: Path) -> tuple[Features, ...]:
    """What was learnt; nothing if nobody is enrolled. Raises `ConfigError` for a file that is damaged."""
    path = folder / FILE
    try:
        found = orjson.loads(read_regular(path, MOST_BYTES))["features"]
        features = tuple(tuple(map(_number, one)) for one in found)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(f"the enrolled face in {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"the enrolled face in {path} is damaged") from error
    if not 1 <= len(features) <= MOST or any(len(one) != LENGTH for one in features):
        raise ConfigError(f"the enrolled face in {path} is damaged")
    return features


def _number(value: object) -> float:
    if not isinstance(value, (int, float)) or not isfinite(value):
        raise TypeError(f"{value!r} is no number")
    return value


def is_good(face: Face) -> bool:
    """Whether a face is near enough, and turned here enough, to be learnt."""
    return face.size_px >= NEAR_PX and max(abs(face.yaw_deg), abs(face.pitch_deg)) <= STRAIGHT_DEG


def chosen(features: Sequence[Features], most_faces: int) -> list[Features]:
    """What is to be kept of the features of a few seconds. Raises `ConfigError` for what is nobody's face."""
    if most_faces > 1:
        raise ConfigError(f"{most_faces} faces were seen. Be alone before the camera, and try again.")
    if len(features) < LEAST:
        raise ConfigError(
            f"A face was seen well {len(features)} times, of at least {LEAST}. Sit where you usually sit, with light "
            "on your face, look at the screen, and try again; ligand gaze preview shows what is seen."
        )
    if max(dist(one, other) for one in features for other in features) > ONE_PERSON:
        raise ConfigError("What was seen is not like one face. Be alone before the camera, move slowly, and try again.")
    count = min(MOST, len(features))
    return [features[nth * len(features) // count] for nth in range(count)]


def save(folder: Path, features: Sequence[Features]) -> Path:
    """Keep it, for the daemon alone; it stands there whole or not at all. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path, owner = folder / FILE, folder.stat()
    with NamedTemporaryFile(dir=folder, prefix=f".{FILE}.", delete=False) as fresh:  # which only its owner may read
        try:
            fresh.write(orjson.dumps({"features": features}))
            fresh.flush()
            os.fsync(fresh.fileno())
            if os.geteuid() != owner.st_uid:  # root, for a daemon that is another user
                os.fchown(fresh.fileno(), owner.st_uid, owner.st_gid)
            os.replace(fresh.name, path)
        except BaseException:
            Path(fresh.name).unlink()
            raise
    sync(folder)
    return path


def forget(folder: Path) -> bool:
    """Remove it, and what an enrolment that was killed has left; whether there was any. Raises `OSError`."""
    removed = False
    for path in (folder / FILE, *folder.glob(f".{FILE}.*")):
        with suppress(FileNotFoundError):
            path.unlink()
            removed = True
    if removed:
        sync(folder)
    return removed
