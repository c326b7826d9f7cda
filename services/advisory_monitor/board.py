"""All checks at work: each on its own time, what it finds told in one step with what it remembers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from services.advisory_monitor.conditions import LEAD, Conditions, severities, standing
from services.advisory_monitor.logic import Moment, Pace
from services.advisory_monitor.running import Run, start
from services.advisory_monitor.seen import Check, CheckFailed, Look, Reading, Said, Seen
from services.runtime import Daemon
from signals.envelope import Signal
from signals.errors import LigandError, PressureError

HEARD = "heard"
SEEN = "seen"
OWN = "monitor"
OWN_PACE = Pace(hold_s=0, clear_s=0, again_s=300)
PUT_OFF_S = 5.0
STILL_S = 60.0


@dataclass(slots=True)
class Entry:
    """One check, when it is next to look, and the look that is under way."""

    name: str
    check: Check
    interval_s: float
    deadline_s: float
    conditions: Conditions
    own: Conditions
    due: float = 0.0
    run: Run[Seen] | None = None
    seen: Seen = field(default_factory=Seen)
    trouble: str = ""
    told_at: float = 0.0
    owed: tuple[list[Said], Mapping[str, Any]] | None = None


class Board:
    """Runs the checks of one configuration."""

    def __init__(self, daemon: Daemon, checks: Mapping[str, Check], config: Mapping[str, Any]) -> None:
        self._daemon = daemon
        self._wake = asyncio.Event()
        self._faults: list[str] = []
        self._words = ""
        self._entries = [
            Entry(
                name,
                check,
                config[name]["interval_s"],
                config[name]["deadline_s"],
                Conditions(name),
                Conditions(f"{OWN}.{name}"),
            )
            for name, check in checks.items()
        ]

    def close(self) -> None:
        """Give back what the checks hold; one that hangs is left to its thread."""
        for entry in self._entries:
            if entry.run is None:
                entry.check.close()
        self._wake.set()

    async def has_ended_others(self) -> bool:
        """Tell the end of what was told by checks that look no more; False: not now, the journal takes nothing in."""
        ours = {name for entry in self._entries for name in (entry.name, f"{OWN}.{entry.name}")}
        names = {key.split("|")[1] for key in self._daemon.state if key.startswith(f"{LEAD}|")}
        try:
            for name in sorted(names - ours):
                said, puts = Conditions(name).judge((), self._daemon.state, _moment(), OWN_PACE)
                if said or puts:
                    await self._emit(said, puts)
        except PressureError as error:
            self._daemon.log.warning("put_off", error=error.message)
            return False
        return True

    async def turn(self) -> None:
        """Begin what is due, wait until something happens, and tell what was found."""
        self._wake.clear()
        now = time.monotonic()
        for entry in self._entries:
            if entry.run is None and entry.due <= now and await self._is_paid(entry):
                self._begin(entry)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.01, self._next() - now)):
                await self._wake.wait()
        for entry in self._entries:
            await self._finish(entry)

    def _next(self) -> float:
        """When to look up again by oneself."""
        running = ((entry, entry.run) for entry in self._entries if entry.run is not None)
        ends = [e.told_at + STILL_S if run.overdue else run.began + e.deadline_s for e, run in running]
        return min([*ends, *(e.due for e in self._entries if e.run is None)], default=time.monotonic() + STILL_S)

    def _begin(self, entry: Entry) -> None:
        state = self._daemon.state
        heard, kept = (_beneath(state, f"{kind}|{entry.name}|") for kind in (HEARD, SEEN))
        look = Look(heard, kept, time.monotonic(), time.time(), dict(severities(state, entry.name)))
        entry.run = start(entry.name, lambda: entry.check.look(look), self._wake.set)

    async def _finish(self, entry: Entry) -> None:
        run = entry.run
        if run is None:
            return
        if run.done:
            entry.run, entry.due = None, time.monotonic() + entry.interval_s
            await self._take(entry, run)
        elif time.monotonic() >= (entry.told_at + STILL_S if run.overdue else run.began + entry.deadline_s):
            run.overdue, entry.told_at = True, time.monotonic()
            words = f"The check {entry.name} has not come back for {entry.deadline_s:g} s; the others go on."
            await self._trouble(entry, "hangs", words)

    async def _take(self, entry: Entry, run: Run[Seen]) -> None:
        if run.error is not None:
            words = str(run.error) if isinstance(run.error, CheckFailed) else repr(run.error)
            told = f"The check {entry.name} failed: {words}"
            if told != entry.trouble:
                self._daemon.log.warning("check_failed", check=entry.name, error=words, exc_info=_unknown(run.error))
            return await self._trouble(entry, "failed", told)
        entry.seen, entry.trouble = run.result or Seen(), ""
        seen, now = entry.seen, _moment()
        whole = not (seen.unseen or seen.lacking)  # else what is not there may only not have been seen
        said, puts = entry.conditions.judge(seen.readings, self._daemon.state, now, entry.check.pace, whole=whole)
        own = [_not_seen(entry.name, one.subject, one.message, one.hint) for one in seen.unseen]
        more, more_puts = entry.own.judge(own, self._daemon.state, now, OWN_PACE)
        puts |= more_puts | {f"{SEEN}|{entry.name}|{key}": value for key, value in seen.puts.items()}
        await self._tell(entry, [*said, *more, *seen.says], puts)

    async def _trouble(self, entry: Entry, what: str, words: str) -> None:
        """Tell of a check that does not work, beside what was told of it before."""
        entry.trouble = words
        reading = Reading(
            f"{OWN}.{entry.name}",
            "warning",
            what,
            "works",
            "state",
            words,
            "See journalctl -u ligand-advisory-monitor.",
        )
        lasting = [_not_seen(entry.name, one.subject, one.message, one.hint) for one in entry.seen.unseen]
        said, puts = entry.own.judge([reading, *lasting], self._daemon.state, _moment(), OWN_PACE)
        await self._tell(entry, said, puts)

    async def _tell(self, entry: Entry, says: Iterable[Said], puts: Mapping[str, Any]) -> None:
        before, kept = entry.owed or ([], {})
        entry.owed = ([*before, *says], {**kept, **puts})
        await self._is_paid(entry)
        self._say()

    async def _is_paid(self, entry: Entry) -> bool:
        """Tell what is still to be told of a check; while the journal takes nothing in, it does not look again."""
        if entry.owed is None:
            return True
        says, puts = entry.owed
        try:
            if says or puts:
                await self._emit(says, puts)
        except PressureError as error:
            self._daemon.log.warning("put_off", check=entry.name, error=error.message)
            entry.due = time.monotonic() + max(PUT_OFF_S, entry.interval_s)
            return False
        except LigandError as error:  # not even what it says of itself fits: the others must not suffer
            self._daemon.log.error("cannot_be_told", check=entry.name, error=error.message)
            entry.owed, entry.trouble = None, f"What the check {entry.name} found cannot be told: {error.message}"
            return True
        entry.owed = None
        for said in says:
            self._daemon.log.info("told", check=entry.name, signal_name=said.signal, **_brief(said.facts))
        return True

    async def _emit(self, says: list[Said], puts: Mapping[str, Any]) -> None:
        """In one step; what a cause that is no longer in the journal would forbid is said without it."""
        try:
            await self._batch(says, puts)
        except PressureError:
            raise
        except LigandError as error:
            if not any(said.because for said in says):
                raise
            self._daemon.log.warning("told_without_cause", error=error.message)
            await self._batch([replace(said, because=()) for said in says], puts)

    async def _batch(self, says: list[Said], puts: Mapping[str, Any]) -> None:
        async with self._daemon.batch(puts) as emit:
            for said in says:
                emit(said.signal, said.facts, because=[_cause(one) for one in said.because], taint=said.taint)

    def _say(self) -> None:
        """Say in one line how it stands; lacking something is degraded, a bad disk is not."""
        faults = [entry.trouble for entry in self._entries if entry.trouble]
        for entry in self._entries:
            faults += [one.message for one in entry.seen.unseen] + [entry.seen.lacking] * bool(entry.seen.lacking)
        if faults != self._faults:
            self._faults = faults
            say = self._daemon.log.warning if faults else self._daemon.log.info
            say("degraded" if faults else "sees_everything", faults=faults[:5])
        stand = [f"{one['subject'] or one['check']}: {one['severity']}" for one in standing(self._daemon.state)]
        notes = [entry.seen.note for entry in self._entries if entry.seen.note]
        counts = f"{len(self._entries)} checks, {len(stand)} conditions stand"
        counts += f" ({', '.join(stand[:5])})" if stand else ""
        words = "; ".join([*faults[:5], counts, *notes])
        if words != self._words:
            self._words = words
            self._daemon.status(words, degraded=bool(faults))


def _beneath(state: Mapping[str, Any], lead: str) -> dict[str, Any]:
    return {key.removeprefix(lead): value for key, value in state.items() if key.startswith(lead)}


def _moment() -> Moment:
    return Moment(time.monotonic(), time.time())


def _not_seen(name: str, subject: str, message: str, hint: str) -> Reading:
    return Reading(f"{OWN}.{name}", "warning", "unseen", "seen", "state", message, hint, subject)


def _unknown(error: BaseException) -> BaseException | None:
    return None if isinstance(error, CheckFailed) else error


def _brief(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ("severity", "subject", "change", "message", "edge") if name in facts}


def _cause(signal_id: str) -> Signal:
    """A signal of which only the id is known: enough to be named as a cause."""
    return Signal("Q_HEALTH_ALERT", signal_id, "", "bus", "", 1, {})
