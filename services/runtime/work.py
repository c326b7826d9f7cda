"""The work of a daemon: deliveries wait in their lane, a few workers handle them, each outcome is settled."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.runtime.folder import AGAIN_S, Folder
from services.runtime.handlers import Handler, Handlers
from services.runtime.logs import current_signal
from services.runtime.threads import Threads
from services.runtime.turn import Maker, Reject, Turn, Unavailable
from signals import wire
from signals.catalogue import Catalogue
from signals.client import Client
from signals.delivery import Delivery
from signals.envelope import Signal
from signals.errors import LigandError, LoopError, UnknownSignalError
from signals.masking import Masker

QUIET = frozenset({"late", "not_in_hand", "fenced"})
MAX_THREADS = 32
ERROR_CHARS = 4000
TRACE_CHARS = 8000
HEED_S = 10.0
"""So long a handler may take to end once it is cancelled for its time."""
SETTLE_S = 4.0
"""The same at the end of the daemon, all answers of the bus included."""


@dataclass(slots=True, eq=False)
class Running:
    """A handler at work. `since` is monotonic."""

    delivery: Delivery
    task: asyncio.Task[None]
    since: float
    in_thread: bool
    why: str | None = None


@dataclass(slots=True)
class LaneWork:
    """One lane in this process: what waits, and how many workers it has."""

    in_flight: int
    waiting: deque[Delivery] = field(default_factory=deque)
    workers: int = 0
    starting: bool = False


class Work:
    """Runs the handlers. All of it is in the event loop; plain functions go to threads."""

    def __init__(
        self,
        client: Client,
        handlers: Handlers,
        *,
        maker: Maker,
        catalogue: Catalogue,
        log: Any,
        lanes: dict[str, int],
        folder: Folder,
        max_handling_s: float,
        state: Callable[[dict[str, Any]], None],
        stuck: Callable[[str], None],
    ) -> None:
        self._client = client
        self._handlers = handlers
        self._maker = maker
        self._catalogue = catalogue
        self._masker = Masker(catalogue.versions.values())
        self._log = log
        self._lanes = {name: LaneWork(in_flight) for name, in_flight in lanes.items()}
        self._folder = folder
        self._max_handling_s = max_handling_s
        self._keep = state
        self._stuck = stuck
        self._running: dict[tuple[str, int], Running] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads: Threads | None = None
        self._settling = 0
        self._changed = asyncio.Event()
        self._open = False
        self.handled = 0
        self.failed = 0

    @property
    def in_hand(self) -> int:
        """Signals that wait here or are being handled."""
        return len(self._running) + sum(len(lane.waiting) for lane in self._lanes.values())

    def open(self) -> None:
        """From now on deliveries are handled."""
        self._open = True
        for lane in self._lanes.values():
            self._staff(lane)

    def add(self, delivery: Delivery) -> None:
        """A delivery arrived."""
        lane = self._lanes.setdefault(delivery.lane, LaneWork(1))
        lane.waiting.append(delivery)
        self._staff(lane)

    def _staff(self, lane: LaneWork) -> None:
        """One more worker, if there is work and room and none is about to start."""
        if self._open and lane.waiting and not lane.starting and lane.workers < lane.in_flight:
            lane.workers += 1
            lane.starting = True
            task = asyncio.get_running_loop().create_task(self._drain(lane))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("worker_failed", error=repr(error), exc_info=error)

    async def _drain(self, lane: LaneWork) -> None:
        lane.starting = False
        try:
            while lane.waiting and self._open:
                delivery = lane.waiting.popleft()
                self._staff(lane)
                await self._handle(delivery)
        finally:
            lane.workers -= 1
            self._changed.set()

    # -- one delivery --------------------------------------------------------------------------------

    async def _handle(self, delivery: Delivery) -> None:
        task = asyncio.current_task()
        assert task is not None
        key = (delivery.lane, delivery.seq)
        running = self._running[key] = Running(delivery, task, time.monotonic(), False)
        if self._watch is None:
            self._watch_from(running.since)
        losses = self._folder.losses
        try:
            signal = self._admit(delivery)
            losses = self._folder.need()
            current_signal.set(signal)
            handler = self._handlers.find(signal.signal, delivery.lane)
            running.in_thread = handler.in_thread
            patience_s = self._max_handling_s
            turn = Turn(self._maker, delivery, signal, self._client.ask, warn=self._warn, patience_s=patience_s)
            await self._call(handler, turn)
        except asyncio.CancelledError as error:
            self._cancelled(running, task, error)
        except Unavailable as error:
            self._put_off(delivery, error)
        except LoopError as error:
            # no attempt can help: the bus has buried what looped, and what was handled is done with
            self._log.error("loop_ended", error=error.message)
            self._settle(delivery, wire.ACK)
        except Reject as error:
            said = self._hidden(delivery, error.message)
            self._log.warning("rejected", error=said)
            self._settle(delivery, wire.REJECT, error=_writable(said)[:ERROR_CHARS])
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is a failed attempt, reported to the bus
            if lost := self._folder.lost_since(losses):
                self._put_off(delivery, Unavailable(f"{lost} ({_words(error)})", retry_in=AGAIN_S))
            else:
                self._fail(delivery, error)
        else:
            self._acknowledge(turn)
        finally:
            del self._running[key]
            current_signal.set(None)
            self._changed.set()

    def _admit(self, delivery: Delivery) -> Signal:
        """The signal as its handler may see it: fitting the contract known here."""
        signal = delivery.signal()
        try:
            contract = self._catalogue.version(signal.signal, signal.version)
        except UnknownSignalError as error:
            raise Reject(error.message) from error
        if contract.is_valid(signal.facts):
            return signal
        facts, dropped = contract.prune(signal.facts)
        if not dropped or not contract.is_valid(facts):
            raise Reject(f"{signal.signal} does not fit the contract that is installed here.")
        self._log.warning("facts_dropped", fields=list(dropped), signal_id=signal.id)
        signal.facts.clear()
        signal.facts.update(facts)
        return signal

    async def _call(self, handler: Handler, turn: Turn) -> None:
        arguments = [getattr(turn, name) for name in handler.takes]
        if not handler.in_thread:
            await handler.function(*arguments)
            return
        if self._threads is None:
            at_once = sum(lane.in_flight for lane in self._lanes.values())
            self._threads = Threads(min(at_once, MAX_THREADS), "handler")
        await asyncio.get_running_loop().run_in_executor(
            self._threads, _with_signal, turn.signal, handler.function, arguments
        )

    def _warn(self, action: str, **fields: Any) -> None:
        self._log.warning(action, **fields)  # looked up only when there is something to say: that is slow

    def _acknowledge(self, turn: Turn) -> None:
        fields = {"put": turn.puts} if turn.puts else {}

        def done(_: Any, error: LigandError | None) -> None:
            if error is None and turn.puts:
                self._keep(turn.puts)

        self.handled += 1
        self._settle(turn.delivery, wire.ACK, turn.emitted, done, **fields)

    def _put_off(self, delivery: Delivery, error: Unavailable) -> None:
        said = self._hidden(delivery, error.message)
        self._log.warning("unavailable", error=said, retry_in=error.retry_in)
        words = self._hidden(delivery, _words(error))[:ERROR_CHARS]
        self._settle(delivery, wire.UNAVAILABLE, error=words, retry_in=error.retry_in)

    def _fail(self, delivery: Delivery, error: BaseException) -> None:
        self.failed += 1
        text = self._hidden(delivery, _writable("".join(traceback.format_exception(error))))
        said = self._hidden(delivery, repr(error))
        self._log.error("attempt_failed", error=said, attempt=delivery.attempt, exception=text.rstrip("\n"))
        words = self._hidden(delivery, _words(error))[:ERROR_CHARS]
        self._settle(delivery, wire.NAK, error=words, traceback=text[-TRACE_CHARS:])

    def _hidden(self, delivery: Delivery, text: str) -> str:
        """What is said of a signal, without its secrets: logs and dead letters are read by others."""
        try:
            signal = delivery.signal()
        except LigandError:  # not to be read: nothing of it can have been repeated
            return text
        return self._masker.text(text, {"signal": signal.signal, "facts": signal.facts})

    def _cancelled(self, running: Running, task: asyncio.Task[None], error: asyncio.CancelledError) -> None:
        told = task.cancelling() or not self._client.is_attached  # what a session that is over was asked is cancelled
        task.uncancel()
        if running.why == "withdrawn":
            self._log.warning("withdrawn", seq=running.delivery.seq)
        elif running.why is not None:
            self.failed += 1
            self._log.error("overtime", limit_s=self._max_handling_s, seq=running.delivery.seq)
            self._settle(running.delivery, wire.NAK, error=running.why)
        elif told:
            self._settle(running.delivery, wire.RETURN)
        else:  # what the handler waited for was cancelled, and not the handler
            self._fail(running.delivery, error)

    def _settle(
        self,
        delivery: Delivery,
        verdict: str,
        signals: list[Signal] | None = None,
        then: Callable[[Any, LigandError | None], None] | None = None,
        **fields: Any,
    ) -> None:
        self._settling += 1

        def done(body: Any, error: LigandError | None) -> None:
            self._settling -= 1
            self._changed.set()
            if then is not None:
                then(body, error)
            if error is not None:
                self._refused(delivery, verdict, error)

        try:
            self._client.settle(delivery, done, verdict, signals or (), **fields)
        except LigandError as error:  # what was emitted cannot even be written: an attempt that failed
            self._settling -= 1
            self._fail(delivery, error)

    def _refused(self, delivery: Delivery, verdict: str, error: LigandError) -> None:
        if error.code in QUIET and error.fields.get("of") != "emit":
            self._log.warning("settle_refused", seq=delivery.seq, code=error.code, error=error.message)
            self._client.held.pop((delivery.lane, delivery.seq), None)
        elif verdict == wire.ACK:
            self._fail(delivery, error)
        else:
            self._log.error("settle_refused", seq=delivery.seq, code=error.code, error=error.message)

    # -- from outside --------------------------------------------------------------------------------

    def withdraw(self, lane: str, seq: int) -> None:
        """The bus has taken a signal back: stop its handler, or forget it."""
        running = self._running.get((lane, seq))
        if running is not None and not running.in_thread:
            running.why = "withdrawn"
            running.task.cancel()
        waiting = self._lanes[lane].waiting
        for delivery in [d for d in waiting if d.seq == seq]:
            waiting.remove(delivery)

    # -- time ----------------------------------------------------------------------------------------

    def _watch_from(self, since: float) -> None:
        """Look when the handler that began then is past its time: one timer for all, and none while nothing runs."""
        left = since + self._max_handling_s - time.monotonic()
        self._watch = asyncio.get_running_loop().call_later(max(0.0, left), self._look_at_time)

    def _look_at_time(self) -> None:
        self._watch = None
        self._end_overtime()
        begun = [running.since for running in self._running.values() if running.why is None]
        if begun:
            self._watch_from(min(begun))

    def _end_overtime(self) -> None:
        """Cancel the handlers past `max_handling`; what cannot be cancelled takes the process with it."""
        limit = time.monotonic() - self._max_handling_s
        for running in [r for r in self._running.values() if r.since <= limit and r.why is None]:
            running.why = f"The handler took longer than {self._max_handling_s:g} s."
            if running.in_thread:
                self._end_stuck(running)
            else:
                running.task.cancel()
                heed_s = min(HEED_S, self._max_handling_s)
                asyncio.get_running_loop().call_later(heed_s, self._end_stuck, running)

    def _end_stuck(self, running: Running) -> None:
        """What still runs cannot be cancelled: its attempt has failed, and the process is to end."""
        if running.why and running in self._running.values():
            self._settle(running.delivery, wire.NAK, error=running.why)
            self._stuck(running.why)

    async def close(self, timeout_s: float) -> None:
        """Give back what waits, let what runs end within `timeout_s`, cancel the rest, see it all settled."""
        self._open = False
        for lane in self._lanes.values():
            while lane.waiting:
                self._settle(lane.waiting.popleft(), wire.RETURN)
        deadline = time.monotonic() + timeout_s
        await self._until(lambda: all(running.why for running in self._running.values()), deadline)
        for running in list(self._running.values()):
            if not running.in_thread:
                running.task.cancel()
        await self._until(self._has_ended, time.monotonic() + SETTLE_S)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _has_ended(self) -> bool:
        """Whether all is settled, as far as the bus is there to say so, and nothing runs but threads."""
        settled = not self._settling or not self._client.is_attached
        return settled and all(running.in_thread for running in self._running.values())

    async def _until(self, condition: Callable[[], bool], deadline: float) -> None:
        while not condition() and (left := deadline - time.monotonic()) > 0:
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return

    def is_stuck(self) -> bool:
        """Whether something is still at work after `close`, so that only ending the process ends it."""
        return bool(self._running)


def _words(error: BaseException) -> str:
    return _writable(f"{type(error).__name__}: {error}")


def _writable(text: str) -> str:
    """Without lone surrogates, such as an undecodable file name leaves in a message: JSON cannot hold them."""
    return text.encode("utf-8", "backslashreplace").decode()


def _with_signal(signal: Signal, function: Callable[..., Any], arguments: list[Any]) -> None:
    current_signal.set(signal)
    try:
        function(*arguments)
    finally:
        current_signal.set(None)
