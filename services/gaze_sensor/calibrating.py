"""What a person's own face measures when they look here, and how that gets into their file."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from services.gaze_sensor.logic import Face
from services.runtime.rewriting import rewrite
from signals.errors import ConfigError

LEAST_FRAMES = 20
STEADY = {"yaw_deg": 10.0, "pitch_deg": 10.0, "gaze_x": 0.15, "gaze_y": 0.2}
"""How far nine tenths of the frames may lie apart; who moves more cannot be measured."""
ABOUT = "measured by `ligand gaze calibrate`"


def suggestion(faces: Sequence[Face], frames: int) -> dict[str, dict[str, Any]]:
    """Settings for this person from faces that looked here. Raises `ConfigError` for what is no measure."""
    if len(faces) < max(LEAST_FRAMES, 0.8 * frames):
        raise ConfigError(
            f"A face was seen in {len(faces)} of {frames} frames. Sit where you usually sit, with light on your face, "
            "look at the screen, and try again; ligand gaze preview shows what is seen."
        )
    straight = {}
    for name, apart in STEADY.items():
        values = [getattr(face, name) for face in faces]
        tenths = quantiles(values, n=10)
        if tenths[-1] - tenths[0] > apart:
            raise ConfigError(f"You moved while you were measured ({name}). Look at one place, and try again.")
        straight[name] = round(median(values), 1 if name.endswith("deg") else 3)
    opening = median(face.eye_opening for face in faces)
    eyes = {"none": round(0.45 * opening, 3), "full": round(0.65 * opening, 3)}
    return {"straight": straight, "bounds": {"eye_opening": eyes}}


def as_yaml(settings: Mapping[str, Any]) -> str:
    """The settings as they would stand in the file."""
    text = io.StringIO()
    YAML().dump(_commented(settings), text)
    return text.getvalue()


def write(path: Path, settings: Mapping[str, Any], judge: Callable[[Path], object]) -> Path | None:
    """Put the settings into a person's file, whose comments stay; where its copy of before is. Raises `ConfigError`.

    `judge` raises for a file that cannot be used; then nothing is changed.
    """
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    after = _merged(before, settings, path)
    copy = path.with_name(f"{path.name}.bak")
    rewrite(path, after, judge, copy)
    return copy if before else None


def _merged(before: str, settings: Mapping[str, Any], path: Path) -> str:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    try:
        document = yaml.load(before)
    except YAMLError as error:
        raise ConfigError(f"{path} is no YAML, so nothing is written into it: {error}") from error
    if document is None:  # nothing but comments, which would be lost with the document that they do not belong to
        return f"{before.rstrip()}\n\n{as_yaml(settings)}".lstrip()
    if not isinstance(document, CommentedMap):
        raise ConfigError(f"{path} holds no settings, so nothing is written into it.")
    _put(document, settings)
    text = io.StringIO()
    yaml.dump(document, text)
    return text.getvalue()


def _put(document: CommentedMap, settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if isinstance(value, Mapping) and isinstance(document.get(name), CommentedMap):
            _put(document[name], value)
        else:
            document[name] = _commented({name: value})[name]
            if isinstance(value, Mapping):
                document.yaml_add_eol_comment(ABOUT, name)


def _commented(settings: Mapping[str, Any]) -> CommentedMap:
    made = CommentedMap()
    for name, value in settings.items():
        made[name] = _commented(value) if isinstance(value, Mapping) else value
        if isinstance(value, Mapping):
            made.yaml_add_eol_comment(ABOUT, name)
    return made
