"""Time-outs, deadlines and further tries at their edges. If this fails, a person waits or a server is worn out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from services.model_worker import server as server_module
from services.model_worker.settings import ServerSettings
from tests.support.model_server import fails, says
from tests.unit.model_worker.conftest import at, its_time_is_over

WAIT_S = 60.0


def test_reading_a_long_question_takes_the_time_for_the_first_token(asker, first):
    """A greeting is no token: a server that reads for a while after it would be given up as stalled."""
    first.usual = says("Four.", late_s=1.2)
    name, facts = asker(idle_s=0.6, first_token_s=60.0).once(at(first))
    assert (name, facts["attempts"]) == ("Q_MODEL_RESPONSE", 1)


def test_a_model_that_stops_in_the_middle_of_a_thought_is_given_up(asker, first, second):
    """A thought is a sign of life: what comes after it is waited for as between two tokens."""
    first.usual = says(thinks=("Let me", " see"), ends="stall")
    _, facts = asker(idle_s=0.5).once(at(first), at(second))
    assert facts["server"] == second.url


def test_a_server_that_stalls_is_replaced_by_the_next(asker, first, second):
    """A stream that only says that it is alive does not hold the person for ever."""
    first.usual = says("Hel", ends="stall")
    _, facts = asker(idle_s=0.5).once(at(first), at(second))
    assert facts["server"] == second.url
    first.until("left")
    name, facts = asker(idle_s=0.2, rounds=1).once(at(first))
    assert (name, facts["reason"], facts["retryable"]) == ("Q_MODEL_FAILED", "timeout", True)


@pytest.mark.parametrize("part", ["", "headers", "body"])
def test_a_server_that_takes_connections_and_lists_no_models_is_away(asker, first, part):
    """A hung server, or one that says a byte now and then, would hold up the look at all others for ever."""
    first.is_silent, first.drips = not part, part

    async def story() -> None:
        pool = asker(probe_timeout_s=0.3).pool(at(first))
        async with asyncio.timeout(WAIT_S):
            await pool.look()
        assert pool.servers[0].trouble == "did not answer for 0.3 s"
        await pool.close()

    asyncio.run(story())
    first.go.set()


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_whose_answer_drips_is_left_for_the_next_within_the_time_for_a_first_token(asker, first, second, part):
    """A byte now and then is no sign of life: the question would wait until its deadline, and fail."""
    first.drips = part
    _, facts = asker(first_token_s=0.6, rounds=1).once(at(first, model="m"), at(second))
    assert facts["server"] == second.url
    first.until("left")


def test_a_server_that_drips_costs_no_more_than_the_deadline(asker, first):
    """However patient the configuration is, who asked is answered in time, with the reason."""
    first.drips = "headers"
    _, facts = asker().once(at(first, model="m"), deadline_s=0.4)
    assert facts["reason"] == "timeout"


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """An address at which connections are begun and never made: the queue of its socket is full."""
    with contextlib.ExitStack() as held:
        listening = held.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            one = held.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


def test_a_machine_that_is_off_is_given_up_after_the_time_for_a_connection(asker, second):
    """A server on a laptop that sleeps would cost each question the time for a first token."""
    with deaf() as url:
        off = ServerSettings(base_url=url, model="m")
        name, facts = asker(connect_s=0.5, rounds=1).once(off, at(second))
        assert (name, facts["server"]) == ("Q_MODEL_RESPONSE", second.url)


def test_a_trial_that_stalls_is_over(asker, first, monkeypatch):
    """The worker's own try must not hold a place of the server, and the looking, for ever."""
    monkeypatch.setattr(server_module, "TRIAL_S", 0.3)
    first.plans.append(fails(500))
    first.trials.append(says(ends="stall"))

    async def story() -> None:
        asking = asker(failures=1, open_s=1000, rounds=1)
        pool = asking.pool(at(first))
        await pool.look()
        await asking.ask(pool)
        its_time_is_over(pool.servers[0])
        async with asyncio.timeout(WAIT_S):
            await pool.look()
        assert pool.servers[0].last == "no token came within 0.3 s"
        await pool.close()

    asyncio.run(story())


def test_the_deadline_holds(asker, first):
    """What comes after it is of no use; the asker hears why a little before."""
    first.usual = says("Hel", ends="hold")
    name, facts = asker().once(at(first), deadline_s=1.0)
    assert (name, facts["reason"]) == ("Q_MODEL_FAILED", "timeout")
    assert "no whole answer within 1 s" in facts["detail"]
    first.until("left")
    _, facts = asker(deadline_s=0.4).once(at(first), deadline_s=20)
    assert "no whole answer within 0.4 s" in facts["detail"]


def test_each_pause_is_twice_as_long(asker, first):
    """A server that is overwhelmed would be asked again and again at the same pace."""
    first.usual = fails(429)
    began = time.monotonic()
    asker(rounds=4, backoff_s=0.1).once(at(first))
    assert time.monotonic() - began >= 0.1 + 0.2 + 0.4


def test_a_server_that_asked_for_a_pause_is_spared_by_the_next_request_too(asker, first, second):
    """What a server asks for holds for everybody, not only for whom it told."""
    first.plans.append(fails(429, Retry_After="1000"))

    async def story() -> None:
        asking = asker()
        pool = asking.pool(at(first), at(second))
        for _ in range(2):
            assert (await asking.ask(pool))[1]["server"] == second.url
        assert len(first.questions) == 1
        await pool.close()

    asyncio.run(story())


def test_the_next_round_waits_until_a_server_may_be_tried_again(asker, first):
    """The only server that there is would be given up though it is tried again in a moment."""
    first.plans.append(fails(500))
    name, facts = asker(failures=1, open_s=0.3, rounds=2).once(at(first))
    assert (name, facts["attempts"]) == ("Q_MODEL_RESPONSE", 2)


def test_where_nothing_can_help_nothing_is_waited_for(asker, first):
    """A person would wait minutes for rounds in which nobody is asked."""
    first.usual = fails(404)

    async def story() -> None:
        asking = asker(backoff_s=60.0)
        pool = asking.pool(at(first))
        async with asyncio.timeout(WAIT_S):
            assert (await asking.ask(pool, deadline_s=3000))[1]["reason"] == "refused"
        await pool.close()

    asyncio.run(story())


def test_what_may_still_change_is_told_first(asker, first, second):
    """The asker would not try again, because one of two servers will never help."""
    first.usual, second.usual = fails(404, "no such model"), fails(500, "broken")
    _, facts = asker(rounds=1).once(at(first), at(second))
    assert (facts["reason"], facts["retryable"], facts["server"]) == ("unavailable", True, second.url)
    assert "no such model" in facts["detail"]


def test_a_server_that_is_known_to_be_away_is_asked_last(asker, first, second):
    """Each question would first wait for the server that is off."""
    first.models_status = 500

    async def story() -> None:
        asking = asker()
        pool = asking.pool(at(first, model="m"), at(second))
        await pool.look()
        found = (await asking.ask(pool))[1]
        assert (found["server"], found["attempts"]) == (second.url, 1)
        await pool.close()

    asyncio.run(story())
