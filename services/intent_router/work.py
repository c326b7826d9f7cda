"""The way of a file through the router: claim, read, decide, emit, move. Each step may be the last before a
crash: ids derive from the claim's name, so doing it all again changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

from services.intent_router.answers import CHANGED, Answers
from services.intent_router.arrivals import Arrivals, Item
from services.intent_router.folder import Claim, Folder, State, StillWrittenError, shown
from services.intent_router.intent import Limits
from services.intent_router.logic import Outgoing, Route, parse, plan
from services.intent_router.notes import Note
from services.intent_router.refusal import IntentRefused, explain
from signals.errors import (
    BusUnreachableError,
    ConfigError,
    ConflictError,
    LigandError,
    PressureError,
    QuotaError,
)

Given = TypeVar("Given")
Found = TypeVar("Found")

REJECTED = "Q_INTENT_REJECTED"
RETRY_S = 1.0
RETRY_DISK_S = 5.0
GROUPS = 2
MAX_REQUEST_SIGNALS = 1000  # what the bus takes at once
MAX_REQUEST_BYTES = 1 << 20


class Send(Protocol):
    """Emits plans as one atomic batch, in each the first signal the cause of the others.

    Returns when all is durable; raises a `LigandError` when one is refused or it cannot be said. Its field
    `nth`, where it has one, is the place of the refused signal in the batch, from 0.
    """

    async def __call__(self, plans: Sequence[Sequence[Outgoing]]) -> None: ...


class Log(Protocol):
    """What is used of a structured logger."""

    def debug(self, event: str, **fields: Any) -> Any: ...

    def warning(self, event: str, **fields: Any) -> Any: ...


class Prepared(NamedTuple):
    """A claimed file with what shall be emitted for it and its state when it was read, or why not: it is
    refused, or the disk failed, or (none of these) somebody still writes it."""

    claim: Claim
    plan: tuple[Outgoing, ...] = ()
    read: State | None = None
    refusal: IntentRefused | None = None
    disk: OSError | None = None


@dataclass(slots=True)
class Counts:
    """How many files were routed and refused since the start."""

    routed: int = 0
    refused: int = 0


class Work:
    """Takes files from `arrivals` in order, `in_flight` at once, in two groups: while one waits for the bus
    the other claims and reads. Only one of them is at the disk: two threads that call the system by turns wait for
    each other's interpreter lock at every call. `report` hears what holds the work up, else None."""

    def __init__(
        self,
        folder: Folder,
        arrivals: Arrivals,
        answers: Answers,
        *,
        routes: Sequence[Route],
        limits: Limits,
        send: Send,
        log: Log,
        report: Callable[[str | None], None],
        in_flight: int = 512,
    ) -> None:
        self.folder = folder
        self.arrivals = arrivals
        self.answers = answers
        self.routes = routes
        self.limits = limits
        self.counts = Counts()
        self._send = send
        self._log = log
        self._report = report
        self._group = max(1, in_flight // GROUPS)
        self._stopping = False
        self._disk = asyncio.Lock()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._unclaimable: set[str] = set()

    async def run(self) -> None:
        """Work until cancelled; `stop` ends it after what is in hand."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(GROUPS):
                tasks.create_task(self._work())

    def stop(self) -> None:
        """Take nothing more. What is claimed and not emitted stays in `working/` for the next start."""
        self._stopping = True

    async def drain(self, timeout_s: float) -> bool:
        """Wait until nothing is in hand, at most so long; says whether that came about."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def _work(self) -> None:
        while not self._stopping:
            items = await self.arrivals.take(self._group)
            self._idle.clear()
            self._busy += 1
            try:
                await self.handle(items)
            finally:
                self._busy -= 1
                if not self._busy:
                    self._idle.set()

    async def handle(self, items: Sequence[Item]) -> None:
        """Bring these files to their end."""
        prepared = await self._at_disk(self.prepare, items)
        for group in _requests([each for each in prepared if each.plan]):
            await self._route(group)
        for each in prepared:
            if not each.plan:
                await self._leave(each)

    def prepare(self, items: Sequence[Item]) -> list[Prepared]:
        """Claim, read and decide, then make durable what was claimed and noted. Runs in a thread."""
        claims = [claim for item in items if (claim := self._claim(item))]
        prepared = [found for claim in claims if (found := self._decide(claim))]
        try:
            self.answers.notes.write(Note(each.claim, each.read) for each in prepared if each.read)
            if not all(item.claimed for item in items):
                self.folder.sync()
        except OSError as error:
            return [Prepared(each.claim, disk=error) for each in prepared]
        return prepared

    def _claim(self, item: Item) -> Claim | None:
        try:
            claim = self.folder.claim(item.name, in_working=item.claimed)
        except (OSError, ConfigError) as error:
            if item.name not in self._unclaimable:
                self._unclaimable.add(item.name)
                self._log.warning(
                    "not_claimed",
                    file=shown(item.name),
                    error=str(error),
                    hint="give the router write permission on the drop folder",
                )
            return None
        self._unclaimable.discard(item.name)
        return claim

    def _decide(self, claim: Claim) -> Prepared | None:
        try:
            raw, state = self.folder.read(claim, self.limits.file_bytes)
            intent = parse(raw, claim.file, claim.claim_id, self.limits)
            signals = plan(intent, self.routes)
        except IntentRefused as refusal:
            return Prepared(claim, refusal=refusal)
        except StillWrittenError:
            return Prepared(claim)
        except FileNotFoundError:
            self._log.warning("file_taken_away", file=claim.file, claim=claim.claim_id)
            return None
        except OSError as error:
            return Prepared(claim, disk=error)
        return Prepared(claim, signals, state)

    async def _route(self, group: Sequence[Prepared]) -> None:
        emitted = await self._emit(group)
        moved = await self._at_disk(self._move_all, emitted)
        note = self._log.debug
        for each, outcome in zip(emitted, moved, strict=True):
            self._tell(each, outcome, note)

    async def _at_disk(self, function: Callable[[Given], Found], given: Given) -> Found:
        async with self._disk:
            return await asyncio.to_thread(function, given)

    def _move_all(self, emitted: Sequence[Prepared]) -> list[bool | OSError]:
        return [self._move(each) for each in emitted]

    def _move(self, each: Prepared) -> bool | OSError:
        """Move a routed file to `done/`; whether it was changed after it was read, or why it was not moved."""
        try:
            self.folder.finish(each.claim)
            return each.read is not None and self.answers.is_changed(Note(each.claim, each.read))
        except OSError as error:
            return error

    def _tell(self, each: Prepared, outcome: bool | OSError, note: Callable[..., Any]) -> None:
        claim = each.claim
        if isinstance(outcome, OSError):
            self._failed(claim, outcome)
            return
        if outcome:
            self._log.warning("changed_after_read", file=claim.file, intent_id=claim.claim_id, hint=CHANGED)
        self.counts.routed += 1
        note("routed", file=claim.file, intent_id=claim.claim_id, to=[out.signal for out in each.plan[1:]])

    def _failed(self, claim: Claim, error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            self._log.warning("file_taken_away", file=claim.file, claim=claim.claim_id)
        else:
            self._report(f"the drop folder cannot be written: {error}")
            asyncio.get_running_loop().call_later(RETRY_DISK_S, self.arrivals.resume, claim.name)

    async def _leave(self, each: Prepared) -> None:
        """Bring a file to its end that is not routed, or not now."""
        if each.disk:
            self._failed(each.claim, each.disk)
        elif each.refusal:
            await self._refuse(each.claim, each.refusal)
        else:
            self.arrivals.settle(each.claim.name, claimed=True)

    async def _refuse(self, claim: Claim, refusal: IntentRefused) -> None:
        facts = {
            "file": claim.file,
            "kept_at": shown(str(self.folder.rejected / claim.name)),
            "reason": refusal.reason,
            "detail": refusal.detail,
        }
        try:
            self.folder.explain(claim, explain(refusal, shown(claim.name), shown(str(self.folder.root))))
            await self._emit([Prepared(claim, (Outgoing(REJECTED, facts, f"{claim.claim_id}/rejected"),))])
            self.folder.reject(claim)
        except OSError as error:
            self._failed(claim, error)
            return
        self.counts.refused += 1
        self._log.warning("refused", file=claim.file, reason=refusal.reason, detail=refusal.detail)

    async def _emit(self, group: Sequence[Prepared]) -> list[Prepared]:
        """Emit these as one batch until the bus has answered; returned is what it took, the rest is refused."""
        waiting = list(group)
        emitted: list[Prepared] = []
        while waiting:
            try:
                await self._send([each.plan for each in waiting])
            except (QuotaError, PressureError, BusUnreachableError) as error:
                await self._hold(error)
            except LigandError as error:
                refused = _meant(waiting, error)
                if refused is None:
                    return emitted + [each for one in waiting for each in await self._emit([one])]
                waiting.remove(refused)
                emitted += await self._answer(refused, error)
            else:
                self._report(None)
                return emitted + waiting
        return emitted

    async def _answer(self, refused: Prepared, error: LigandError) -> list[Prepared]:
        """Go by a refusal for good. `conflict` means that an earlier run emitted this claim when the routes were
        others; that holds."""
        claim = refused.claim
        if isinstance(error, ConflictError):
            self._log.warning("emitted_before", intent_id=claim.claim_id, file=claim.file)
            return [refused]
        if refused.plan[0].signal == REJECTED:
            raise error
        await self._refuse(claim, _by_contract(error))
        return []

    async def _hold(self, error: LigandError) -> None:
        self._report(f"waiting for the bus: {error.message}")
        await asyncio.sleep(error.retry_after_s if isinstance(error, QuotaError) else RETRY_S)


def _requests(group: Sequence[Prepared]) -> Iterator[list[Prepared]]:
    """A group in parts that one request each can carry, in its order."""
    part: list[Prepared] = []
    signals = size = 0
    for each in group:
        more = each.read.size if each.read else 0
        if part and (signals + len(each.plan) > MAX_REQUEST_SIGNALS or size + more > MAX_REQUEST_BYTES):
            yield part
            part, signals, size = [], 0, 0
        part.append(each)
        signals, size = signals + len(each.plan), size + more
    if part:
        yield part


def _meant(group: Sequence[Prepared], error: LigandError) -> Prepared | None:
    """Whose signal the bus refused; None when it does not say which of several."""
    if len(group) == 1:
        return group[0]
    nth = error.fields.get("nth")
    if nth is None:
        return None
    owners = (each for each in group for _ in each.plan)
    return next(islice(owners, nth, None), None)


def _by_contract(error: LigandError) -> IntentRefused:
    path = error.fields.get("path")
    place = f" at {path}" if path else ""
    message = f"The bus does not take what it asks for{place}: {error.message}"
    return IntentRefused(f"refused_{error.code}", message, "Mend that part of the intent, or the route that fills it.")
