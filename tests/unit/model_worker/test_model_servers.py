"""What is known of servers, and whose turn it is. If this fails, a person hears too much, or is asked to wait."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.model_server import says
from tests.unit.model_worker.conftest import at


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


def test_a_model_whose_name_is_no_text_is_passed_over(asker, first):
    """Its worker would end in the middle of telling of it, at each start anew."""
    first.models = ["\ud800", "good"]

    async def story() -> None:
        pool = asker().pool(at(first))
        await pool.look()
        assert pool.servers[0].models == ("good",)
        await pool.close()

    asyncio.run(story())
