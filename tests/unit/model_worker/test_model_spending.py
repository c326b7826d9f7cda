"""What a server may cost. If this fails, a loop at night spends a person's money until they wake."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.model_worker import spending
from services.model_worker.failures import Failure
from services.model_worker.spending import HOUR_S, Purse
from tests.support.model_server import fails, model_server, says
from tests.unit.model_worker.conftest import Asker, at

DAY_S = 24 * HOUR_S
USAGE = {"prompt_tokens": 40, "completion_tokens": 60, "total_tokens": 100}


async def nothing() -> None:
    """Keep it nowhere."""


@given(st.lists(st.tuples(st.floats(0, 5 * HOUR_S), st.integers(1, 60), st.integers(0, 60)), max_size=60))
def test_no_24_hours_hold_more_than_is_allowed(asks: list[tuple[float, int, int]]) -> None:
    """Whenever it is asked, however much, and however much of that was needed."""
    purse, now, taken = Purse(100, {}, nothing), 0.0, []
    for pause_s, reserved, used in asks:
        now += pause_s
        try:
            hour = asyncio.run(purse.reserve(reserved, now))
        except Failure:
            continue
        purse.correct(hour, min(used, reserved) - reserved)
        taken.append((now, min(used, reserved)))
    for end, _ in taken:
        assert sum(used for at_s, used in taken if end - DAY_S < at_s <= end) <= 100


def test_it_says_when_there_is_enough_again_and_then_there_is() -> None:
    """A person who reads it comes back then, and it is true."""
    purse = Purse(100, {}, nothing)
    asyncio.run(purse.reserve(100, 10.0))
    assert purse.lacks(1, 1.5 * HOUR_S) == "its 100 tokens a day are spent; in about 24 h there are enough again"
    assert purse.lacks(100, 25.0 * HOUR_S) is None


def test_what_is_kept_is_read_again() -> None:
    """A restart must not make what was spent forgotten."""
    spent = {"http://there/v1": {480_000: 7}, "http://unused/v1": {}}
    assert spending.read(spending.written(spent)) == {"http://there/v1": {480_000: 7}}


@pytest.fixture
def server():
    with model_server() as found:
        yield found


def test_what_the_server_counted_is_spent_and_what_is_left_is_not_exceeded(server) -> None:
    """Two answers of 100 tokens fit into 300 where each may take 120; the third is not asked for."""
    server.usual = says("yes", usage=USAGE)
    asker = Asker({"max_tokens": 100})

    async def story() -> list[tuple[str, dict[str, object]]]:
        pool = asker.pool(at(server, tokens_per_day=300))
        try:
            return [await asker.ask(pool) for _ in range(3)]
        finally:
            await pool.close()

    *answered, refused = asyncio.run(story())
    assert [name for name, _ in answered] == ["Q_MODEL_RESPONSE"] * 2
    assert (refused[0], refused[1]["reason"], refused[1]["retryable"]) == ("Q_MODEL_FAILED", "unavailable", True)
    assert "its 300 tokens a day are spent; in about" in str(refused[1]["detail"])
    assert (len(server.questions), sum(asker.spent.values())) == (2, 200)
    assert sum(asker.kept[0].values()) >= 100  # before it was asked: a crash meanwhile must not make it free


def test_a_server_whose_allowance_is_spent_leaves_the_question_to_the_next(server) -> None:
    """The hosted model has cost enough for a day; the one at home goes on."""
    server.usual = says("dear", usage=USAGE)
    with model_server() as home:
        home.usual = says("cheap")
        asker = Asker({"max_tokens": 100})

        async def story() -> list[str]:
            pool = asker.pool(at(server, tokens_per_day=199), at(home))
            try:
                told = [(await asker.ask(pool))[1]["text"] for _ in range(3)]
                assert pool.answering == 1  # so that it is told of, and shown by `ligand status`
                return told
            finally:
                await pool.close()

        assert asyncio.run(story()) == ["dear", "cheap", "cheap"]


def test_what_did_not_begin_costs_nothing_and_what_was_cut_costs_what_came(server) -> None:
    """A server that is down all night must not use up the next day; one that breaks off has charged all the same."""
    asker = Asker({"max_tokens": 100, "rounds": 1})
    server.plans.append(fails(500))
    asker.once(at(server, tokens_per_day=1000))
    assert sum(asker.spent.values()) == 0
    server.plans.append(says(*["word "] * 50, ends="cut"))
    asker.once(at(server, tokens_per_day=1000))
    assert 50 <= sum(asker.spent.values()) < 150


def test_a_request_beyond_the_whole_allowance_is_refused_for_good(server) -> None:
    """It would wait for ever for a day on which it fits."""
    name, facts = Asker().once(at(server, tokens_per_day=64), max_tokens=100)
    assert (name, facts["reason"], facts["retryable"]) == ("Q_MODEL_FAILED", "refused", False)
    assert "tokens_per_day allows 64; ask for less by max_tokens" in facts["detail"]
    assert server.questions == []
