"""The bus, for a thread: each request is made in the daemon's event loop and waited for, until told to stop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from services.runtime import Daemon
from services.winner_deployer.steps import Stopping
from signals.envelope import Signal
from signals.errors import ConflictError, PressureError, UnauthorisedError

CHANGED = "Q_CONFIGURATION_CHANGED"
RELOAD_S = 60.0
PAUSE_S = 10.0
KEPT = 64
_POLL_S = 0.25
T = TypeVar("T")


class Answers:
    """The latest answers of daemons that were to reload, and who waits for one. In the event loop only."""

    def __init__(self) -> None:
        self._came: deque[Signal] = deque(maxlen=KEPT)
        self._news = asyncio.Event()

    def came(self, signal: Signal) -> None:
        """An answer; it may come before it is known what it answers."""
        self._came.append(signal)
        self._news.set()

    async def of(self, request_id: str) -> Signal:
        """The answer to a request, as soon as it is there."""
        while True:
            for signal in self._came:
                if signal.causation_id == request_id:
                    return signal
            self._news.clear()
            await self._news.wait()


class Office:
    """Speaks for the thread that deploys."""

    stop: threading.Event

    def __init__(self, daemon: Daemon, answers: Answers, loop: asyncio.AbstractEventLoop) -> None:
        self._daemon = daemon
        self._answers = answers
        self._loop = loop

    @staticmethod
    def cause(signal_id: str) -> Signal:
        """What stands for a signal that was handled long ago: only its id counts."""
        return Signal(signal="Q_DREAM_COMPLETE", id=signal_id, timestamp="", source="", host="", version=1, facts={})

    def tell(self, name: str, facts: Mapping[str, Any], key: str, because: str) -> None:
        """Emit, on disk when it returns; waits while the journal takes nothing. Raises `Stopping`."""
        causes = [self.cause(because)]
        while True:
            try:
                self._run(self._daemon.emit(name, facts, key=key, because=causes))
                return
            except ConflictError:
                return  # it was told, before what caused it was forgotten
            except UnauthorisedError:
                if not causes:
                    raise
                causes = []  # what caused it is not in the journal any more
            except PressureError as error:
                self._daemon.log.warning("not_told", signal_name=name, error=error.message)
                if self.stop.wait(PAUSE_S):
                    raise Stopping from error

    def reload(self, facts: Mapping[str, Any], because: str) -> str:
        """Have a daemon read its configuration; why it does not use it, or nothing. Raises `Stopping`."""
        try:
            answer = self._run(self._reload(facts, because))
        except TimeoutError:
            return f"{facts['daemon']} has not answered within {RELOAD_S:g} s: is it running? See `ligand status`."
        if answer.signal == "Q_CONFIGURATION_REFUSED":
            return f"{facts['daemon']} refuses its new configuration: {answer.facts['detail']}"
        if answer.facts.get("sha256", facts["sha256"]) != facts["sha256"]:
            return f"{facts['daemon']} has read {answer.facts.get('file')}, which is not what was written."
        return ""

    async def _reload(self, facts: Mapping[str, Any], because: str) -> Signal:
        sent = await self._daemon.emit(CHANGED, facts, because=[self.cause(because)])
        async with asyncio.timeout(RELOAD_S):
            return await self._answers.of(sent.id)

    def _run(self, wanted: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(wanted, self._loop)
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        while not done.wait(_POLL_S):
            if self.stop.is_set():
                future.cancel()
                raise Stopping
        return future.result()
