"""The rounds of a general question: the model may want more evidence, of known kinds, before it has to conclude."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.investigator import claims, logic, prompts, supposing
from services.investigator.gathering import Gathering
from services.investigator.logic import Outcome
from services.investigator.readers import Readers
from services.investigator.report import Evidence
from services.investigator.research import Ask, Heard, Notes, Research, within
from signals.envelope import Signal


def noted(found: Sequence[Evidence]) -> dict[str, Any]:
    """Evidence as it is kept in a notebook: what facts say of it, and its texts."""
    return {"evidence": [logic.cited(one) for one in found], "texts": [one.text for one in found]}


@dataclass(slots=True)
class Rounds:
    """One question at the model. `notes` hold all that was gathered and asked, on disk before each request."""

    research: Research
    gathering: Gathering
    readers: Readers
    signal: Signal
    ask: Ask
    notes: Notes
    tokens: int = 0

    async def conclude(self, began: float, clock: Callable[[], float]) -> Outcome:
        """The outcome: what the model can show from evidence, else an honest failure."""
        heard = await within(self.research.limits.patience_s, self._all())
        asked, evidence = self.signal.facts, self.notes["evidence"]
        if heard.reason:
            why = f"No model helped: {heard.why_not}."
            return claims.unanswered(asked, "no_model", why, evidence, retryable=True)
        answer = claims.read(heard.parsed, self._schema, len(evidence))
        if answer is None:
            why = f"The answer of {heard.model} does not have the form that it was asked for."
            return claims.unanswered(asked, "invalid_output", why, evidence, retryable=True)
        verdict = supposing.judged(asked, heard.parsed, heard.model, len(evidence))
        if not supposing.answers(answer, verdict):
            open_points = f" It left open: {'; '.join(answer.unknowns[:3])}." if answer.unknowns else ""
            why = f"Nothing that was found shows an answer, by the word of {heard.model}.{open_points}"
            return claims.unanswered(asked, "unknown", why, evidence, retryable=False)
        facts = claims.general(
            asked,
            logic.investigation_id(self.signal.id),
            answer,
            evidence,
            model=heard.model,
            tokens=self.tokens,
            duration_s=clock() - began,
        )
        facts["summary"] = supposing.summary(facts["summary"], verdict)
        return Outcome("Q_INVESTIGATION_COMPLETE", supposing.told(facts, verdict))

    @property
    def _schema(self) -> dict[str, Any]:
        return supposing.schema_of(prompts.ABOUT_ANYTHING, self.signal.facts)

    async def _all(self) -> Heard:
        """The last thing the model said."""
        heard, room = Heard(), self.research.limits.evidence_chars
        for nth in range(self.research.limits.rounds):
            is_last = nth + 1 == self.research.limits.rounds
            if nth >= len(self.notes["requests"]):
                await self._write_down(is_last, room)
            heard = await self.research.asked(self.ask, self.notes["requests"][nth])
            self.tokens += heard.tokens
            if heard.reason == "context_too_long" and room == self.research.limits.evidence_chars:
                room //= 4
                continue
            if heard.reason or is_last or not await self._gathered_more(nth, heard):
                break
        return heard

    async def _write_down(self, is_last: bool, room: int) -> None:
        """The next request, on disk before it is made."""
        shown = list(zip(self.notes["evidence"], self.notes["texts"], strict=True))
        build = functools.partial(prompts.about_anything, self.signal.facts, shown, is_last)
        self.notes["requests"].append(self.research.request(build, self._schema, self.signal.facts, room))
        identity = logic.investigation_id(self.signal.id)
        await self.readers.run(functools.partial(self.research.notebooks.write, identity, self.notes))

    async def _gathered_more(self, nth: int, heard: Heard) -> bool:
        """Gather what the model wants besides; False when it wants nothing, or there is nothing of that."""
        if nth + 1 < len(self.notes["requests"]):
            return True  # gathered before a crash
        answer = claims.read(heard.parsed, self._schema, len(self.notes["evidence"]))
        if answer is None or not answer.more or len(self.notes["evidence"]) >= logic.MAX_EVIDENCE:
            return False
        known = [Evidence(one["kind"], one["ref"], one.get("sha256")) for one in self.notes["evidence"]]
        found = await self.readers.run(functools.partial(self.gathering.more, answer.more, known))
        fresh = noted(found)
        self.notes["evidence"] += fresh["evidence"]
        self.notes["texts"] += fresh["texts"]
        return bool(found)
