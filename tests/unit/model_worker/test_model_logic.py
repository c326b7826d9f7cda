"""What the model worker decides, without a server. If this fails, good answers are refused and bad ones believed."""

from __future__ import annotations

import asyncio
import contextlib
import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.model_worker.breaker import CLOSED, HALF_OPEN, OPEN, Breaker
from services.model_worker.failures import of_connection, seconds
from services.model_worker.gate import Gate, allowed
from services.model_worker.logic import conversation, with_schema
from services.model_worker.output import MAX_STARTS, UnfitError, Wanted, candidates, visible, writable
from services.model_worker.presence import Deference, Presence
from services.model_worker.settings import normal

URL = "http://127.0.0.1:8080/v1"


# -- the breaker ---------------------------------------------------------------------------------------


def test_the_breaker_opens_after_failures_in_a_row_and_lets_one_request_try():
    """A server that is down costs one request now and then, not each."""
    breaker = Breaker(failures=2, open_s=30)
    breaker.failed(0)
    breaker.succeeded()
    breaker.failed(1)
    assert breaker.state(1) == CLOSED
    breaker.failed(2)
    assert (breaker.state(31), breaker.admits(31), breaker.opens_again_in(12)) == (OPEN, False, 20)
    assert (breaker.state(32), breaker.admits(32)) == (HALF_OPEN, True)
    breaker.began(32)
    assert not breaker.admits(32)
    breaker.failed(33)
    assert breaker.state(62) == OPEN
    breaker.began(63)
    breaker.gave_up()
    assert breaker.admits(63)
    breaker.succeeded()
    assert breaker.state(63) == CLOSED


# -- places --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slots", "taken", "left"), [(1, 0, 1), (1, 1, 0), (1, 3, 0), (4, 0, 3), (4, 1, 3), (4, 3, 1), (4, 9, 0)]
)
def test_background_work_leaves_a_place_for_the_next_question(slots, taken, left):
    """A person's question finds a free place at once, where the server has more than one."""
    assert allowed(slots, taken) == left


def gated(story) -> list[str]:
    """Run a story that notes what happens."""
    noted: list[str] = []
    asyncio.run(story(noted))
    return noted


def test_what_matters_more_goes_first():
    """An urgent question overtakes those that wait."""

    async def story(noted: list[str]) -> None:
        gate, go = Gate(1, yields=False), asyncio.Event()

        async def work(name: str) -> None:
            noted.append(name)
            await go.wait()

        async with asyncio.TaskGroup() as group:
            for name, rank in (("first", 2), ("low", 3), ("normal", 2), ("critical", 0)):
                group.create_task(gate.run(rank, functools.partial(work, name)))
                await asyncio.sleep(0)
            go.set()
        assert gate.is_idle

    assert gated(story) == ["first", "critical", "normal", "low"]


def test_the_youngest_background_work_gives_way_and_is_done_afterwards():
    """What was nearly done goes on; what had just begun makes room, and is not lost."""

    async def story(noted: list[str]) -> None:
        gate, go = Gate(3, yields=True), asyncio.Event()

        async def work(name: str) -> str:
            noted.append(f"{name} began")
            await go.wait()
            return name

        older = asyncio.create_task(gate.run(2, lambda: work("older")))
        younger = asyncio.create_task(gate.run(2, lambda: work("younger")))
        await asyncio.sleep(0.01)
        gate.person_has(2)
        await asyncio.sleep(0.01)
        gate.person_has(0)
        go.set()
        assert [await older, await younger] == ["older", "younger"]

    assert gated(story) == ["older began", "younger began", "younger began"]


def test_who_is_called_off_leaves_its_place_to_others():
    """A request that ran out of time does not block the server for ever."""

    async def story(noted: list[str]) -> None:
        gate = Gate(1, yields=False)

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                noted.append("ended")

        running = asyncio.create_task(gate.run(2, work))
        waiting = asyncio.create_task(gate.run(2, work))
        await asyncio.sleep(0.01)
        for task in (waiting, running):
            task.cancel()
            await asyncio.wait({task})
        assert gate.is_idle

    assert gated(story) == ["ended"]


def test_presence_ends_by_itself():
    """A worker that died does not keep background work away."""

    async def story(noted: list[str]) -> None:
        ended = asyncio.Event()

        def changed(server: str, in_use: int) -> None:
            noted.append(f"{in_use} at {server}")
            if not in_use:
                ended.set()

        deference = Deference(changed)

        def tell(server: str, in_use: int, _: float) -> None:
            deference.heard({"server": server, "in_use": in_use, "lease_s": 0.05})

        presence = Presence(tell)
        with presence.at(URL):
            presence.renew()
            await ended.wait()

    assert gated(story)[:3] == [f"1 at {URL}", f"1 at {URL}", f"0 at {URL}"]


def test_a_lease_that_is_renewed_is_not_over_with_the_first():
    """Background work would come back while the person still talks."""

    async def story(noted: list[str]) -> None:
        deference = Deference(lambda _, in_use: noted.append(str(in_use)))
        deference.heard({"server": URL, "in_use": 1, "lease_s": 0.05})
        deference.heard({"server": URL, "in_use": 1, "lease_s": 60})
        await asyncio.sleep(0.15)
        deference.heard({"server": URL, "in_use": 0, "lease_s": 60})

    assert gated(story) == ["1", "1", "0"]


def test_the_end_of_a_question_is_told_at_once():
    """Background work would wait for the lease after each of the person's questions."""
    told: list[tuple[str, int, float]] = []
    presence = Presence(lambda *words: told.append(words))
    with presence.at(URL):
        pass
    presence.renew()
    assert [in_use for _, in_use, _ in told] == [1, 0]


def test_who_is_called_off_in_the_moment_it_is_let_in_leaves_its_place():
    """A place would be lost for good, and with one place the server."""

    async def story(noted: list[str]) -> None:
        gate = Gate(1, yields=False)
        place = await gate._acquire(2)
        waiting = asyncio.create_task(gate.run(2, functools.partial(asyncio.sleep, 60)))
        await asyncio.sleep(0)
        gate._release(place)
        waiting.cancel()
        await asyncio.wait({waiting})
        noted.append(str(gate.is_idle))

    assert gated(story) == ["True"]


# -- texts ---------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_no_text_of_a_model_breaks_the_reading(text):
    """Whatever a model writes is either data that fits or a clear refusal."""
    wanted = Wanted.of({"type": "object"})
    with contextlib.suppress(UnfitError):
        assert isinstance(wanted.read(text), dict)
    writable(visible(text)).encode()


@pytest.mark.parametrize("text", ["[" * 49_000, "{" * 49_000, '{"a":' * 9_000, "[1," * 16_000])
def test_hostile_nesting_is_read_in_no_time(text):
    """A model that runs wild does not stop the worker."""
    assert list(candidates(text)) == []


def test_only_so_many_beginnings_are_tried():
    """A model that opens brackets for ever would keep the worker busy with them."""
    assert list(candidates("{ " * (MAX_STARTS - 1) + "{}")) == [{}]
    assert list(candidates("{ " * MAX_STARTS + "{}")) == []


def test_a_number_without_bound_is_no_json():
    """`1e999` would reach the asker as null, where a number was promised."""
    with pytest.raises(UnfitError):
        Wanted.of({"type": "object"}).read('{"confidence": 1e999}')


@pytest.mark.parametrize("data", [2**70, {"deep": 2**64}])
def test_what_no_signal_can_carry_is_no_answer(data):
    """A number that the bus refuses would fail the settle, again and again."""
    with pytest.raises(UnfitError, match="carried"):
        Wanted.of({}).check(data)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Four", "Four"), ("<think>a</think>b", "b"), (" <think>a", ""), ("<thi", ""), ("", ""),
        ("<b>bold</b>", "<b>bold</b>"), ("a <think>", "a <think>"),
    ],
)  # fmt: skip
def test_a_thought_at_the_beginning_is_not_the_answer(text, seen):
    """Only what the model means to say is told."""
    assert visible(text) == seen


def test_what_stands_inside_data_that_does_not_fit_is_no_answer():
    """A draft within an answer of another form would be taken for the answer."""
    wanted = Wanted.of({"type": "object", "required": ["modules"], "additionalProperties": False,
                        "properties": {"modules": {"type": "array"}}})  # fmt: skip
    with pytest.raises(UnfitError):
        wanted.read('Well: {"draft": {"modules": []}}')


def test_a_schema_is_written_the_same_however_it_is_ordered():
    """The server could not keep what it has read, though the question is the same."""
    messages = [{"role": "user", "content": "A"}]
    assert with_schema(messages, {"a": 1, "b": 2}) == with_schema(messages, {"b": 2, "a": 1})


def test_a_conversation_has_one_system_message_and_no_orphaned_tool():
    """Templates of small models refuse a second system message, and servers a tool result without its call."""
    messages = [
        {"role": "system", "content": "A"},
        {"role": "user", "content": "B"},
        {"role": "tool", "content": "42"},
    ]
    found = conversation({"messages": messages}, "House rules.")
    assert [message["role"] for message in found] == ["system", "user", "user"]
    assert found[0]["content"] == "House rules.\n\nA"
    assert "42" in found[2]["content"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("3", 3.0), (" 0.5 ", 0.5), (None, None), ("-1", None), ("soon", None), ("9" * 30, None), ("9" * 6, 3600.0)],
)
def test_retry_after_is_read_or_left(text, found):
    """A strange header is no reason to wait for ever, or to fail."""
    assert seconds(text) == found


def test_a_unit_that_may_not_reach_the_server_says_what_to_do():
    """A person who names a server elsewhere finds the one line that is missing."""
    assert "IPAddressAllow=" in of_connection(PermissionError(1, "Operation not permitted")).detail
    assert "IPAddressAllow=" not in of_connection(ConnectionRefusedError(111, "refused")).detail


@pytest.mark.parametrize("url", [URL, URL + "/", "HTTP://LOCALHOST:8080/v1", "http://127.0.0.1:8080/v1//"])
def test_one_server_has_one_name(url):
    """Two instances that write an address differently still make room for each other."""
    assert normal(url) == URL
