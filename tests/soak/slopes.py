"""Whether something grows: a straight line through what was sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
"""An hour: less than this is a daemon that needs no restart for a month."""


def growths(samples: Sequence[Sample], after_s: float) -> list[Growth]:
    """Of every process that was there at every sample since `after_s`."""
    seen = [sample for sample in samples if sample.at_s >= after_s]
    always = sorted(set.intersection(*({*sample.uses} for sample in seen))) if seen else []
    found = []
    for process in always:
        for measure, allowed in ALLOWED.items():
            values = [float(getattr(sample.uses[process], measure)) for sample in seen]
            rise = slope([sample.at_s / 3600 for sample in seen], values)
            found.append(Growth(process, measure, rise, allowed, sum(values) / len(values)))
    return found
