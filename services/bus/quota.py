"""The quota of root emits: a token bucket for each source, so that no loop outside the stories can run away."""

from __future__ import annotations

import time

from signals.errors import QuotaError

MOST_BUCKETS = 10_000


class Quota:
    """At most `per_s` root signals a second from one source, after a burst; 0 means no limit."""

    def __init__(self, per_s: float, burst: float) -> None:
        self.set(per_s, burst)
        self._buckets: dict[str, tuple[float, float]] = {}

    def set(self, per_s: float, burst: float) -> None:
        """Go by other numbers; what a source has used stays used."""
        self._per_s = per_s
        self._burst = max(burst, 1.0)

    def take(self, source: str, roots: int) -> None:
        """Count `roots` new root signals. Raises `QuotaError` with the seconds to wait."""
        if not self._per_s or not roots:
            return
        now = time.monotonic()
        tokens, since = self._buckets.get(source, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._per_s)
        if tokens < min(roots, self._burst):
            wait = (min(roots, self._burst) - tokens) / self._per_s
            raise QuotaError(
                f"{source} emits more than {self._per_s:g} root signals a second; send this one again in {wait:.2f} s.",
                retry_after_s=round(max(wait, 0.01), 3),
            )
        self._buckets[source] = (tokens - roots, now)
        if len(self._buckets) > MOST_BUCKETS:
            self._forget_full(now)

    def _forget_full(self, now: float) -> None:
        """Who has not emitted for a while has all of its burst again, as one never heard of has."""
        self._buckets = {
            source: (tokens, since)
            for source, (tokens, since) in self._buckets.items()
            if tokens + (now - since) * self._per_s < self._burst
        }
