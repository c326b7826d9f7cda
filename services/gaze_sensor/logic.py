"""How much a face attends, and when attention begins and ends. Times are those of the frames, in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, log

ENROLLED = "enrolled"
"""In the configuration: of several faces the one that was learnt counts, not the largest."""
STEEPNESS = 2 * log(19)
"""Of a logistic curve that rises from 0.05 to 0.95 over one unit."""


@dataclass(frozen=True, slots=True)
class Face:
    """What is measured of one face in one frame.

    `x`, `y`: its centre, in shares of the picture. `size_px`: from cheek to cheek, in a picture 640 pixels wide.
    `yaw_deg`, `pitch_deg`: how it is turned aside and nods. `eye_opening`: height of the eyes by their width.
    `gaze_x`, `gaze_y`: where the irises are between the corners of their eyes, 0 in the middle, 1 at a corner.
    """

    x: float
    y: float
    size_px: float
    yaw_deg: float
    pitch_deg: float
    eye_opening: float
    gaze_x: float
    gaze_y: float


@dataclass(frozen=True, slots=True)
class Ramp:
    """How much a measure counts: 0.95 at `full`, 0.05 at `none`, whichever is the greater, and never quite 1 or 0.

    A logistic curve: it has no corners, and of two faces far from attending one still attends less.
    """

    none: float
    full: float

    def __call__(self, value: float) -> float:
        """The share, 0 to 1."""
        from_middle = (value - self.none) / (self.full - self.none) - 0.5
        return 1.0 / (1.0 + exp(-STEEPNESS * max(-9.0, min(9.0, from_middle))))


@dataclass(frozen=True, slots=True)
class Straight:
    """What is measured of this person when they look here; a camera beside the screen sees them turned."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """From where on a measure counts, and from where on fully."""

    size_px: Ramp
    off_centre: Ramp
    yaw_deg: Ramp
    pitch_deg: Ramp
    eye_opening: Ramp
    gaze_x: Ramp
    gaze_y: Ramp
    straight: Straight = Straight()


def bounds_of(bounds: Mapping[str, Mapping[str, float]], straight: Mapping[str, float]) -> Bounds:
    """The bounds as the configuration has them."""
    return Bounds(**{name: Ramp(**pair) for name, pair in bounds.items()}, straight=Straight(**straight))


@dataclass(frozen=True, slots=True)
class Factors:
    """What the score is the product of, each 0 to 1."""

    face_centred: float = 0.0
    eyes_open: float = 0.0
    gaze: float = 0.0

    @property
    def score(self) -> float:
        """Attention, 0 to 1: one factor of 0 is enough for none."""
        return self.face_centred * self.eyes_open * self.gaze

    def facts(self) -> dict[str, object]:
        """As signals tell it."""
        factors = {"face_centred": self.face_centred, "eyes_open": self.eyes_open, "gaze": self.gaze}
        return {"score": round(self.score, 3), "factors": {name: round(value, 3) for name, value in factors.items()}}


NOBODY = Factors()


def judge(face: Face | None, bounds: Bounds) -> Factors:
    """How much this face attends; `NOBODY` without one."""
    if face is None:
        return NOBODY
    straight = bounds.straight
    return Factors(
        bounds.size_px(face.size_px)
        * bounds.off_centre(2 * max(abs(face.x - 0.5), abs(face.y - 0.5)))
        * bounds.yaw_deg(abs(face.yaw_deg - straight.yaw_deg))
        * bounds.pitch_deg(abs(face.pitch_deg - straight.pitch_deg)),
        bounds.eye_opening(face.eye_opening),
        bounds.gaze_x(abs(face.gaze_x - straight.gaze_x)) * bounds.gaze_y(abs(face.gaze_y - straight.gaze_y)),
    )


def nearest(faces: Iterable[Mapping[str, float]]) -> Face | None:
    """The largest of the faces that were measured."""
    return max((Face(**one) for one in faces), key=lambda face: face.size_px, default=None)


@dataclass(frozen=True, slots=True)
class Times:
    """When attention begins and ends. Seconds; `gain` and `lose` are smoothed scores."""

    smoothing_s: float
    gain: float
    gain_after_s: float
    lose: float
    lose_after_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """Attention was gained or lost; `duration_s` says how long the state before lasted, where that is known."""

    gained: bool
    duration_s: float | None


@dataclass(slots=True)
class Attention:
    """Follows the scores of one camera."""

    times: Times
    smoothed: float = 0.0
    attending: bool = False
    _changed: float | None = None
    _last: float | None = None
    _against: float | None = None
    """Since when the scores speak against the present state."""

    def feed(self, t: float, score: float) -> Change | None:
        """Take the score of the frame at `t`; what changed by it. A frame that is not later counts for nothing."""
        if self._last is not None and t <= self._last:
            return None
        if self._last is not None:
            self.smoothed += (score - self.smoothed) * _weight(t - self._last, self.times.smoothing_s)
        self._last = t
        against = self.smoothed < self.times.lose if self.attending else self.smoothed >= self.times.gain
        if not against:
            self._against = None
            return None
        self._against = t if self._against is None else self._against
        wait = self.times.lose_after_s if self.attending else self.times.gain_after_s
        return self._turn(t) if t - self._against >= wait else None

    def end(self) -> Change | None:
        """No more frames come: who attended does so no longer, as far as can be seen."""
        return self._turn(self._last) if self.attending and self._last is not None else None

    def _turn(self, t: float) -> Change:
        lasted = None if self._changed is None else round(t - self._changed, 3)
        self.attending, self._changed, self._against = not self.attending, t, None
        return Change(self.attending, lasted)


def _weight(elapsed_s: float, constant_s: float) -> float:
    """How much a new value counts in exponential smoothing over time, however many frames there are in it."""
    return 1.0 if constant_s <= 0 else 1.0 - exp(-elapsed_s / constant_s)
