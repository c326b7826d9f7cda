"""What a soak does, and when."""

from __future__ import annotations

from dataclasses import dataclass

SIGNALS_A_STORY = 4
"""Of the chain, root and end included; an intent that goes all the way makes as many."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how much, how closely watched. Times in seconds from the moment at which all are ready."""

    seconds: float = 3600.0
    signals_per_s: float = 500.0
    intents_per_s: float = 2.0
    every_s: float = 10.0

    @property
    def stories_per_s(self) -> float:
        """Of the chain: what the intents leave of the rate."""
        return self.signals_per_s / SIGNALS_A_STORY - self.intents_per_s

    @property
    def kept_s(self) -> float:
        """The retention: six times within the run what is old is pruned, so that the disk's level is seen."""
        return self.seconds / 6

    @property
    def warm_s(self) -> float:
        """From here on growth counts: caches are full, and the first signals have been pruned."""
        return self.seconds / 6

    @property
    def stopped(self) -> tuple[float, float]:
        """When the consumer is stopped for half of the run; in the middle of what is measured, so that what
        its absence changes (a connection less) slopes nowhere."""
        return self.seconds / 3, self.seconds * 5 / 6
