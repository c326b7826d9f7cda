"""A request from its beginning to its one answer: over servers, rounds and time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import orjson

from services.model_worker.asking import Answer, ask
from services.model_worker.failures import LATE, OPEN, REFUSED, TOO_LARGE, Failure, summary
from services.model_worker.job import Job, Tell
from services.model_worker.output import UnfitError
from services.model_worker.pool import Pool
from services.model_worker.presence import Presence
from services.model_worker.server import Server

MARGIN_S = 1.0
MAX_BYTES = 60 * 1024
DETAIL_CHARS = 2048


async def answer(
    pool: Pool, request_id: str, facts: Mapping[str, Any], tell: Tell, presence: Presence | None
) -> tuple[str, dict[str, Any]]:
    """The one signal that answers a request, and its facts. `presence` is where the person's requests are told."""
    role, job = facts["role"], None
    try:
        job = Job.of(request_id, facts, pool.settings, tell)
        found = await _in_time(pool, job, presence)
        return "Q_MODEL_RESPONSE", _carried({"role": role, **_response(job, found)})
    except UnfitError as error:
        return "Q_MODEL_FAILED", _failed(role, Failure(REFUSED, str(error)), job)
    except Failure as failure:
        return "Q_MODEL_FAILED", _failed(role, failure, job)


async def _in_time(pool: Pool, job: Job, presence: Presence | None) -> Answer:
    """Within the deadline, and a little before the bus's own, so that the asker hears why."""
    budget = job.ends - job.started
    try:
        async with asyncio.timeout(budget - min(MARGIN_S, budget / 10)):
            return await _rounds(pool, job, presence)
    except TimeoutError as error:
        before = f" Before that: {summary(job.failures).detail}" if job.failures else ""
        raise Failure(LATE, f"There was no whole answer within {budget:g} s.{before}") from error


async def _rounds(pool: Pool, job: Job, presence: Presence | None) -> Answer:
    """All servers in turn, again after a while, as often as the configuration says."""
    hopeless: set[str] = set()
    for number in range(pool.settings.rounds):
        for server in pool.in_order():
            if server.name in hopeless or server.not_before > time.monotonic():
                continue
            try:
                return await _at(server, job, presence)
            except Failure as failure:
                _note(pool, job, server, failure)
                if not failure.kind.again:
                    hopeless.add(server.name)
        left = [server for server in pool.servers if server.name not in hopeless]
        pause_s = _pause(left, pool.settings.backoff_s * 2**number)
        if number + 1 == pool.settings.rounds or time.monotonic() + pause_s >= job.ends:
            break
        await asyncio.sleep(pause_s)
    raise summary(job.failures or [_waiting(server) for server in pool.servers])


def _note(pool: Pool, job: Job, server: Server, failure: Failure) -> None:
    failure.server = server.name
    job.failures.append(failure)
    if failure.kind.counts and server.trouble is None:
        pool.look_soon()


def _waiting(server: Server) -> Failure:
    failure = Failure(OPEN, "asked to be left alone for a while")
    failure.server = server.name
    return failure


def _pause(servers: list[Server], least_s: float) -> float:
    """Seconds until the next round, longer each time, and until a server may be asked again; no server, no round."""
    now = time.monotonic()
    waits = (max(server.not_before - now, server.breaker.opens_again_in(now)) for server in servers)
    return max(least_s, min(waits, default=math.inf))


async def _at(server: Server, job: Job, presence: Presence | None) -> Answer:
    """One server, in a place there."""
    _admit(server)
    there: AbstractContextManager[None] = presence.at(server.name) if presence else nullcontext()
    with there:
        return await server.gate.run(job.rank, lambda: _once(server, job))


def _admit(server: Server) -> None:
    now = time.monotonic()
    if not server.breaker.admits(now):
        wait = server.breaker.opens_again_in(now)
        raise Failure(OPEN, f"left alone for {wait:.0f} s more, after: {server.last}"[:400])


async def _once(server: Server, job: Job) -> Answer:
    """One attempt, from which the breaker learns; one that is interrupted teaches nothing."""
    _admit(server)
    server.breaker.began(time.monotonic())
    try:
        found = await ask(server, job)
    except Failure as failure:
        server.failed(failure)
        raise
    except BaseException:
        server.breaker.gave_up()
        raise
    server.breaker.succeeded()
    return found


def _response(job: Job, found: Answer) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "text": found.text,
        "model": found.model,
        "server": found.server,
        "prompt_tokens": job.prompt_tokens,
        "completion_tokens": job.completion_tokens,
        "usage": "reported" if job.counted else "estimated",
        "latency_s": round(time.monotonic() - job.started, 3),
        "finish_reason": found.finish_reason,
        "attempts": job.attempts,
    }
    if job.first_token_at is not None:
        facts["first_token_s"] = round(job.first_token_at - job.started, 3)
    return {**facts, "parsed": found.parsed} if job.wanted is not None else facts


def _carried(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts, if a signal can carry them. Raises `Failure`."""
    size = len(orjson.dumps(facts))
    if size > MAX_BYTES:
        raise Failure(TOO_LARGE, f"The answer takes {size} bytes, a signal {MAX_BYTES}. Ask for less by max_tokens.")
    return facts


def _failed(role: str, failure: Failure, job: Job | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "role": role,
        "reason": failure.kind.reason,
        "detail": failure.detail[:DETAIL_CHARS],
        "retryable": failure.kind.retryable,
        "attempts": job.attempts if job else 0,
    }
    known = {"model": failure.model, "server": failure.server, "evidence": failure.evidence}
    return facts | {name: value for name, value in known.items() if value}
