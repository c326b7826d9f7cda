"""A server that keeps failing is left alone, and used again. If this fails, it is worn out, or given up for good."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.model_worker.breaker import CLOSED, HALF_OPEN, OPEN, Breaker
from tests.support.model_server import fails, model_server, says
from tests.unit.model_worker.conftest import at, its_time_is_over


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (fails(500), "unavailable"),
        (says("Hel", ends="cut"), "unavailable"),
        (says("Hel", ends="error"), "unavailable"),
        (says("Hel", ends="stall"), "timeout"),
    ],
)
def test_a_server_that_keeps_failing_is_left_alone_and_tried_again(asker, first, plan, reason):
    """A dead server does not cost every request its time-out, and is used again once it works."""
    first.plans.extend([plan] * 3)

    async def story() -> None:
        asking = asker(failures=3, open_s=1000, rounds=1, **({"idle_s": 0.4} if plan.ends == "stall" else {}))
        pool = asking.pool(at(first))
        for _ in range(3):
            assert (await asking.ask(pool))[1]["reason"] == reason
        assert (await asking.ask(pool))[1]["reason"] == "circuit_open"
        assert len(first.questions) == 3
        (server,) = pool.servers
        its_time_is_over(server)
        assert (await asking.ask(pool))[0] == "Q_MODEL_RESPONSE"
        assert server.why_not(time.monotonic()) is None
        await pool.close()

    asyncio.run(story())


def test_a_server_that_lists_models_but_cannot_answer_is_found_out_and_found_well_again(asker, first):
    """A list of models is no proof of life; and when nobody dares to ask, the worker does."""
    first.usual = fails(500)
    first.trials.append(fails(500))

    async def story() -> None:
        asking = asker(failures=2, open_s=1000)
        pool = asking.pool(at(first))
        await asking.ask(pool)
        await pool.look()
        assert pool.answering == 0
        (server,) = pool.servers
        for answering in (0, 1):
            its_time_is_over(server)
            await pool.look()
            assert pool.answering == answering
        await pool.close()

    asyncio.run(story())


def test_a_server_that_went_away_and_came_back_is_used_without_a_restart(asker, nowhere):
    """A person who starts the model server later need do nothing else."""
    port = int(nowhere.base_url.removesuffix("/v1").rpartition(":")[2])

    async def story() -> None:
        asking = asker(rounds=1, failures=1, open_s=1000)
        pool = asking.pool(nowhere)
        assert (await asking.ask(pool))[1]["reason"] == "unavailable"
        assert pool.wanted.is_set()  # who failed is looked at now, not in a minute
        await pool.look()
        assert pool.answering == 0
        pool.servers[0].shapes["test-model"] = "text"
        with model_server(port):
            await pool.look()
            assert pool.answering == 1
            assert pool.servers[0].shapes == {}  # another version may do more
            assert (await asking.ask(pool))[0] == "Q_MODEL_RESPONSE"
            await pool.close()

    asyncio.run(story())


def test_what_would_fail_again_opens_at_once_and_a_try_that_fails_opens_again():
    """A wrong key would be tried three times, and once it was tried in vain as often as anybody asks."""
    breaker = Breaker(failures=3, open_s=30)
    breaker.failed(0, at_once=True)
    assert breaker.state(1) == OPEN
    breaker.began(31)
    breaker.failed(31)
    assert (breaker.state(32), breaker.state(61)) == (OPEN, HALF_OPEN)
    breaker.succeeded()
    assert breaker.state(62) == CLOSED


def test_a_wrong_key_is_shown_once(asker, first):
    """Repeating a wrong key with each question locks accounts."""
    first.key = "another"

    async def story() -> None:
        asking = asker(failures=3, open_s=1000, rounds=1)
        pool = asking.pool(at(first, credential="home", model="m"))
        assert [(await asking.ask(pool))[1]["reason"] for _ in range(2)] == ["refused", "circuit_open"]
        assert len(first.asked) == 1
        await pool.close()

    asyncio.run(story())


@pytest.mark.parametrize("plan", [says("Hel", ends="stall"), fails(404), fails(429)])
def test_a_try_that_tells_nothing_of_the_server_leaves_the_next_one_free(asker, first, plan):
    """A request that was called off, or refused for its own sake, would lock a server that works for good."""
    first.plans.extend([fails(500), plan])

    async def story() -> None:
        asking = asker(failures=1, open_s=1000, rounds=1)
        pool = asking.pool(at(first, model="m"))
        assert (await asking.ask(pool))[1]["reason"] == "unavailable"
        its_time_is_over(pool.servers[0])
        assert (await asking.ask(pool, deadline_s=1.0))[1]["reason"] != "circuit_open"
        name, facts = await asking.ask(pool)
        assert name == "Q_MODEL_RESPONSE", facts
        await pool.close()

    asyncio.run(story())


def test_who_waits_for_a_place_at_a_server_that_fails_meanwhile_does_not_ask_it(asker, first):
    """A queue of questions would be sent one by one to a server that has just been found dead."""
    first.usual = fails(500)

    async def story() -> None:
        asking = asker(failures=1, open_s=1000, rounds=1)
        pool = asking.pool(at(first, model="m", slots=1))
        found = await asyncio.gather(asking.ask(pool), asking.ask(pool))
        assert sorted(facts["reason"] for _, facts in found) == ["circuit_open", "unavailable"]
        assert len(first.questions) == 1
        await pool.close()

    asyncio.run(story())
