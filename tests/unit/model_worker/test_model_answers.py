"""What an answer tells, and what of it. If this fails, a person is told the wrong thing, or half of it."""

from __future__ import annotations

import orjson
import pytest

from tests.support.model_server import Plan, fails, says
from tests.unit.model_worker.conftest import at


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


def test_thoughts_that_a_server_tells_apart_are_no_answer(asker, first):
    """A person would hear the model mutter."""
    first.usual = says("Four.", thinks=("Let me", " see"))
    asking = asker()
    _, facts = asking.once(at(first), stream=True)
    assert (facts["text"], [token["text"] for token in asking.tokens]) == ("Four.", ["Four."])


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


def test_a_long_piece_is_told_whole(asker, first):
    """Who reads along would miss the end of what a server sends in one piece."""
    first.usual = Plan(pieces=("x" * 10_000,))
    asking = asker()
    asking.once(at(first), stream=True)
    assert [len(token["text"]) for token in asking.tokens] == [4096, 4096, 1808]


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
