"""Time-outs, further tries and the breaker at their edges. If this fails, a person waits or a server is worn out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import orjson
import pytest

from services.model_worker import server as server_module
from services.model_worker.breaker import CLOSED, HALF_OPEN, OPEN, Breaker
from services.model_worker.settings import ServerSettings
from tests.support.model_server import Plan, fails, says
from tests.unit.model_worker.conftest import at, its_time_is_over

WAIT_S = 60.0


# -- time-outs -----------------------------------------------------------------------------------------


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


def test_thoughts_that_a_server_tells_apart_are_no_answer(asker, first):
    """A person would hear the model mutter."""
    first.usual = says("Four.", thinks=("Let me", " see"))
    asking = asker()
    _, facts = asking.once(at(first), stream=True)
    assert (facts["text"], [token["text"] for token in asking.tokens]) == ("Four.", ["Four."])


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


# -- further tries -------------------------------------------------------------------------------------


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


# -- the breaker ---------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(("status", "answering"), [(404, 1), (401, 0), (500, 0), (302, 0)])
def test_a_server_that_lists_no_models_may_answer_all_the_same(asker, first, status, answering):
    """Gateways that do not list models would be called away; those that refuse the key would be called well."""
    first.models_status = status

    async def story() -> None:
        pool = asker().pool(at(first, model="m"))
        await pool.look()
        assert pool.answering == answering
        await pool.close()

    asyncio.run(story())


def test_only_what_changed_is_told_and_for_how_long_a_server_was_away(asker, first):
    """A person would hear every minute that a server is there, or is not."""

    async def story() -> None:
        pool = asker().pool(at(first))
        await pool.look()
        (server,) = pool.servers

        def told(up: bool | None = None) -> list[tuple[str | None, float | None]]:
            known = {} if up is None else {server.name: {"up": up, "since": 100.0}}
            return [(edge.reason, edge.lasted_s) for edge in pool.edges(known, 105.0)]

        assert (told(), told(True), told(False)) == ([(None, None)], [], [(None, 5.0)])
        server.trouble = "refused"
        assert (told(), told(True), told(False)) == ([("refused", None)], [("refused", None)], [])
        await pool.close()

    asyncio.run(story())


def test_two_entries_for_one_server_are_told_as_one(asker, first):
    """A server of which one entry can be used and one cannot would be told to come and go with every look."""
    first.models = []

    async def story() -> None:
        pool = asker().pool(at(first), at(first, model="m"))
        await pool.look()
        assert [edge.reason for edge in pool.edges({}, 100.0)] == [None]
        assert list(pool.edges({first.url: {"up": True, "since": 100.0}}, 105.0)) == []
        await pool.close()

    asyncio.run(story())


def test_the_person_holds_back_work_at_their_own_server_alone(asker, first, second):
    """Background work would rest everywhere while the person uses one server."""
    pool = asker().pool(at(first), at(second))
    assert [server.name for server in pool.of_name(second.url)] == [second.url]


def test_the_more_urgent_question_is_asked_first(asker, first):
    """Of two that wait for one place, what is low would go before what is critical."""
    first.plans.append(says("Held", ends="hold"))

    async def story() -> None:
        asking = asker()
        pool = asking.pool(at(first, slots=1))
        tasks = [asyncio.create_task(asking.ask(pool, prompt="first"))]
        await asyncio.to_thread(first.until, "begun")
        for priority in ("low", "normal", "critical"):
            tasks.append(asyncio.create_task(asking.ask(pool, prompt=priority, priority=priority)))
            await asyncio.sleep(0)
        first.go.set()
        await asyncio.gather(*tasks)
        await pool.close()

    asyncio.run(story())
    asked = [body["messages"][-1]["content"] for body in first.questions]
    assert asked == ["first", "critical", "normal", "low"]


# -- what no signal could carry ------------------------------------------------------------------------


def test_what_a_server_says_can_always_be_carried(asker, first):
    """A number or text that the bus cannot carry would fail the answer five times, and bury the question."""
    first.usual = says("Four.", usage={"prompt_tokens": 2**70, "completion_tokens": 1})
    name, facts = asker().once(at(first))
    assert (name, facts["usage"]) == ("Q_MODEL_RESPONSE", "estimated")
    assert orjson.dumps(facts)
    first.usual = fails(400, "cannot \ud800 do that")
    _, facts = asker(rounds=1).once(at(first))
    assert facts["reason"] == "refused"
    assert orjson.dumps(facts)


def test_a_model_whose_name_is_no_text_is_passed_over(asker, first):
    """Its worker would end in the middle of telling of it, at each start anew."""
    first.models = ["\ud800", "good"]

    async def story() -> None:
        pool = asker().pool(at(first))
        await pool.look()
        assert pool.servers[0].models == ("good",)
        await pool.close()

    asyncio.run(story())


# -- what is sent, and what comes of it ----------------------------------------------------------------


def test_an_answer_is_whole_without_a_goodbye(asker, first):
    """A server that drops the connection once it has said all would be asked again, and paid twice."""
    first.usual = says("Four.", goodbye=False)
    name, facts = asker().once(at(first))
    assert (name, facts["text"], facts["attempts"]) == ("Q_MODEL_RESPONSE", "Four.", 1)


def test_an_answer_that_comes_whole_where_a_stream_was_asked_for_is_read(asker, first):
    """A server that cannot stream would be asked twice, called broken, and left alone, though it answers each time."""
    usage = {"prompt_tokens": 19, "completion_tokens": 2, "total_tokens": 21}
    first.usual = says("Four", ".", whole=True, usage=usage)
    asking = asker()
    name, facts = asking.once(at(first), stream=True)
    assert (name, facts["text"], facts["attempts"]) == ("Q_MODEL_RESPONSE", "Four.", 1)
    assert (facts["prompt_tokens"], facts["completion_tokens"], facts["usage"]) == (19, 2, "reported")
    assert [token["text"] for token in asking.tokens] == ["Four."]
    assert len(first.questions) == 1


def test_a_stream_that_calls_itself_json_is_read_as_a_stream(asker, first):
    """A server behind a careless proxy would answer nobody, though its answer came."""
    first.usual = says("Four", ".", kind="application/json")
    name, facts = asker().once(at(first))
    assert (name, facts["text"], facts["attempts"]) == ("Q_MODEL_RESPONSE", "Four.", 1)


@pytest.mark.parametrize(
    ("plan", "reason", "told"),
    [
        ({"ends": "length"}, "invalid_output", "cut off"),
        ({"ends": "error", "message": "out of memory"}, "unavailable", "out of memory"),
        ({"no_choice": True}, "unavailable", "ended before the answer did"),
    ],
)
def test_what_comes_whole_is_judged_like_a_stream(asker, first, plan, reason, told):
    """Half an answer, or an error that came with status 200, would be taken for an answer."""
    first.usual = says("Fo", whole=True, **plan)
    name, facts = asker(rounds=1).once(at(first))
    assert (name, facts["reason"]) == ("Q_MODEL_FAILED", reason)
    assert told in facts["detail"]


@pytest.mark.parametrize(("told", "kept"), [("STOP", "stop"), ("eos token!", "other"), ("tool_calls", "tool_calls")])
def test_how_an_answer_ended_is_told_as_a_contract_can_hold_it(asker, first, told, kept):
    """An odd word of a server would make the bus refuse the whole answer."""
    first.usual = says("Four.", ends=told)
    assert asker().once(at(first))[1]["finish_reason"] == kept


def test_a_context_that_is_too_long_is_known_in_the_stream_too(asker, first):
    """The asker would try the same long question again."""
    first.usual = says(ends="error", message="the prompt is too long")
    _, facts = asker(rounds=1).once(at(first))
    assert (facts["reason"], facts["retryable"]) == ("context_too_long", False)


def test_temperature_and_length_are_the_requests_within_the_configurations_bounds(asker, first):
    """A request would be answered colder, hotter or longer than was asked and allowed."""
    asker(max_tokens=100).once(at(first), temperature=1.5, max_tokens=99_999)
    asker().once(at(first))
    assert [(body["temperature"], body["max_tokens"]) for body in first.questions] == [(1.5, 100), (0.2, 2048)]


def test_a_long_piece_is_told_whole(asker, first):
    """Who reads along would miss the end of what a server sends in one piece."""
    first.usual = Plan(pieces=("x" * 10_000,))
    asking = asker()
    asking.once(at(first), stream=True)
    assert [len(token["text"]) for token in asking.tokens] == [4096, 4096, 1808]


def test_a_proxy_in_the_environment_is_not_used(asker, first, monkeypatch):
    """Questions meant for this machine would travel to another."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert asker().once(at(first))[0] == "Q_MODEL_RESPONSE"


def test_a_redirect_is_not_followed(asker, first, second):
    """A server could have the question, and the key, sent elsewhere."""
    first.usual = fails(307, Location=f"{second.url}/chat/completions")
    _, facts = asker(rounds=1).once(at(first))
    assert (facts["reason"], second.asked) == ("refused", [])
