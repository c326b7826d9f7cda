"""Answers in JSON, of servers that can do it and of those that say so. If this fails, a daemon acts on nonsense."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.model_server import fails, says
from tests.unit.model_worker.conftest import RIGHT, SCHEMA, at


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
