"""`ligand gaze`: what the camera sees of a face, and a person's own measures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from services.gaze_sensor import asking, calibrating, cameras, enrolment
from services.gaze_sensor.cameras import Target, Trouble
from services.gaze_sensor.logic import Face, nearest
from services.gaze_sensor.session import order
from services.gaze_sensor.settings import AUTO, Seeing, Settings
from services.runtime import config as configuration
from services.runtime import extras
from services.runtime.commands import Failure, Finite, form_option, home_option, say, say_json, told
from services.runtime.manifest import Manifest
from signals.paths import Paths

T = TypeVar("T")
DAEMON = "gaze_sensor"
RELOAD = "It holds after `systemctl reload ligand-gaze-sensor`, or SIGHUP to `ligand up`."
COLUMNS = 64
BRAILLE = 0x2800
BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Of the dots of a Braille character, by row and column."""
_camera = click.option("--camera", help="A device, an address, a film or a picture. [that of gaze_sensor.yaml]")


@click.group()
def gaze() -> None:
    """What the camera sees, and your own measures for it."""


@gaze.command()
@_camera
@click.option(
    "--png", type=click.Path(path_type=Path, dir_okay=False), help="Draw it over the picture, into this file."
)
@form_option
@home_option
@told
def preview(*, camera: str | None, png: Path | None, form: str, home: Path | None) -> int:
    """Look once, and show the landmarks and the score. A picture is written only with --png."""
    config, settings = _settings(Paths.resolve(home), camera)
    target = _target(settings.seeing)
    bounds = {"bounds": config["bounds"], "straight": config["straight"]}
    drawn = "" if png is None else str(png.absolute())
    asked = order(target, "preview", **bounds, png=drawn)
    with closing(asking.told(target, asked)) as lines:
        told = next(lines)
    if png is not None and not told["drawn"]:
        raise Failure(f"{png} could not be written. Name a file in a folder of yours.")
    dots = told.pop("dots")
    if form == "json":
        say_json([told])
        return 0
    if dots:
        say(*braille(dots))
    _show(told)
    if png is not None:
        say(f"drawn into {png}")
    return 0


@gaze.command()
@_camera
@click.option("--seconds", default=5.0, show_default=True, type=Finite(1, 60), help="How long to look.")
@click.option("--write", is_flag=True, help="Put it into gaze_sensor.yaml; comments stay.")
@home_option
@told
def calibrate(*, camera: str | None, seconds: float, write: bool, home: Path | None) -> int:
    """Measure you while you look at the screen, and suggest settings. Sit as usual, and look where you usually look."""
    paths = Paths.resolve(home)
    target = _target(_settings(paths, camera)[1].seeing)
    click.echo(f"Look at the screen for {seconds:g} seconds.", err=True)
    frames = [nearest(one["faces"]) for one in asking.frames(target, order(target, "look"), seconds, _looker(paths))]
    faces = [face for face in frames if face is not None]
    found = calibrating.suggestion(faces, len(frames))
    if not write:
        click.echo(calibrating.as_yaml(found), nl=False)
        click.echo("--write puts this into gaze_sensor.yaml.", err=True)
        return 0
    path = paths.config_of(DAEMON)
    schema = Manifest.of(DAEMON).config
    copy = calibrating.write(path, found, lambda made: Settings.of(configuration.load(made, schema, daemon=DAEMON)))
    say(f"{path}: written" + (f"; as it was: {copy.name}" if copy else ""))
    say(RELOAD)
    return 0


@gaze.command()
@_camera
@click.option("--seconds", default=5.0, show_default=True, type=Finite(2, 60), help="How long to look.")
@home_option
@told
def enrol(*, camera: str | None, seconds: float, home: Path | None) -> int:
    """Learn your face, for `face: enrolled`. Be alone before the camera, and turn your head a little meanwhile.

    What is kept are numbers, no picture. It is for convenience and protects nothing: a photograph passes for you.
    """
    paths = Paths.resolve(home)
    if (missing := extras.lacking("face")) is not None:
        raise Failure(f"{missing.reason}: {missing.hint}")
    target = _target(_settings(paths, camera)[1].seeing)
    click.echo(f"Look at the screen for {seconds:g} seconds.", err=True)
    lines = list(asking.frames(target, order(target, "enrol"), seconds, _looker(paths)))
    good = [tuple(one["features"]) for one in lines if "features" in one and enrolment.is_good(Face(**one["faces"][0]))]
    kept = enrolment.chosen(good, max((one["seen"] for one in lines), default=0))
    path = _kept(enrolment.save, paths, kept)
    say(f"{path}: {len(kept)} features of your face; ligand gaze forget removes them")
    say("face: enrolled in gaze_sensor.yaml has only that face counted; where it stands there, it is so by now.")
    return 0


@gaze.command()
@home_option
@told
def forget(*, home: Path | None) -> int:
    """Remove what was learnt of your face."""
    there = _kept(enrolment.forget, Paths.resolve(home))
    say("What was learnt of your face is removed." if there else "No face was enrolled.")
    return 0


# -- what is shown -----------------------------------------------------------------------------------


def _show(told: Mapping[str, Any]) -> None:
    factors = ", ".join(f"{name} {value:.2f}" for name, value in told["factors"].items())
    say(f"{cameras.shown(told['source'])}: score {told['score']:.2f} ({factors})")
    for face in told["faces"]:
        say("face: " + ", ".join(f"{name} {value:.3g}" for name, value in face.items()))
    if not told["faces"]:
        say("no face is seen")


def braille(faces: Sequence[Sequence[Sequence[float]]], columns: int = COLUMNS) -> list[str]:
    """Points in a picture of 4:3, as lines of Braille characters, each two dots wide and four high."""
    rows = columns * 2 * 3 // 4 // 4
    cells = [[0] * columns for _ in range(rows)]
    for x, y in (point for face in faces for point in face):
        column, row = int(x * columns * 2), int(y * rows * 4)
        if 0 <= column < columns * 2 and 0 <= row < rows * 4:
            cells[row // 4][column // 2] |= BITS[row % 4][column % 2]
    return ["".join(chr(BRAILLE + cell) for cell in line) for line in cells]


# -- what is asked -----------------------------------------------------------------------------------


def _settings(paths: Paths, camera: str | None) -> tuple[dict[str, Any], Settings]:
    """The configuration, with another camera where one is given. Raises `ConfigError`."""
    config = configuration.load(paths.config_of(DAEMON), Manifest.of(DAEMON).config, daemon=DAEMON)
    if camera is not None:
        config["camera"] = camera if camera == AUTO or "://" in camera else str(Path(camera).absolute())
    return config, Settings.of(config)


def _target(seeing: Seeing) -> Target:
    found = cameras.find(replace(seeing, face="largest"))  # here anybody may look
    if isinstance(found, Trouble):
        raise asking.failure(found)
    return found


def _looker(paths: Paths) -> str | None:
    """The user who looks: for root, whose work is only to keep what is found, the daemon's own."""
    return Manifest.of(DAEMON).system_user if paths.is_machines and os.geteuid() == 0 else None


def _kept(act: Callable[..., T], paths: Paths, *arguments: object) -> T:
    """What is done with the daemon's own folder. Raises `Failure` where that is not the caller's to change."""
    folder = paths.state_of(DAEMON)
    try:
        return act(folder, *arguments)
    except OSError as error:
        raise Failure(
            f"{folder} cannot be changed: {error.strerror}. Where the daemon is another user: sudo."
        ) from error
