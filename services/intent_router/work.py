"""The way of a file through the router: claim, read, decide, emit, move. Each step may be the last before a
crash: ids derive from the claim's name, so doing it all again changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.intent_router.answers import CHANGED, Answers
from services.intent_router.arrivals import Arrivals, Item
from services.intent_router.folder import Claim, Folder, StillWrittenError, shown
from services.intent_router.intent import Limits
from services.intent_router.logic import Outgoing, Route, parse, plan
from services.intent_router.refusal import IntentRefused, explain
from signals.errors import (
    BusUnreachableError,
    ConfigError,
    ConflictError,
    LigandError,
    PressureError,
    QuotaError,
)

REJECTED = "Q_INTENT_REJECTED"
RETRY_S = 1.0
RETRY_DISK_S = 5.0
GROUPS = 2


class Send(Protocol):
    """Emits a plan as one atomic batch, its first signal the cause of the others.

    Returns when it is durable; raises a `LigandError` when it is refused or cannot be said.
    """

    async def __call__(self, plan: Sequence[Outgoing]) -> None: ...


class Log(Protocol):
    """What is used of a structured logger."""

    def debug(self, event: str, **fields: Any) -> Any: ...

    def warning(self, event: str, **fields: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A claimed file with what shall be emitted for it, or why not: it is refused, or the
    disk failed, or (none of these) somebody still writes it."""

    claim: Claim
    plan: tuple[Outgoing, ...] = ()
    refusal: IntentRefused | None = None
    disk: OSError | None = None


@dataclass(slots=True)
class Counts:
    """How many files were routed and refused since the start."""

    routed: int = 0
    refused: int = 0


class Work:
    """Takes files from `arrivals` in order, `in_flight` at once, in two groups: while one waits for the bus
    the other claims and reads. `report` hears what holds the work up, else None."""

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
        in_flight: int = 128,
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
        prepared = await asyncio.to_thread(self.prepare, items)
        await asyncio.gather(*(self._settle(each) for each in prepared))

    def prepare(self, items: Sequence[Item]) -> list[Prepared]:
        """Claim, make the claims durable, then read and decide. Runs in a thread."""
        claims = [claim for item in items if (claim := self._claim(item))]
        try:
            if not all(item.claimed for item in items):
                self.folder.sync()
        except OSError as error:
            return [Prepared(claim, disk=error) for claim in claims]
        return [prepared for claim in claims if (prepared := self._decide(claim))]

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
            self.answers.open(claim, state)
        except IntentRefused as refusal:
            return Prepared(claim, refusal=refusal)
        except StillWrittenError:
            return Prepared(claim)
        except FileNotFoundError:
            self._log.warning("file_taken_away", file=claim.file, claim=claim.claim_id)
            return None
        except OSError as error:
            return Prepared(claim, disk=error)
        return Prepared(claim, signals)

    async def _settle(self, prepared: Prepared) -> None:
        claim = prepared.claim
        try:
            if prepared.disk:
                raise prepared.disk
            if prepared.refusal:
                await self._refuse(claim, prepared.refusal)
            elif prepared.plan:
                await self._route(claim, prepared.plan)
            else:
                self.arrivals.settle(claim.name, claimed=True)
        except FileNotFoundError:
            self._log.warning("file_taken_away", file=claim.file, claim=claim.claim_id)
        except OSError as error:
            self._report(f"the drop folder cannot be written: {error}")
            asyncio.get_running_loop().call_later(RETRY_DISK_S, self.arrivals.resume, claim.name)

    async def _route(self, claim: Claim, signals: Sequence[Outgoing]) -> None:
        try:
            await self._emit(claim, signals)
        except LigandError as error:
            await self._refuse(claim, _by_contract(error))
            return
        self.folder.finish(claim)
        if self.answers.is_changed(claim):
            self._log.warning("changed_after_read", file=claim.file, intent_id=claim.claim_id, hint=CHANGED)
        self.counts.routed += 1
        self._log.debug("routed", file=claim.file, intent_id=claim.claim_id, to=[out.signal for out in signals[1:]])

    async def _refuse(self, claim: Claim, refusal: IntentRefused) -> None:
        self.answers.forget(claim)
        self.folder.explain(claim, explain(refusal, shown(claim.name), shown(str(self.folder.root))))
        facts = {
            "file": claim.file,
            "kept_at": shown(str(self.folder.rejected / claim.name)),
            "reason": refusal.reason,
            "detail": refusal.detail,
        }
        await self._emit(claim, [Outgoing(REJECTED, facts, f"{claim.claim_id}/rejected")])
        self.folder.reject(claim)
        self.counts.refused += 1
        self._log.warning("refused", file=claim.file, reason=refusal.reason, detail=refusal.detail)

    async def _emit(self, claim: Claim, signals: Sequence[Outgoing]) -> None:
        """Emit until the bus has answered; raises what it refuses for good.

        `conflict` means that an earlier run emitted this claim when the routes were others; that holds.
        """
        while True:
            try:
                await self._send(signals)
            except ConflictError:
                self._log.warning("emitted_before", intent_id=claim.claim_id, file=claim.file)
            except (QuotaError, PressureError, BusUnreachableError) as error:
                await self._hold(error)
                continue
            self._report(None)
            return

    async def _hold(self, error: LigandError) -> None:
        self._report(f"waiting for the bus: {error.message}")
        await asyncio.sleep(error.retry_after_s if isinstance(error, QuotaError) else RETRY_S)


def _by_contract(error: LigandError) -> IntentRefused:
    path = error.fields.get("path")
    place = f" at {path}" if path else ""
    message = f"The bus does not take what it asks for{place}: {error.message}"
    return IntentRefused(f"refused_{error.code}", message, "Mend that part of the intent, or the route that fills it.")
