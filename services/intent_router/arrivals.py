"""Which dropped files are finished, and in which order they go: highest priority first, then oldest."""

from __future__ import annotations

import asyncio
import heapq
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, NamedTuple

import orjson

from services.intent_router.folder import Folder, peek, shown
from services.intent_router.intent import NUMBERED, PRIORITIES

RESUMED = -1
NORMAL = PRIORITIES.index("normal")
PATIENCE = 15
PEEK_BYTES = 64 * 1024 + 1


class Item(NamedTuple):
    """A file that may be taken; sorts by rank, then age, then name. `claimed` files stand in `working/`."""

    rank: int
    mtime_ns: int
    name: str
    claimed: bool = False


class Hint(Enum):
    """What the kernel told last of a name: closed or moved in, there since now, or being written."""

    CLOSED = auto()
    CREATED = auto()
    WRITTEN = auto()


@dataclass(frozen=True, slots=True)
class _Settling:
    """A file that nobody closed yet, as far as is known: the state last seen, when it was looked at, and from
    when patience counts. `open` when somebody is known to write it."""

    state: tuple[int, int]
    since: float
    first: float
    open: bool = False


class Arrivals:
    """Keeps the files that wait. Everything here runs on the event loop's thread.

    `settle_s` is how long a file that was not closed must be unchanged, `PATIENCE` times that when its writer
    was seen; `warn` hears of what is left alone and of what is taken from a writer that did not close it.
    """

    def __init__(
        self,
        folder: Folder,
        settle_s: float,
        warn: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.settle_s = settle_s
        self._warn = warn
        self._clock = clock
        self._wall = wall
        self._heap: list[Item] = []
        self._known: dict[tuple[bool, str], Item] = {}
        self._settling: dict[tuple[bool, str], _Settling] = {}
        self._warned: set[str] = set()
        self._some = asyncio.Event()
        self.on_settling: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._known) + len(self._settling)

    def knows(self, name: str) -> bool:
        """Whether a name in the drop folder already waits or settles."""
        return (False, name) in self._known or (False, name) in self._settling

    def resume(self, name: str) -> None:
        """Take up what stands in `working/`; goes before everything else."""
        self._push(Item(RESUMED, 0, name, claimed=True))

    def examine(self, name: str, hint: Hint | None = None) -> None:
        """Look at a name in the drop folder that was seen by a scan (no hint) or told of by the kernel."""
        found = None if self.folder.is_own(name) else self._stat(name, claimed=False)
        if found is None:
            return
        if stat.S_ISDIR(found.st_mode):
            self._leave_alone(name)
        elif not stat.S_ISREG(found.st_mode) or self._is_finished(found, hint):
            self._take_up(name, found, rank_of(self._peek(name, found)))
        else:
            # A link arrives with its content; what is empty when it is created was opened to be written.
            empty = hint is Hint.CREATED and found.st_size == 0
            self._settle(name, found, opened=hint is Hint.WRITTEN or empty)

    def settle(self, name: str, *, claimed: bool = False) -> None:
        """Wait until a file is unchanged."""
        found = self._stat(name, claimed)
        if found is not None:
            self._settle(name, found, claimed=claimed)

    def _settle(self, name: str, found: os.stat_result, *, claimed: bool = False, opened: bool = False) -> None:
        """`opened` when a writer was seen that has not closed it."""
        now = self._clock()
        self._known.pop((claimed, name), None)
        self._settling.pop((claimed, name), None)
        self._settling[claimed, name] = _Settling(_state(found), now, now, opened)
        self.on_settling()

    def forget_writers(self) -> None:
        """Hints were lost, a writer's close perhaps among them: what settles needs only be unchanged."""
        for key, seen in self._settling.items():
            self._settling[key] = replace(seen, open=False)

    def settled(self, most: int) -> bool:
        """Pass on what has been unchanged for long enough, up to `most` files; says whether there is more.

        The files stand in the order in which they are due.
        """
        now = self._clock()
        for _ in range(most):
            key, seen = next(iter(self._settling.items()), (None, None))
            if key is None or seen is None or now - seen.since < self.settle_s:
                return False
            self._decide(key, seen, now)
        return True

    def next_due(self) -> float | None:
        """Seconds until a settling file is worth another look; None when there is none."""
        first = next(iter(self._settling.values()), None)
        return None if first is None else max(0.0, first.since + self.settle_s - self._clock())

    async def take(self, most: int) -> list[Item]:
        """The first up to `most` files, at least one; waits for it."""
        while not (taken := self._pop(most)):
            self._some.clear()
            await self._some.wait()
        return taken

    def _pop(self, most: int) -> list[Item]:
        taken: list[Item] = []
        while self._heap and len(taken) < most:
            item = heapq.heappop(self._heap)
            if self._known.get((item.claimed, item.name)) is item:
                del self._known[item.claimed, item.name]
                taken.append(item)
        return taken

    def _push(self, item: Item) -> None:
        self._settling.pop((item.claimed, item.name), None)
        self._known[item.claimed, item.name] = item
        heapq.heappush(self._heap, item)
        self._some.set()

    def _is_finished(self, found: os.stat_result, hint: Hint | None) -> bool:
        if hint is Hint.CLOSED:  # an empty one may be a touch that is written to next
            return found.st_size > 0
        if hint is Hint.CREATED:  # a hard link has its content at once
            return found.st_nlink > 1
        return hint is None and self._wall() - found.st_ctime >= self.settle_s

    def _peek(self, name: str, found: os.stat_result) -> bytes | None:
        return peek(self.folder.place(name), PEEK_BYTES, found) if found.st_size else b""

    def _take_up(self, name: str, found: os.stat_result, rank: int | None) -> None:
        self._push(Item(NORMAL if rank is None else rank, found.st_mtime_ns, name))

    def _decide(self, key: tuple[bool, str], seen: _Settling, now: float) -> None:
        claimed, name = key
        found = self._stat(name, claimed)
        self._settling.pop(key, None)
        if found is None:
            return
        if _state(found) != seen.state:
            self._settling[key] = _Settling(_state(found), now, now if seen.open else seen.first, seen.open)
        elif claimed:
            self.resume(name)
        else:
            raw = self._peek(name, found)
            rank = rank_of(raw)
            half = seen.open or (rank is None and self._looks_cut_off(raw, found))
            if half and now - seen.first < PATIENCE * self.settle_s:
                self._settling[key] = replace(seen, since=now)
                return
            if seen.open:
                self._warn("taken_while_open", shown(name))
            self._take_up(name, found, rank)

    def _looks_cut_off(self, raw: bytes | None, found: os.stat_result) -> bool:
        """JSON that does not end, in a file nobody closed, is likelier half written than wrong."""
        recent = self._wall() - found.st_ctime < PATIENCE * self.settle_s
        return recent and raw is not None and raw.lstrip()[:1] == b"{"

    def _stat(self, name: str, claimed: bool) -> os.stat_result | None:
        try:
            return os.lstat(self.folder.place(name, in_working=claimed))
        except (FileNotFoundError, NotADirectoryError):
            self._known.pop((claimed, name), None)
            self._settling.pop((claimed, name), None)
            return None

    def _leave_alone(self, name: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            self._warn("folder_left_alone", shown(name))


def rank_of(raw: bytes | None) -> int | None:
    """The rank (0 is critical) that a file's bytes ask for; None when they are no JSON object."""
    try:
        body: Any = orjson.loads((raw or b"").removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        return None
    data = body.get("data")
    inner = data.get("priority") if isinstance(data, dict) else None
    outer = body.get("priority")
    first, second = (outer, inner) if "intent_type" in body else (inner, outer)
    told = second if first is None else first
    name = NUMBERED.get(told) if isinstance(told, int) else told
    return PRIORITIES.index(name) if name in PRIORITIES else NORMAL


def _state(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns
