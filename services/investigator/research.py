"""Asking the research model: in its turn, within a bounded time, with what was asked kept for after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from services.investigator.gate import RANKS, Gate
from services.investigator.notebook import Notebooks
from services.investigator.presence import Presence
from signals.envelope import Signal

Ask = Callable[..., Awaitable[Signal]]
Notes = dict[str, Any]
MAX_REQUEST_BYTES = 52_000
LEAST_ROOM = 500
"""Characters of evidence below which asking makes no sense."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How a model is asked: characters of evidence, seconds for one answer, seconds for all of a question."""

    evidence_chars: int = 16_000
    deadline_s: float = 120.0
    patience_s: float = 240.0
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class Heard:
    """What a model said, as data; or why there is nothing, in a word and in a sentence."""

    parsed: Any = None
    model: str = ""
    tokens: int = 0
    reason: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Research:
    """Everything that asking takes."""

    limits: Limits
    gate: Gate
    presence: Presence
    notebooks: Notebooks

    def request(
        self, build: Callable[[int], list[dict[str, str]]], schema: Mapping[str, Any], about: Mapping[str, Any],
        room: int,
    ) -> dict[str, Any]:  # fmt: skip
        """The facts of a Q_MODEL_REQUEST whose evidence takes at most `room` characters, and fits a signal."""
        while True:
            facts = {
                "role": "research",
                "messages": build(room),
                "response_schema": dict(schema),
                "max_tokens": 1500,
                "temperature": 0,
                "deadline_s": self.limits.deadline_s,
                "stream": False,
                "purpose": f"investigate {about['question_id']}"[:256],
                "priority": about["priority"],
            }
            if len(orjson.dumps(facts)) <= MAX_REQUEST_BYTES:
                return facts
            if room < LEAST_ROOM:
                return _cut(facts)
            room = room * 2 // 3

    async def asked(self, ask: Ask, request: Mapping[str, Any]) -> Heard:
        """The answer to one request. The caller bounds the time: an answer that comes later reaches nobody."""
        async with self.gate.place(RANKS[request["priority"]]):
            return heard(await ask("Q_MODEL_REQUEST", request, taint=["file"]))


def _cut(facts: dict[str, Any]) -> dict[str, Any]:
    """A request of which the question alone takes more than a signal carries: with its beginning."""
    *before, last = facts["messages"]
    content = last["content"]
    while len(orjson.dumps(facts)) > MAX_REQUEST_BYTES:
        content = content[: len(content) * 3 // 4]
        facts = {**facts, "messages": [*before, {**last, "content": content}]}
    return facts


def heard(answer: Signal) -> Heard:
    """What an answer is worth."""
    facts = answer.facts
    if answer.signal == "Q_MODEL_FAILED":
        return Heard(reason=facts["reason"], why_not=f"{facts['reason']}: {facts['detail']}")
    if answer.signal != "Q_MODEL_RESPONSE":
        return Heard(reason="timeout", why_not=f"the model did not answer within {facts['waited_s']:g} s")
    return Heard(facts.get("parsed"), facts["model"], facts["prompt_tokens"] + facts["completion_tokens"])


async def within(seconds: float, work: Awaitable[Heard]) -> Heard:
    """What was heard in time."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        return Heard(reason="timeout", why_not=f"no model answered within {seconds:g} s")
