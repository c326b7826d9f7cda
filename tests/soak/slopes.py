"""Whether something grows: a straight line through what was sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from tests.soak.samples import Sample
from tests.support.slope import slope


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much one measure of one process grows in an hour, as the line says, and how much is allowed."""

    process: str
    measure: str
    an_hour: float
    allowed: float
    mean: float

    @property
    def flat(self) -> bool:
        """Whether it may be called level."""
        return self.an_hour <= self.allowed


ALLOWED = {"pss_kib": 2048.0, "rss_kib": 2048.0, "fds": 1.0, "threads": 0.5}
"""An hour; memory in KiB, of which a C library and Python's arenas take a MiB at a time."""
WINDOWS = 25
"""What is used for a moment only is no growth: the least counts of each of these stretches, two minutes of an hour."""


def growths(samples: Sequence[Sample], after_s: float) -> list[Growth]:
    """Of every process that was there at every sample since `after_s`: what is not given back meanwhile."""
    seen = [sample for sample in samples if sample.at_s >= after_s]
    always = sorted(set.intersection(*({*sample.uses} for sample in seen))) if seen else []
    found = []
    for process in always:
        for measure, allowed in ALLOWED.items():
            points = [(sample.at_s / 3600, float(getattr(sample.uses[process], measure))) for sample in seen]
            floor = _least(points)
            rise = slope([at for at, _ in floor], [value for _, value in floor])
            mean = sum(value for _, value in points) / len(points)
            found.append(Growth(process, measure, rise, allowed, mean))
    return found


def _least(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The lowest point of each window."""
    width = (points[-1][0] - points[0][0]) / WINDOWS or 1.0
    windows = groupby(points, lambda point: int((point[0] - points[0][0]) / width))
    return [min(window, key=lambda point: point[1]) for _, window in windows]
