"""From one question to its one answer: read, ask a model where there is one, keep, tell."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from services.investigator import claims, logic, prompts, supposing
from services.investigator.gate import RANKS, Gate
from services.investigator.gathering import Gathering
from services.investigator.inquiry import Investigator
from services.investigator.logic import Facts, Outcome
from services.investigator.readers import Readers
from services.investigator.research import Ask, Heard, Notes, Research, within
from services.investigator.rounds import Rounds, noted
from signals.envelope import Signal

T = TypeVar("T")
NOT_ASKING = frozenset({"policy_engine"})
"""Whose questions are no reason to look again at what did not change."""
COMPLETE: Literal["Q_INVESTIGATION_COMPLETE"] = "Q_INVESTIGATION_COMPLETE"


@dataclass(frozen=True, slots=True)
class Study:
    """Answers questions; `research` is None where no model is wanted. `clock` is monotonic, in seconds."""

    investigator: Investigator
    readers: Readers
    reading: Gate
    research: Research | None
    gathering: Gathering
    clock: Callable[[], float] = time.monotonic

    async def answer(self, signal: Signal, ask: Ask, stopped: Callable[[], Outcome | None]) -> Outcome:
        """The outcome of a question; recorded before it is told, and the same again after a crash.

        `stopped` ends or puts off a question that is not answered yet. Raises OSError when something cannot be written.
        """
        began = self.clock()
        known = await self.readers.run(functools.partial(self.investigator.known, signal.id, signal.replayed))
        if known is not None:
            return await self._done(signal, known)
        if (end := stopped()) is not None:
            return await self._done(signal, end)
        if not logic.candidates(signal.facts):
            return await self._keep(signal, await self._anything(signal, ask, began))
        return await self._keep(signal, await self._a_module(signal, ask, began))

    async def _a_module(self, signal: Signal, ask: Ask, began: float) -> Outcome:
        notes = await self._notes(signal)
        if notes is None:
            outcome = await self._read(signal, functools.partial(self.investigator.look, signal.id, signal.facts))
            if outcome.signal != COMPLETE:
                return outcome
            if signal.source in NOT_ASKING:
                work = functools.partial(self.investigator.unchanged, signal.id, signal.facts, outcome)
                if (same := await self.readers.run(work)) is not None:
                    return same
            if self.research is None:
                verdict = supposing.unjudged(
                    signal.facts, "reading alone does not decide it, and no model is configured."
                )
                return replace(outcome, facts=supposing.told(outcome.facts, verdict))
            absent = self.research.presence.absent(self.clock())
            if absent is not None:
                return Outcome(COMPLETE, _alone(signal, outcome.facts, *absent))
            notes = {"static": outcome.facts, "texts": list(outcome.texts), "requests": []}
        return Outcome(COMPLETE, await self._asked(signal, ask, notes, began))

    async def _anything(self, signal: Signal, ask: Ask, began: float) -> Outcome:
        """A question that names no module: gather, ask, gather what the model wants besides, conclude."""
        gathering = self.gathering
        if self.research is None:
            return logic.no_model(signal.facts)
        notes = await self._notes(signal)
        if notes is None:
            found = await self._read(signal, functools.partial(gathering.first, signal.facts))
            notes = {"requests": [], **noted(found)}
            absent = self.research.presence.absent(self.clock())
            if absent is not None:
                why = f"No model answers ({absent[1]}), and a general question needs one."
                return claims.unanswered(signal.facts, "no_model", why, notes["evidence"], retryable=True)
        rounds = Rounds(self.research, gathering, self.readers, signal, ask, notes)
        return await rounds.conclude(began, self.clock)

    async def _read(self, signal: Signal, work: Callable[[], T]) -> T:
        async with self.reading.place(RANKS[signal.facts["priority"]]):
            return await self.readers.run(work)

    async def _notes(self, signal: Signal) -> Notes | None:
        if self.research is None:
            return None
        return await self.readers.run(functools.partial(self.research.notebooks.read, _identity(signal)))

    async def _keep(self, signal: Signal, outcome: Outcome) -> Outcome:
        keep = functools.partial(self.investigator.keep, outcome, signal.id, signal.timestamp)
        return await self._done(signal, await self.readers.run(keep))

    async def _done(self, signal: Signal, outcome: Outcome) -> Outcome:
        if self.research is not None:
            await self.readers.run(functools.partial(self.research.notebooks.forget, _identity(signal)))
        return outcome

    async def _asked(self, signal: Signal, ask: Ask, notes: Notes, began: float) -> Facts:
        """What was read and what the model makes of it; what was read alone where that is all there is."""
        assert self.research is not None
        static = notes["static"]
        heard = await within(self.research.limits.patience_s, self._module(signal, ask, notes))
        if heard.reason:
            return _alone(signal, static, heard.reason, heard.why_not)
        cited = len(static["evidence"])
        answer = claims.read(heard.parsed, supposing.schema_of(prompts.ABOUT_A_MODULE, signal.facts), cited)
        if answer is None:
            why = f"the answer of {heard.model} does not have the form it was asked for"
            return _alone(signal, static, "invalid_output", why)
        verdict = supposing.judged(signal.facts, heard.parsed, heard.model, cited)
        if not supposing.answers(answer, verdict):
            return _alone(signal, static, "no_evidence", f"nothing that {heard.model} said cites what was read")
        facts = claims.with_model(static, answer, heard.model, heard.tokens, self.clock() - began)
        return supposing.told(facts, verdict)

    async def _module(self, signal: Signal, ask: Ask, notes: Notes) -> Heard:
        """Ask about a module; once more with less of it where the conversation is too long for the model."""
        assert self.research is not None
        static, texts = notes["static"], notes["texts"]
        most = self.research.limits.evidence_chars
        heard = Heard()
        for nth, room in enumerate((most, most // 4)):
            if nth >= len(notes["requests"]):
                build = functools.partial(prompts.about_module, signal.facts, static, texts)
                schema = supposing.schema_of(prompts.ABOUT_A_MODULE, signal.facts)
                notes["requests"].append(self.research.request(build, schema, signal.facts, room))
                write = functools.partial(self.research.notebooks.write, _identity(signal), notes)
                await self.readers.run(write)
            heard = await self.research.asked(ask, notes["requests"][nth])
            if heard.reason != "context_too_long":
                break
        return heard


def _alone(signal: Signal, static: Facts, reason: str, why: str) -> Facts:
    """What reading alone gave, which decides no supposition."""
    verdict = supposing.unjudged(signal.facts, f"no model helped: {why}")
    return supposing.told(claims.without_model(static, reason, why), verdict)


def _identity(signal: Signal) -> str:
    return logic.investigation_id(signal.id)
