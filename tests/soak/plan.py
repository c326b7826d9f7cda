"""What a soak does, and when."""

from __future__ import annotations

from dataclasses import dataclass

BYTES_A_SIGNAL = 800
"""In the journal, its indexes included; as measured."""
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
    def kept_bytes(self) -> int:
        """The journal's budget: enough for what the stopped consumer needs, less than the run writes, so that its
        level is seen. Nothing is pruned for its age within an hour after a start: the clock is not sure yet."""
        return int(0.7 * self.seconds * self.signals_per_s * BYTES_A_SIGNAL)

    @property
    def kept_s(self) -> float:
        """How long files of intents are kept: six times within the run the old ones are removed."""
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
