"""Requests to model servers over real HTTP. If this fails, a person gets no answer, a wrong one, or waits in vain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from services.model_worker.failures import of_connection
from services.model_worker.settings import ServerSettings
from signals.errors import ConfigError
from tests.support.model_server import Plan, fails, model_server, says
from tests.support.ports import held
from tests.unit.model_worker.conftest import at, its_time_is_over

SCHEMA = {
    "type": "object",
    "properties": {"modules": {"type": "array", "items": {"type": "string"}}},
    "required": ["modules"],
    "additionalProperties": False,
}
RIGHT = '{"modules": ["gaze_sensor"]}'


@pytest.fixture
def nowhere() -> Iterator[ServerSettings]:
    """A server that is not there."""
    with held() as port:
        yield ServerSettings(base_url=f"http://127.0.0.1:{port}/v1")


def test_an_answer_says_what_it_took_and_where_it_came_from(asker, first):
    """The asker sees text, model, server and cost without a second question."""
    first.plans.append(Plan(usage={"prompt_tokens": 19, "completion_tokens": 7, "total_tokens": 26}))
    name, facts = asker().once(at(first))
    assert name == "Q_MODEL_RESPONSE"
    assert facts["text"] == "Hello there."
    assert (facts["model"], facts["server"], facts["finish_reason"]) == ("test-model", first.url, "stop")
    assert (facts["prompt_tokens"], facts["completion_tokens"], facts["usage"]) == (19, 7, "reported")
    assert 0 < facts["first_token_s"] <= facts["latency_s"]


def test_a_server_that_does_not_count_is_said_not_to(asker, first):
    """An estimate passed off as a count would be believed."""
    _, facts = asker().once(at(first))
    assert (facts["completion_tokens"], facts["usage"]) == (3, "estimated")


def test_what_is_sent_begins_the_same_each_time(asker, first):
    """Servers keep a beginning that they know; another one each time makes every question slow."""
    asking = asker(system_prompt="Be brief.")
    clerk, user = {"role": "system", "content": "You are a clerk."}, {"role": "user", "content": "A"}
    asking.once(at(first), messages=[clerk, user])
    asking.settings = {"system_prompt": "Be brief."}
    first.plans.append(says(RIGHT))
    asking.once(at(first, structured="text"), prompt="A", response_schema=SCHEMA)
    one, two = (body["messages"] for body in first.questions)
    assert one == [{"role": "system", "content": "Be brief.\n\nYou are a clerk."}, {"role": "user", "content": "A"}]
    assert two[0] == {"role": "system", "content": "Be brief."}
    assert two[1]["content"].startswith("A\n\nAnswer with one JSON object")


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


def test_a_server_that_stalls_is_replaced_by_the_next(asker, first, second):
    """A stream that only says that it is alive does not hold the person for ever."""
    first.usual = says("Hel", ends="stall")
    _, facts = asker(idle_s=0.5).once(at(first), at(second))
    assert facts["server"] == second.url
    first.until("left")
    name, facts = asker(idle_s=0.2, rounds=1).once(at(first))
    assert (name, facts["reason"], facts["retryable"]) == ("Q_MODEL_FAILED", "timeout", True)


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


@pytest.mark.parametrize("key", ["sk-a\n# of Ada", "sk-ключ"])
def test_a_key_that_no_header_can_carry_is_refused_at_the_start_and_not_told(asker, first, key):
    """A file with a second line would put the key into a signal, which is kept for a month, with every failure."""
    asking = asker()
    asking.key = key
    with pytest.raises(ConfigError, match="credential home is no key") as refused:
        asking.once(at(first, credential="home", model="m"))
    assert "sk-" not in refused.value.message
    assert "sk-" not in of_connection(ValueError(f"Illegal header value Bearer {key}"), key).detail


def test_a_key_is_sent_to_its_server_alone(asker, first, second):
    """The key of one server is no business of another."""
    first.key, second.key = "sk-secret", "none"
    first.models = []
    _, facts = asker().once(at(first, credential="home", model="m"))
    assert facts["server"] == first.url
    _, facts = asker().once(at(second, model="m"))
    assert facts["server"] == second.url


def test_no_server_at_all_is_said_at_once(asker, nowhere):
    """A model that is down is a failure, not an empty success, and not a wait."""
    name, facts = asker().once(nowhere)
    assert (name, facts["reason"], facts["retryable"]) == ("Q_MODEL_FAILED", "unavailable", True)
    assert "onnect" in facts["detail"]
    name, facts = asker().once()
    assert (name, facts["reason"]) == ("Q_MODEL_FAILED", "unavailable")
    assert "servers" in facts["detail"]


def test_the_deadline_holds(asker, first):
    """What comes after it is of no use; the asker hears why a little before."""
    first.usual = says("Hel", ends="hold")
    name, facts = asker().once(at(first), deadline_s=1.0)
    assert (name, facts["reason"]) == ("Q_MODEL_FAILED", "timeout")
    assert "no whole answer within 1 s" in facts["detail"]
    first.until("left")
    _, facts = asker(deadline_s=0.4).once(at(first), deadline_s=20)
    assert "no whole answer within 0.4 s" in facts["detail"]


@pytest.mark.parametrize(
    ("plan", "reason", "said"),
    [
        (says("Half of", ends="length"), "invalid_output", "cut off after 2048 tokens"),
        (
            says("Half of", ends="length", usage={"prompt_tokens": 1, "completion_tokens": 2}),
            "invalid_output",
            "cut off",
        ),
        (says(" ", "\n"), "invalid_output", "empty"),
        (says("", ends="stop"), "invalid_output", "empty"),
        (says("<think>hm</think>", ends="stop"), "invalid_output", "empty"),
        (says("No", ends="content_filter"), "refused", "filter"),
        (says("x" * 40_000, "x" * 40_000), "invalid_output", "longer than"),
        (says("\N{GRINNING FACE}" * 20_000), "invalid_output", "bytes"),
    ],
)
def test_an_answer_that_is_empty_or_half_is_no_success(asker, first, plan, reason, said):
    """A truncated answer that is taken for a whole one leads to wrong acts."""
    first.usual = plan
    name, facts = asker(rounds=1).once(at(first))
    assert (name, facts["reason"]) == ("Q_MODEL_FAILED", reason)
    assert said in facts["detail"]


def test_the_context_is_respected(asker, first):
    """A server that silently drops the beginning of a long question would answer another one."""
    name, facts = asker().once(at(first, context_tokens=256), prompt="word " * 400)
    assert (name, facts["reason"], facts["retryable"]) == ("Q_MODEL_FAILED", "context_too_long", False)
    assert first.questions == []
    asker().once(at(first, context_tokens=256), prompt="word " * 100)
    assert first.questions[0]["max_tokens"] <= 256 - 125


def test_a_short_answer_needs_room_too(asker, first):
    """A question too long for the server would be sent with the wish for fewer than no tokens, and refused oddly."""
    name, facts = asker().once(at(first, context_tokens=256), prompt="word " * 400, max_tokens=10)
    assert (name, facts["reason"], first.questions) == ("Q_MODEL_FAILED", "context_too_long", [])


def test_a_further_field_and_another_name_for_the_length_are_sent(asker, first):
    """Hosted servers and thinking models need what the interface did not have at first."""
    more = {"chat_template_kwargs": {"enable_thinking": False}}
    asker().once(at(first, extra_body=more, max_tokens_as="max_completion_tokens"), max_tokens=7)
    body = first.questions[0]
    assert (body["max_completion_tokens"], "max_tokens" in body) == (7, False)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_auto_takes_a_model_that_can_talk(asker, first):
    """A server that lists its embedding model first is not asked to chat with it."""
    first.models = ["nomic-embed-text", "qwen"]
    _, facts = asker().once(at(first))
    assert facts["model"] == "qwen"
    first.models = []
    name, facts = asker(rounds=1).once(at(first))
    assert (name, "offers no model" in facts["detail"]) == ("Q_MODEL_FAILED", True)


# -- live tokens ---------------------------------------------------------------------------------------


def test_tokens_are_told_live_and_a_new_beginning_is_visible(asker, first, second):
    """Who reads along can tell that the answer began anew, instead of hearing half of it twice."""
    first.usual = says("Hel", ends="cut")
    asking = asker()
    asking.once(at(first), at(second), stream=True)
    told = [(token["attempt"], token["index"], token["text"]) for token in asking.tokens]
    assert told == [(0, 0, "Hel"), (1, 0, "Second"), (1, 1, ".")]


def test_thoughts_are_neither_told_nor_answered(asker, first):
    """A spoken answer does not begin with what the model muttered to itself."""
    first.usual = says("<th", "ink>Let me", " see</think>\n", "\nFour", ".")
    asking = asker()
    _, facts = asking.once(at(first), stream=True)
    assert facts["text"] == "Four."
    assert "".join(token["text"] for token in asking.tokens) == "Four."


def test_nobody_hears_tokens_that_were_not_wanted(asker, first):
    """Live signals cost every listener."""
    asking = asker()
    asking.once(at(first), stream=False)
    assert asking.tokens == []


# -- answers in JSON -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shapes", "taken"),
    [
        ({"json_schema", "json_object"}, "json_schema"),
        ({"json_object_schema", "json_object"}, "json_object+schema"),
        ({"ignores json_schema", "json_object_schema"}, "json_object+schema"),
        ({"ignores json_schema", "ignores json_object_schema", "json_object"}, "json_object"),
        ({"ignores json_schema", "ignores json_object_schema", "ignores json_object"}, None),
        (set(), None),
    ],
)
def test_what_a_server_really_does_is_found_out_once(asker, first, shapes, taken):
    """Servers that take a schema and ignore it, or answer 500 to it, still give JSON."""
    first.shapes, first.usual = shapes, says(RIGHT)

    async def story() -> list[dict]:
        asking = asker()
        pool = asking.pool(at(first))
        found = [(await asking.ask(pool, response_schema=SCHEMA))[1] for _ in range(2)]
        await pool.close()
        return found

    for facts in asyncio.run(story()):
        assert facts["parsed"] == {"modules": ["gaze_sensor"]}
    probes = len(first.asked) - len(first.questions)
    for body in first.questions:
        wanted = body.get("response_format")
        assert (wanted and wanted["type"] + ("+schema" if "schema" in wanted else "")) == taken
        assert ("JSON Schema" in body["messages"][-1]["content"]) is (taken != "json_schema")
    assert {body["temperature"] for body in first.asked if body not in first.questions} == {0}
    if shapes:
        assert probes == {"json_schema": 1, "json_object+schema": 2}.get(taken or "", 3)


def test_a_server_that_only_failed_has_shown_nothing(asker, first):
    """A server that was just coming up would be asked in the humblest way for as long as the worker runs."""
    first.shapes = set()
    first.usual = says(RIGHT)

    async def story() -> None:
        asking = asker()
        pool = asking.pool(at(first))
        await asking.ask(pool, response_schema=SCHEMA)
        assert pool.servers[0].shapes == {}
        first.shapes = {"json_schema"}
        await asking.ask(pool, response_schema=SCHEMA)
        assert pool.servers[0].shapes == {"test-model": "json_schema"}
        await pool.close()

    asyncio.run(story())


def test_only_a_refused_schema_makes_the_next_question_humbler(asker, first):
    """A model that is not there would be asked for in four ways."""
    first.usual = fails(404)
    _, facts = asker().once(at(first, structured="json_schema"), response_schema=SCHEMA)
    assert (facts["reason"], len(first.questions)) == ("refused", 1)


@pytest.mark.parametrize(
    "text",
    [
        RIGHT,
        f"```json\n{RIGHT}\n```",
        f"Sure! Here it is: {RIGHT} I hope it helps.",
        f"<think>{{}} perhaps</think>{RIGHT}",
        f'{{"draft": 1}} no, rather {RIGHT}',
        '{"modules": ["gaze\n\tsensor"]}',
    ],
)
def test_json_is_found_in_what_models_write(asker, first, text):
    """Fences, chatter, thoughts and raw control characters are how models answer."""
    first.usual = says(text)
    name, facts = asker().once(at(first, structured="text"), response_schema=SCHEMA)
    assert name == "Q_MODEL_RESPONSE"
    assert facts["parsed"]["modules"][0].startswith("gaze")
    assert len(first.questions) == 1


def test_an_answer_that_does_not_fit_is_sent_back_once(asker, first):
    """A small slip is mended by the model itself, which is told what is wrong."""
    first.plans.extend([says('{"modules": 7}'), says(RIGHT)])
    name, facts = asker().once(at(first), response_schema=SCHEMA)
    assert (name, facts["parsed"], facts["attempts"]) == ("Q_MODEL_RESPONSE", {"modules": ["gaze_sensor"]}, 2)
    wish = first.questions[1]["messages"]
    assert wish[-2] == {"role": "assistant", "content": '{"modules": 7}'}
    assert "/modules" in wish[-1]["content"]
    assert first.questions[1]["response_format"] == first.questions[0]["response_format"]


@pytest.mark.parametrize(
    ("text", "path"),
    [('{"modules": 7}', "/modules"), ("I cannot.", ""), ('{"modules": [NaN]}', ""), ('{"modules": ["\\ud800"]}', "")],
)
def test_what_does_not_fit_twice_fails_with_the_evidence(asker, first, text, path):
    """The asker sees what the model said, instead of an empty success or a third try."""
    first.usual = says(text)
    name, facts = asker().once(at(first), response_schema=SCHEMA)
    assert (name, facts["reason"], facts["attempts"]) == ("Q_MODEL_FAILED", "invalid_output", 2)
    assert facts["evidence"]["text"] == text
    assert facts["evidence"]["path"] == path
    assert len(first.questions) == 2


def test_an_answer_that_cannot_be_sent_back_fails_with_the_evidence(asker, first):
    """Where the context has no room for a second try, the asker would be told that the question was too long."""
    first.usual = says('{"modules": 7}' + " x" * 300)
    _, facts = asker(rounds=1).once(
        at(first, structured="text", context_tokens=320), response_schema=SCHEMA, prompt="hi " * 150
    )
    assert (facts["reason"], facts["attempts"], len(first.questions)) == ("invalid_output", 1, 1)
    assert facts["evidence"]["path"] == "/modules"


def test_what_one_server_cannot_give_whole_or_fitting_the_next_may(asker, first, second):
    """A small model at hand would keep a person from the answer of the large one behind it."""
    second.usual = says(RIGHT)
    for plan in (says("I cannot."), says("Half of", ends="length")):
        first.usual = plan
        _, facts = asker(rounds=1).once(at(first), at(second), response_schema=SCHEMA)
        assert (facts["server"], facts["parsed"]) == (second.url, {"modules": ["gaze_sensor"]})


def test_evidence_is_bounded_and_about_what_came_first(asker, first):
    """A model that rambles must not fill the journal with it."""
    first.usual = says('{"modules": 7} or {"other": 1}' + "x" * 5000)
    _, facts = asker().once(at(first, structured="text"), response_schema=SCHEMA)
    assert (len(facts["evidence"]["text"]), facts["evidence"]["path"]) == (1024, "/modules")


def test_a_schema_that_the_server_cannot_do_is_asked_in_a_humbler_way(asker, first):
    """A server that does small schemas may refuse a large one; the answer comes all the same."""
    first.plans.extend([fails(400, "unsupported keyword"), says(RIGHT)])
    name, _ = asker().once(at(first), response_schema=SCHEMA)
    assert name == "Q_MODEL_RESPONSE"
    assert [body["response_format"]["type"] for body in first.questions] == ["json_schema", "json_object"]


@pytest.mark.parametrize(
    "schema", [{"type": "objekt"}, {"$ref": "http://127.0.0.1:1/x.json"}, {"$ref": "file:///etc/x"}]
)
def test_a_schema_that_is_none_is_refused_before_anything_is_asked(asker, first, schema):
    """A schema must not make the worker fetch files or addresses, nor a model guess."""
    name, facts = asker().once(at(first), response_schema=schema)
    assert (name, facts["reason"], facts["retryable"]) == ("Q_MODEL_FAILED", "refused", False)
    assert first.asked == []


def test_a_schema_makes_the_worker_fetch_nothing(asker, first, tmp_path):
    """A schema that a stranger wrote would read files of this machine, or knock at its doors."""
    (tmp_path / "any.json").write_text('{"type": "object"}')
    for place in (f"{first.url}/models", (tmp_path / "any.json").as_uri()):
        _, facts = asker().once(at(first, model="m"), response_schema={"$ref": place})
        assert (facts["reason"], "it refers to" in facts["detail"]) == ("refused", True)
    assert first.events == []


# -- the breaker ---------------------------------------------------------------------------------------


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
        asking = asker(failures=3, open_s=1000, rounds=1, idle_s=0.4)
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
