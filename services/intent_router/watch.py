"""Watches the drop folder. What the kernel reports are only hints to look; a sweep looks at everything."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import islice
from typing import Final

from inotify_simple import Event, INotify, flags

from services.intent_router.arrivals import Arrivals, Hint
from services.intent_router.folder import Folder
from signals.errors import LigandError

PAGE = 256
SWEEP_WITHOUT_WATCH_S = 2.0

_MASK: Final[int] = (
    flags.CLOSE_WRITE
    | flags.MOVED_TO
    | flags.CREATE
    | flags.MODIFY
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
)
_GONE: Final[int] = flags.DELETE_SELF | flags.MOVE_SELF | flags.IGNORED | flags.UNMOUNT


class Watcher:
    """Feeds `arrivals` from the folder. `report` hears the fault while the watch does not work, else None."""

    def __init__(
        self, folder: Folder, arrivals: Arrivals, sweep_s: float, report: Callable[[str | None], None]
    ) -> None:
        self.folder = folder
        self.arrivals = arrivals
        self.sweep_s = sweep_s
        self.scanned = asyncio.Event()
        self._report = report
        self._fault: str | None = None
        self._wake = asyncio.Event()
        arrivals.on_settling = self._wake.set
        self._hints: dict[str, Hint] = {}
        self._rescan = True
        self._inotify: INotify | None = None
        self._identity: tuple[int, int] | None = None
        self._resumed: tuple[int, int] | None = None
        self._swept_at = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                self._wake.clear()
                await self._look()
                await self._pause()
        finally:
            self._close()

    def hear(self, events: Iterable[Event]) -> None:
        """Note what the kernel reports."""
        for event in events:
            if event.mask & (flags.Q_OVERFLOW | _GONE):
                self._rescan = True
                self._doubt()
            if event.mask & _GONE:
                self._identity = None
            if event.name:
                self._hints[event.name] = _hint(event)
        self._wake.set()

    def _doubt(self) -> None:
        """Hints were lost: who is said to write may have closed meanwhile. The scan looks at all of them."""
        self._hints = {name: hint for name, hint in self._hints.items() if hint is Hint.CLOSED}
        self.arrivals.forget_writers()

    async def _look(self) -> None:
        try:
            self._renew()
            await self._examine_hints()
            if self._rescan:
                self._rescan = False
                self._swept_at = asyncio.get_running_loop().time()
                await self._scan()
            while self.arrivals.settled(PAGE):
                await self._examine_page()
        except (OSError, LigandError) as error:
            self._swept_at = asyncio.get_running_loop().time()
            self._rescan = True
            self._say(f"the drop folder cannot be read: {error}")
        self.scanned.set()

    async def _pause(self) -> None:
        now = asyncio.get_running_loop().time()
        wait = self._swept_at + self._sweep_s() - now
        due = self.arrivals.next_due()
        try:
            async with asyncio.timeout(max(0.0, wait if due is None else min(wait, due + 0.001))):
                await self._wake.wait()
        except TimeoutError:
            self._rescan = self._rescan or due is None or wait <= due

    def _sweep_s(self) -> float:
        return self.sweep_s if self._fault is None else min(self.sweep_s, SWEEP_WITHOUT_WATCH_S)

    def _renew(self) -> None:
        """Watch the folder that has the name now, whatever became of the one watched before."""
        now = self.folder.identity()
        if self._inotify is not None and now is not None and now == self._identity:
            return
        self._close()
        self.folder.ensure()
        self._resume()
        self._rescan = self._rescan or self._fault is None
        try:
            self._open()
        except OSError as error:
            self._close()
            self._say(_advice(error))
        else:
            self._identity = self.folder.identity()
            self._rescan = True
            self._say(None)

    def _resume(self) -> None:
        """Take up what an earlier run left in `working/`, once for each folder that has the name."""
        now = self.folder.identity()
        if now != self._resumed:
            self._resumed = now
            for name in self.folder.left_over():
                self.arrivals.resume(name)

    def _open(self) -> None:
        self._inotify = INotify(nonblocking=True)
        self._inotify.add_watch(self.folder.root, _MASK)
        asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._readable, self._inotify)

    def _readable(self, inotify: INotify) -> None:
        self.hear(inotify.read(timeout=0))

    def _close(self) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fileno())
            self._inotify.close()
            self._doubt()
        self._inotify = None
        self._identity = None

    async def _examine_hints(self) -> None:
        while self._hints:
            await self._examine_page()

    async def _examine_page(self) -> None:
        """Look at some of what the kernel told of; between the pages of a long look too, for it may be urgent."""
        for name in list(islice(self._hints, PAGE)):
            self.arrivals.examine(name, self._hints.pop(name))
        await asyncio.sleep(0)

    async def _scan(self) -> None:
        with closing(self.folder.names()) as names:
            for count, name in enumerate(names, 1):
                if not self.arrivals.knows(name):
                    self.arrivals.examine(name)
                if count % PAGE == 0:
                    await self._examine_page()

    def _say(self, fault: str | None) -> None:
        if fault != self._fault:
            self._fault = fault
            self._report(fault)


def _hint(event: Event) -> Hint:
    if event.mask & (flags.CLOSE_WRITE | flags.MOVED_TO):
        return Hint.CLOSED
    return Hint.CREATED if event.mask & flags.CREATE else Hint.WRITTEN


def _advice(error: OSError) -> str:
    words = {
        errno.ENOSPC: "no inotify watch is left: raise fs.inotify.max_user_watches",
        errno.EMFILE: "no inotify instance is left: raise fs.inotify.max_user_instances",
    }
    reason = words.get(error.errno or 0, f"the folder cannot be watched: {error}")
    return f"{reason}; looking every {SWEEP_WITHOUT_WATCH_S:g} s until then"
