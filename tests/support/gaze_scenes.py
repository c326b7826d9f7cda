"""Scenes of one portrait: moved, made smaller, blurred, with eyes that look aside or are closed, with others, absent.

Run by the engine's interpreter, which has OpenCV: `python -I -S gaze_scenes.py EXTRA PORTRAIT FOLDER` writes one JPEG a
scene, `KIND-NAME.jpg`; what a person sees in it is what the kind says. `measures.json` has what the engine measures in
each, as if it were the only one, and `measures-bundle.json` what it measures with `face_landmarker.task` of the folder,
which is there once standard input has ended; `film.avi` and other films have some of them in a row.

The portrait is NASA's of Eileen Collins, in the public domain.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    services = ModuleType("services")
    services.__path__ = [str(ROOT / "services")]
    sys.modules["services"] = services

import cv2  # noqa: E402 - found only now
import numpy as np  # noqa: E402

from services.gaze_sensor.engine.mesh import Mesh, fitting, measured  # noqa: E402

WIDTH, HEIGHT = 640, 480
GREY = (96, 104, 110)
LIDS = (
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133)),
    ((362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263)),
)
FPS = 15
FILM = (("absent-wall", 2), ("looking-straight", 3), ("closed-straight", 0.3), ("looking-left", 2), ("aside-right", 4))
"""Scenes and for how many seconds each: a person comes, looks here, blinks, and then looks aside."""
CROWD = (("looking-from-the-side", 3), ("aside-beside-one-who-looks", 5), ("looking-from-the-side", 3))
"""Somebody looks here from afar; then one who is nearer, and looks aside, sits between for a while."""
TWO = "other-beside-one-who-looks"
IRISES = ((468, 469, 470, 471, 472), (473, 474, 475, 476, 477))


class Portrait:
    """The picture, twice as large, and the landmarks in it in pixels."""

    def __init__(self, file: str) -> None:
        self.image = cv2.resize(cv2.imread(file), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        height, width = self.image.shape[:2]
        (face,) = Mesh().points(self.image)
        self.points = np.array([[x * width, y * height] for x, y, _ in face])

    def closed(self) -> Any:
        """With both eyes closed: skin over them, and the lashes where the lids meet."""
        image = self.image.copy()
        for upper, lower in LIDS:
            over, under = self.points[list(upper)], self.points[list(lower)]
            mask = np.zeros(image.shape[:2], np.uint8)
            cv2.fillPoly(mask, [np.concatenate([over, under[::-1]]).astype(np.int32)], 255)
            mask = cv2.dilate(mask, np.ones((7, 7), np.uint8))
            image = cv2.inpaint(image, mask, 9, cv2.INPAINT_TELEA)
            lashes = (under * 0.9 + over * 0.1).astype(np.int32)
            cv2.polylines(image, [lashes], False, (40, 45, 60), 3, cv2.LINE_AA)
        return image

    def looking(self, right: float, down: float = 0.0) -> Any:
        """With both irises moved, in halves of the eye's width, to the right and down in the picture."""
        image = self.image.copy()
        for (upper, lower), iris in zip(LIDS, IRISES, strict=True):
            over, under = self.points[list(upper)], self.points[list(lower)]
            opening = np.zeros(image.shape[:2], np.uint8)
            cv2.fillPoly(opening, [np.concatenate([over, under[::-1]]).astype(np.int32)], 255)
            centre, half = self.points[iris[0]], np.linalg.norm(over[-1] - over[0]) / 2
            radius = float(np.mean([np.linalg.norm(self.points[each] - centre) for each in iris[1:]])) * 1.15
            disc = np.zeros(image.shape[:2], np.uint8)
            cv2.circle(disc, (round(centre[0]), round(centre[1])), round(radius), 255, -1)
            white = cv2.inpaint(image, cv2.bitwise_and(cv2.dilate(disc, np.ones((5, 5), np.uint8)), opening), 7, 1)
            move = np.array([[1, 0, right * half], [0, 1, down * half]], np.float32)
            size = (image.shape[1], image.shape[0])
            moved, shown = cv2.warpAffine(self.image, move, size), cv2.warpAffine(disc, move, size)
            shown = cv2.GaussianBlur(cv2.bitwise_and(shown, opening), (5, 5), 0)[..., None] / 255.0
            image = (moved * shown + white * (1 - shown)).astype(np.uint8)
        return image

    def other(self) -> Any:
        """Somebody else's face: a wider jaw, a smaller brow, a larger nose, eyes and mouth elsewhere."""
        height, width = self.image.shape[:2]
        across = np.linalg.norm(self.points[454] - self.points[234])
        centre = (np.mean(self.points[[234, 454], 0]), np.mean(self.points[[10, 152], 1]))
        down, right = np.mgrid[0:height, 0:width].astype(np.float32)
        x, y = (right - centre[0]) / across, (down - centre[1]) / across
        near = 1 - 0.4 * np.clip(1 - np.hypot(x, y - 0.055) / 0.66, 0, 1) ** 2
        y, x = np.where(y > 0, y * 0.75, y * 1.2), x * (1.15 - 0.4 / (1 + np.exp(-y / 0.13)))
        from_x, from_y = x * near * across + centre[0], ((y - 0.055) * near + 0.055) * across + centre[1]
        return cv2.remap(self.image, np.float32(from_x), np.float32(from_y), cv2.INTER_LINEAR)

    def on(self, ground: Any, image: Any, x: float, y: float, size: float) -> Any:
        """The portrait put on a ground: the face's centre at (x, y) of it, its cheeks `size` pixels apart."""
        scale = size / np.linalg.norm(self.points[454] - self.points[234])
        centre = (self.points[234] + self.points[454]) / 2
        move = np.array(
            [[scale, 0, x * WIDTH - scale * centre[0]], [0, scale, y * HEIGHT - scale * centre[1]]], np.float32
        )
        if scale < 1:  # as a lens does, not as a sieve
            image = cv2.GaussianBlur(image, (0, 0), 0.4 / scale)
        return cv2.warpAffine(
            image, move, (WIDTH, HEIGHT), ground, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
        )


def turned(image: Any, degrees: float) -> Any:
    """The whole picture rotated, as a head is that leans."""
    move = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), degrees, 1.0)
    return cv2.warpAffine(image, move, (WIDTH, HEIGHT), borderValue=GREY)


def scenes(portrait: Portrait) -> dict[str, Any]:
    """Kind and name -> the picture."""

    def ground() -> Any:
        return np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)

    def at(image: Any, x: float = 0.5, y: float = 0.45, size: float = 130.0) -> Any:
        return portrait.on(ground(), image, x, y, size)

    def noisy(image: Any) -> Any:
        noise = np.random.default_rng(1).normal(0, 12, image.shape)
        return np.clip(image + noise, 0, 255).astype(np.uint8)

    face, closed, other = portrait.image, portrait.closed(), portrait.other()
    right, left = portrait.looking(0.5), portrait.looking(-0.42)
    return {
        "looking-straight": at(face),
        "looking-left": at(face, 0.25),
        "looking-right": at(face, 0.75, 0.5),
        "looking-low": at(face, 0.5, 0.7),
        "looking-far": at(face, 0.45, 0.4, 80),
        "looking-near": at(face, 0.5, 0.5, 230),
        "looking-blurred": cv2.GaussianBlur(at(face), (0, 0), 1.5),
        "looking-dark": (at(face) * 0.35).astype(np.uint8),
        "looking-noisy": noisy(at(face)),
        "looking-leaning": turned(at(face), 12),
        "looking-mirrored": at(face)[:, ::-1].copy(),
        "looking-beside-one-who-does-not": portrait.on(at(face, 0.35, 0.45, 150), closed, 0.8, 0.5, 75),
        "aside-right": at(right),
        "aside-left": at(left),
        "aside-near": at(right, 0.5, 0.5, 230),
        "aside-far": at(left, 0.5, 0.45, 100),
        "aside-mirrored": at(right)[:, ::-1].copy(),
        "aside-beside-one-who-looks": portrait.on(at(right, 0.35, 0.45, 150), face, 0.8, 0.5, 75),
        "closed-straight": at(closed),
        "closed-left": at(closed, 0.3),
        "closed-near": at(closed, 0.5, 0.5, 230),
        "closed-far": at(closed, 0.5, 0.45, 100),
        "closed-mirrored": at(closed)[:, ::-1].copy(),
        "looking-from-the-side": at(face, 0.8, 0.5, 75),
        "looking-high-definition": cv2.resize(at(face), (1920, 1440), interpolation=cv2.INTER_CUBIC),
        "looking-upright": at(face)[:, 140:500].copy(),
        "looking-grey": cv2.cvtColor(at(face), cv2.COLOR_BGR2GRAY),
        "other-straight": at(other),
        "other-beside-one-who-looks": portrait.on(at(other, 0.35, 0.45, 150), face, 0.8, 0.5, 90),
        "absent-wall": ground(),
        "absent-noise": noisy(ground()),
        "absent-only-shoulders": at(face, 0.5, -0.35),
        "absent-beside-the-picture": at(face, -0.2, 0.45),
    }


def film(drawn: dict[str, Any], folder: Path) -> None:
    """Write the films."""
    films = {"film": FILM, "crowd": CROWD, "straight": (("looking-straight", 3),), "two": ((TWO, 2.5),)}
    for name, scene_s in films.items():
        writer = cv2.VideoWriter(str(folder / f"{name}.avi"), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (WIDTH, HEIGHT))
        for scene, seconds in scene_s:
            for _ in range(round(seconds * FPS)):
                writer.write(drawn[scene])
        writer.release()


if __name__ == "__main__":
    drawn = scenes(Portrait(sys.argv[2]))
    for name, image in drawn.items():
        cv2.imwrite(f"{sys.argv[3]}/{name}.jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    filming = Thread(target=film, args=[drawn, Path(sys.argv[3])])
    filming.start()
    seen = {name: fitting(cv2.imread(f"{sys.argv[3]}/{name}.jpg")) for name in drawn}
    for measures, bundle in (("measures", ""), ("measures-bundle", f"{sys.argv[3]}/face_landmarker.task")):
        if bundle:
            sys.stdin.read()
        mesh = Mesh(bundle)
        told = {name: measured(mesh.points(image), image) for name, image in seen.items()}
        Path(sys.argv[3], f"{measures}.json").write_text(json.dumps(told))
    filming.join()
