"""One request while it is worked on: what is wanted, how often it was begun, what came of it so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.model_worker.client import Piece
from services.model_worker.failures import Failure
from services.model_worker.logic import CHARS_PER_TOKEN, Messages, conversation, least_tokens
from services.model_worker.output import Wanted, visible, writable
from services.model_worker.settings import Settings

RANKS = {"critical": 0, "high": 1, "normal": 2, "low": 3}
TOKEN_CHARS = 4096
Tell = Callable[[Mapping[str, Any]], None]


@dataclass(slots=True)
class Job:
    """A request. `tell` hears its tokens, if anybody wants them; times are monotonic seconds."""

    id: str
    messages: Messages
    wanted: Wanted | None
    max_tokens: int
    temperature: float
    rank: int
    tell: Tell | None
    ends: float
    started: float = field(default_factory=time.monotonic)
    attempts: int = 0
    first_token_at: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    counted: bool = True
    failures: list[Failure] = field(default_factory=list)

    @classmethod
    def of(cls, request_id: str, facts: Mapping[str, Any], settings: Settings, tell: Tell) -> Job:
        """From a request's facts. Raises `UnfitError` for a response_schema that is none."""
        schema, now = facts.get("response_schema"), time.monotonic()
        return cls(
            id=request_id,
            messages=conversation(facts, settings.system_prompt),
            wanted=None if schema is None else Wanted.of(schema),
            max_tokens=min(facts.get("max_tokens", settings.max_tokens), settings.max_tokens),
            temperature=facts.get("temperature", settings.temperature),
            rank=RANKS[facts.get("priority", "normal")],
            tell=tell if facts["stream"] else None,
            started=now,
            ends=now + min(facts["deadline_s"], settings.deadline_s),
        )


class Turn:
    """One answer of a server as it comes, told live if wanted; `index` counts from 0 in each attempt."""

    def __init__(self, job: Job, messages: Messages) -> None:
        self._job = job
        self._messages = messages
        self._parts: list[str] = []
        self._index = 0
        self._chunks = 0
        self._thought = True
        self._usage: tuple[int | None, int | None] = (None, None)
        self.finish_reason: str | None = None
        job.attempts += 1

    @property
    def text(self) -> str:
        """What there is of it, thoughts aside."""
        return writable(visible("".join(self._parts)))

    @property
    def length(self) -> int:
        """Characters so far, thoughts included."""
        return sum(map(len, self._parts))

    def add(self, piece: Piece) -> None:
        """A piece came."""
        self.finish_reason = piece.finish_reason or self.finish_reason
        if piece.prompt_tokens is not None:
            self._usage = (piece.prompt_tokens, piece.completion_tokens)
        if not piece.text:
            return
        self._chunks += 1
        self._parts.append(piece.text)
        if self._job.first_token_at is None:
            self._job.first_token_at = time.monotonic()
        if self._job.tell is not None:
            self._say(self._job.tell, piece.text)

    def _say(self, tell: Tell, text: str) -> None:
        if self._thought:  # what stands at the beginning may be a thought, which nobody wants read out
            text = visible("".join(self._parts))
            self._thought = not text
        text = writable(text)
        for start in range(0, len(text), TOKEN_CHARS):
            facts = {"request_id": self._job.id, "attempt": self._job.attempts - 1, "index": self._index}
            tell({**facts, "text": text[start : start + TOKEN_CHARS]})
            self._index += 1

    def account(self) -> None:
        """Add what it took to the request's; where the server does not count, a piece is about a token."""
        prompt, completion = self._usage
        self._job.counted = self._job.counted and prompt is not None and completion is not None
        self._job.prompt_tokens += least_tokens(self._messages) if prompt is None else prompt
        pieces = max(self._chunks, self.length // CHARS_PER_TOKEN)
        self._job.completion_tokens += pieces if completion is None else completion
