"""The places that one server has: given by priority, and taken back from background work when the person asks."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def allowed(slots: int, taken: int) -> int:
    """How many of a server's slots background work may use while the person's requests have `taken` some.

    One is always left for the next question, so that it need not wait; where there is only one, it is given up
    when a question comes.
    """
    if slots == 1:
        return 0 if taken else 1
    return max(0, slots - max(taken, 1))


class Place:
    """A place at a server; `lost` when it was taken back."""

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.lost = False

    def lose(self) -> None:
        """Stop what is done in it."""
        self.lost = True
        if self.task is not None:
            self.task.cancel()


class Gate:
    """Lets at most so many at once to a server; `yields` says that this process does background work."""

    def __init__(self, slots: int, *, yields: bool) -> None:
        self._slots = slots
        self._yields = yields
        self._taken = 0
        self._held: list[Place] = []
        self._waiting: list[tuple[int, int, asyncio.Future[Place]]] = []
        self._count = 0

    @property
    def is_idle(self) -> bool:
        """Whether nobody is in it or waits for it."""
        return not self._held and not self._waiting

    @property
    def _room(self) -> int:
        return allowed(self._slots, self._taken) if self._yields else self._slots

    def person_has(self, taken: int) -> None:
        """So many of the server's places are the person's now: the youngest of ours go first."""
        self._taken = taken
        for place in self._held[self._room :]:
            place.lose()
        self._wake()

    async def run(self, rank: int, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do `work` in a place, the lowest rank first; begun anew when the place is lost before it is done."""
        while True:
            place = await self._acquire(rank)
            try:
                task: asyncio.Task[T] = asyncio.create_task(work())
                place.task = task
                if place.lost:
                    task.cancel()
                await _done(task)
            finally:
                self._release(place)
            if not (place.lost and task.cancelled()):
                return task.result()

    async def _acquire(self, rank: int) -> Place:
        self._count += 1
        turn: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, self._count, turn))
        self._wake()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release(turn.result())
            else:
                self._waiting = [one for one in self._waiting if one[2] is not turn]
                heapq.heapify(self._waiting)
            raise

    def _release(self, place: Place) -> None:
        self._held.remove(place)
        self._wake()

    def _wake(self) -> None:
        while self._waiting and len(self._held) < self._room:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                place = Place()
                self._held.append(place)
                turn.set_result(place)


async def _done(task: asyncio.Task[Any]) -> None:
    """Wait for it; when we are cancelled, it is too, and ends before us."""
    try:
        await asyncio.wait({task})
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # seen, though nobody waits for it any more
