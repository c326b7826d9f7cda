"""Servers that fail, each in its way, over real HTTP. If this fails, a broken one costs a person the answer."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.model_server import Plan, fails, says
from tests.unit.model_worker.conftest import SCHEMA, at


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (fails(500), "HTTP 500"),
        (fails(503, "Loading model"), "HTTP 503"),
        (fails(429, "slow down", Retry_After="0"), "HTTP 429"),
        (fails(404, "no such model"), "HTTP 404"),
        (says("Hel", ends="cut"), "the stream was cut"),
        (says("Hel", ends="silent"), "ended before the answer did"),
        (Plan(no_choice=True, pieces=()), "ended before the answer did"),
        (says(), "empty answer"),
        (fails(400, "This model's maximum context length is 10 tokens"), "maximum context length"),
        (says("Hel", ends="error", message="out of memory"), "out of memory"),
    ],
)
def test_a_server_that_fails_is_replaced_by_the_next(asker, first, second, plan, said):
    """One broken server does not cost the answer, whatever is wrong with it."""
    first.usual = plan
    name, facts = asker().once(at(first), at(second))
    assert (name, facts["text"], facts["server"]) == ("Q_MODEL_RESPONSE", "Second.", second.url)
    assert len(first.questions) == 1
    name, facts = asker(rounds=1).once(at(first))
    assert name == "Q_MODEL_FAILED"
    assert said in facts["detail"]


@pytest.mark.parametrize(
    "garbage",
    [b"<html>the router's page</html>", b"", bytes(range(256)), b'["a"]', b"7", b"null", b"[" * 100_000, b'{"a": 1}'],
    ids=["page", "nothing", "bytes", "list", "number", "null", "deep", "other"],
)
def test_what_is_no_model_server_at_all_is_replaced_by_the_next_and_ends_nothing(asker, first, second, garbage):
    """A wrong port in the configuration would end the worker, again and again, instead of being told."""
    first.garbage = garbage

    async def story() -> None:
        asking = asker(rounds=1)
        pool = asking.pool(at(first), at(first, model="m"), at(second))
        await pool.look()
        assert pool.answering <= 2
        assert (await asking.ask(pool))[1]["server"] == second.url
        await pool.close()

    asyncio.run(story())
    name, facts = asker(rounds=1).once(at(first, model="m"), response_schema=SCHEMA)
    assert (name, facts["reason"], facts["retryable"]) == ("Q_MODEL_FAILED", "unavailable", True)


def test_a_page_in_the_place_of_an_answer_is_told_as_one(asker, first):
    """Who forgot the /v1 reads that, and not that a stream ended."""
    first.garbage = b"<html>the router's page</html>"
    _, facts = asker(rounds=1).once(at(first, model="m"))
    assert "not as a model server does; does base_url end as it should, in /v1?" in facts["detail"]


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (says("x" * (2 << 20)), "without an end: more than 1024 KiB"),
        (fails(500, "x" * (5 << 20)), "without an end: more than 4096 KiB"),
        (fails(500, "x", Content_Encoding="gzip"), "is packed"),
    ],
    ids=["event", "error", "packed"],
)
def test_what_a_server_sends_is_bounded_before_it_is_understood(asker, first, does, told):
    """A server that never ends a line would take all memory within seconds, and end the worker again and again."""
    first.usual = does
    name, facts = asker(rounds=1).once(at(first, model="m"))
    assert (name, facts["reason"]) == ("Q_MODEL_FAILED", "unavailable")
    assert told in facts["detail"]


def test_a_list_of_models_without_an_end_is_not_read_to_its_end(asker, first):
    """The minute's look at a server that was replaced by something else would end the worker."""
    first.garbage = b"[" + b"1," * (3 << 20)

    async def story() -> None:
        pool = asker().pool(at(first))
        await pool.look()
        assert "without an end" in pool.servers[0].trouble
        await pool.close()

    asyncio.run(story())


def test_what_cannot_help_is_not_tried_again(asker, first):
    """A model that is not there will not be there in a second either."""
    first.usual = fails(404, "no such model")
    name, facts = asker(rounds=3).once(at(first))
    assert (name, facts["reason"], len(first.questions)) == ("Q_MODEL_FAILED", "refused", 1)


def test_a_stream_without_a_word_is_asked_for_its_reason(asker, first):
    """A server that tells errors only where nothing is streamed is not taken for a broken one, again and again."""
    silent = Plan(pieces=(), ends="silent")
    first.plans.extend([silent, fails(400, "Requested tokens (9) exceed context window of 8")])
    name, facts = asker().once(at(first))
    assert (name, facts["reason"]) == ("Q_MODEL_FAILED", "context_too_long")
    assert [body.get("stream", False) for body in first.questions] == [True, False]


@pytest.mark.parametrize("status", [500, 503, 429, 408, 409, 425])
def test_what_may_pass_is_tried_again_on_the_same_server(asker, first, status):
    """A server that is just loading its model answers a moment later; it is not left alone for it."""
    first.plans.extend([fails(status), fails(status)])
    name, facts = asker(failures=3 if status == 500 else 1).once(at(first))
    assert (name, facts["attempts"]) == ("Q_MODEL_RESPONSE", 3)


def test_own_retries_are_bounded(asker, first):
    """A broken server is not asked for ever, and the client adds no retries of its own."""
    first.usual = fails(500)
    name, facts = asker(failures=100).once(at(first))
    assert (name, facts["reason"], facts["attempts"]) == ("Q_MODEL_FAILED", "unavailable", 3)
    assert len(first.questions) == 3


def test_retry_after_is_honoured(asker, first):
    """A server that asks for a pause gets it."""
    first.plans.append(fails(429, Retry_After="0.4"))
    began = time.monotonic()
    name, _ = asker().once(at(first))
    assert name == "Q_MODEL_RESPONSE"
    assert time.monotonic() - began >= 0.4


def test_a_pause_longer_than_the_deadline_is_not_waited_for(asker, first):
    """The asker hears at once that there will be no answer, and may do something else."""
    first.usual = fails(429, Retry_After="3600")
    name, facts = asker().once(at(first))
    assert (name, facts["reason"], facts["retryable"]) == ("Q_MODEL_FAILED", "unavailable", True)
    assert len(first.questions) == 1


def test_a_wrong_key_is_not_tried_again_and_not_told(asker, first, second):
    """Repeating a wrong key locks accounts, and a key in a signal is kept for a month."""
    first.key = "another"
    name, facts = asker().once(at(first, credential="home", model="m"), at(second))
    assert (name, facts["server"]) == ("Q_MODEL_RESPONSE", second.url)
    assert len(first.asked) == 1
    name, facts = asker().once(at(first, credential="home", model="m"))
    assert (name, facts["reason"]) == ("Q_MODEL_FAILED", "refused")
    assert "sk-secret" not in str(facts)
    assert "Bearer ***" in facts["detail"]


def test_no_server_at_all_is_said_at_once(asker, nowhere):
    """A model that is down is a failure, not an empty success, and not a wait."""
    name, facts = asker().once(nowhere)
    assert (name, facts["reason"], facts["retryable"]) == ("Q_MODEL_FAILED", "unavailable", True)
    assert "onnect" in facts["detail"]
    name, facts = asker().once()
    assert (name, facts["reason"]) == ("Q_MODEL_FAILED", "unavailable")
    assert "servers" in facts["detail"]
