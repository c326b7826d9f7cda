"""One attempt at one server: find out how it answers in JSON, ask, hold the answer against what was wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from services.model_worker import shapes
from services.model_worker.failures import EMPTY, REFUSED, TOO_LARGE, TOO_LONG, TRUNCATED, UNFIT, Failure
from services.model_worker.job import Job, Turn
from services.model_worker.logic import LEAST_ANSWER, Messages, mended, room
from services.model_worker.output import UnfitError, Wanted
from services.model_worker.server import Server

MAX_CHARS = 49152
EVIDENCE_CHARS = 1024
NOT_IN_THIS_SHAPE = frozenset({400, 422, 500, 501})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    text: str
    model: str
    server: str
    finish_reason: str
    parsed: Any = None


async def ask(server: Server, job: Job) -> Answer:
    """An answer that is whole and fits. Raises `Failure`."""
    model = await server.chosen()
    try:
        if job.wanted is None:
            return await _plainly(server, job, model)
        return await _structured(server, job, model, job.wanted)
    except Failure as failure:
        failure.model = model
        raise


async def _plainly(server: Server, job: Job, model: str) -> Answer:
    turn = await _turn(server, job, model, job.messages, {})
    return _answer(server, model, turn)


def _answer(server: Server, model: str, turn: Turn, parsed: Any = None) -> Answer:
    return Answer(turn.text, model, server.name, _reason(turn), parsed)


async def _structured(server: Server, job: Job, model: str, wanted: Wanted) -> Answer:
    """An answer in JSON; one that does not fit is sent back once, with what is wrong about it."""
    shape = await shape_of(server, job, model)
    shape, turn = await _in_shape(server, job, model, shape)
    try:
        return _answer(server, model, turn, wanted.read(turn.text))
    except UnfitError as error:
        messages = mended(shapes.asked(shape, job.messages, wanted.schema), turn.text, str(error))
        unfit = _unfit(turn, error, "")
    try:
        turn = await _turn(server, job, model, messages, shapes.response_format(shape, wanted.schema))
    except Failure as failure:
        raise (unfit if failure.kind is TOO_LONG else failure) from failure
    try:
        return _answer(server, model, turn, wanted.read(turn.text))
    except UnfitError as error:
        raise _unfit(turn, error, ", also when asked again") from error


def _unfit(turn: Turn, error: UnfitError, again: str) -> Failure:
    evidence = {"text": turn.text[:EVIDENCE_CHARS], "path": error.path, "problem": error.problem}
    return Failure(UNFIT, f"The answer does not fit response_schema{again}: {error}", evidence=evidence)


async def _in_shape(server: Server, job: Job, model: str, shape: str) -> tuple[str, Turn]:
    """The first turn, in a humbler shape where the server cannot do this schema."""
    assert job.wanted is not None
    while True:
        messages = shapes.asked(shape, job.messages, job.wanted.schema)
        try:
            fields = shapes.response_format(shape, job.wanted.schema)
            return shape, await _turn(server, job, model, messages, fields)
        except Failure as failure:
            humbler = shapes.below(shape)
            if humbler is None or failure.status not in NOT_IN_THIS_SHAPE:
                raise
            shape = humbler


async def shape_of(server: Server, job: Job, model: str) -> str:
    """What the server really does, found out once by tiny questions. Raises `Failure` when it does not answer."""
    if server.settings.structured != "auto":
        return server.settings.structured
    if model in server.shapes:
        return server.shapes[model]
    answered = False
    for shape in shapes.SHAPES[:-1]:
        text = await _probe(server, job, model, shape)
        answered = answered or text is not None
        if text is not None and shapes.proves(shape, text):
            server.shapes[model] = shape
            return shape
    if answered:  # a server that only failed has shown nothing
        server.shapes[model] = shapes.TEXT
    return shapes.TEXT


async def _probe(server: Server, job: Job, model: str, shape: str) -> str | None:
    """The text of the answer to the probe; None when the server does not take the question so."""
    messages, schema = shapes.probe(shape)
    fields = {**shapes.response_format(shape, schema), **_length(server, shapes.PROBE_TOKENS), "temperature": 0}
    parts = []
    try:
        async with aclosing(server.chat({"model": model, "messages": messages, **fields})) as pieces:
            async for piece in pieces:
                parts.append(piece.text)
    except Failure as failure:
        if failure.status not in NOT_IN_THIS_SHAPE:
            raise
        return None
    return "".join(parts)


async def _turn(server: Server, job: Job, model: str, messages: Messages, fields: Mapping[str, Any]) -> Turn:
    """A question and its whole answer. Raises `Failure`, also for an empty answer or half of one."""
    left = room(messages, job.max_tokens, server.settings.context_tokens)
    if left < min(LEAST_ANSWER, job.max_tokens):
        words = f"The conversation is longer than the {server.settings.context_tokens} tokens it may have."
        raise Failure(TOO_LONG, words)
    body = {"model": model, "messages": messages, "temperature": job.temperature, **_length(server, left), **fields}
    turn = Turn(job, messages)
    async with aclosing(server.chat(body)) as pieces:
        async for piece in pieces:
            turn.add(piece)
            if turn.length > MAX_CHARS:
                raise Failure(TOO_LARGE, f"The answer is longer than {MAX_CHARS} characters. Ask for less.")
    turn.account()
    _whole(turn, left)
    return turn


def _length(server: Server, tokens: int) -> dict[str, int]:
    return {server.settings.max_tokens_as: tokens}


def _whole(turn: Turn, tokens: int) -> None:
    evidence = {"text": turn.text[:EVIDENCE_CHARS], "path": "", "problem": f"it ended by {turn.finish_reason}"}
    if turn.finish_reason == "length":
        words = f"The answer was cut off after {tokens} tokens. Allow more by max_tokens, or ask for less."
        raise Failure(TRUNCATED, words, evidence=evidence)
    if turn.finish_reason == "content_filter":
        raise Failure(REFUSED, "The server's filter held the answer back.", evidence=evidence)
    if not turn.text.strip():
        raise Failure(EMPTY, "The server gave an empty answer.", evidence=evidence)


def _reason(turn: Turn) -> str:
    """How it ended, as a contract can hold it."""
    told = (turn.finish_reason or "stop").lower()
    return told if re.fullmatch(r"[a-z][a-z0-9_]{0,63}", told) else "other"
