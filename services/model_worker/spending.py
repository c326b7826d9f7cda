"""What a server may cost: tokens in any 24 hours, reserved on disk before it is asked and corrected afterwards.

A process that is killed while a server answers leaves the whole reservation counted: too much, never too little.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from services.model_worker.failures import REFUSED, SPENT, Failure

HOUR_S = 3600
KEPT_H = 24
"""An hour counts until all of it is a day ago, so that no 24 hours hold more than is allowed."""


@dataclass(slots=True)
class Purse:
    """The allowance of one server. Times are Unix seconds.

    `limit`: tokens in any 24 hours, None for no limit. `spent`: hour since 1970 -> tokens; changed here, and on disk
    once `keep` has returned.
    """

    limit: int | None
    spent: dict[int, int]
    keep: Callable[[], Awaitable[None]]

    async def reserve(self, tokens: int, now: float) -> int:
        """Put so many aside, durably; the hour that they are counted in. Raises `Failure` when fewer are left."""
        hour = int(now // HOUR_S)
        if self.limit is None:
            return hour
        if tokens > self.limit:
            words = f"may take {tokens} tokens, and tokens_per_day allows {self.limit}; ask for less by max_tokens"
            raise Failure(REFUSED, words)
        if (why := self.lacks(tokens, now)) is not None:
            raise Failure(SPENT, why)
        self.correct(hour, tokens)
        await self.keep()
        return hour

    def correct(self, hour: int, tokens: int) -> None:
        """So many more were spent in that hour, or fewer where it is negative. On disk with the next reservation."""
        if self.limit is not None:
            self.spent[hour] = self.spent.get(hour, 0) + tokens

    def lacks(self, tokens: int, now: float) -> str | None:
        """Why so many cannot be spent now; None when they can."""
        if self.limit is None:
            return None
        self.forget(now)
        over = sum(self.spent.values()) + tokens - self.limit
        if over <= 0:
            return None
        for hour in sorted(self.spent):
            over -= self.spent[hour]
            if over <= 0:
                wait_h = math.ceil(hour + 1 + KEPT_H - now / HOUR_S)
                return f"its {self.limit} tokens a day are spent; in about {wait_h} h there are enough again"
        return f"its {self.limit} tokens a day do not suffice for {tokens}; raise tokens_per_day, or lower max_tokens"

    def forget(self, now: float) -> None:
        """Let go of hours that are a day ago."""
        for hour in [hour for hour in self.spent if hour + 1 + KEPT_H <= now / HOUR_S]:
            del self.spent[hour]


def read(kept: Mapping[str, Mapping[str, int]]) -> dict[str, dict[int, int]]:
    """Server -> hour -> tokens, as `written` wrote it."""
    return {server: {int(hour): tokens for hour, tokens in hours.items()} for server, hours in kept.items()}


def written(spent: Mapping[str, Mapping[int, int]]) -> dict[str, dict[str, int]]:
    """For a state, whose keys are texts; servers of which nothing is kept are left out."""
    return {server: {str(hour): tokens for hour, tokens in hours.items()} for server, hours in spent.items() if hours}
