"""What a server is sent, and what is not. If this fails, it is asked something else, or told a secret."""

from __future__ import annotations

import pytest

from services.model_worker.failures import of_connection
from signals.errors import ConfigError
from tests.support.model_server import fails, says
from tests.unit.model_worker.conftest import RIGHT, SCHEMA, at


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
