"""Several requests in one message are each what they would be alone. If this fails, what goes together is lost."""

from typing import Any

import orjson
import pytest

from signals import wire
from signals.envelope import decode, encode
from tests.support.constellation import constellation
from tests.support.raw import Raw

NUMBER = {"n": {"type": "integer"}}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with constellation(tmp_path_factory.mktemp("many")) as home:
        for name in ("Q_THING_SEEN", "Q_THING_DONE"):
            home.contract(name, NUMBER, example={"n": 1})
        home.manifest("doer", consumes=["Q_THING_SEEN"], emits=["Q_THING_DONE"], in_flight=100)
        home.bus()
        yield home


@pytest.fixture
def doer(home):
    with Raw(home.paths) as client:
        client.daemon = "doer"
        header = {"protocol": wire.PROTOCOL, "daemon": "doer", "version": "test", "many": True}
        assert client.call(wire.ATTACH, header)["many"] is True
        yield client
        client.detach()


def emitted(home, count: int) -> list[int]:
    with Raw(home.paths) as person:
        return person.emit(*(person.make("Q_THING_SEEN", {"n": n}) for n in range(count)))


def given(doer: Raw, count: int) -> list[tuple[dict[str, Any], int]]:
    """The header and `n` of each signal of the next deliveries."""
    found: list[tuple[dict[str, Any], int]] = []
    while len(found) < count:
        frames = doer.push(wire.DELIVER)
        headers = orjson.loads(frames[2])
        assert len(headers) == len(frames) - 3
        found += [(header, decode(raw).facts["n"]) for header, raw in zip(headers, frames[3:], strict=True)]
    return found


def many(doer: Raw, *requests: Any, raws: tuple[bytes, ...] = ()) -> None:
    doer.send(wire.MANY, b"", orjson.dumps(requests), *raws)


def told(doer: Raw, until: int) -> dict[int, Any]:
    """What the bus says of each request until that many were answered: a body, or the code of a refusal."""
    found: dict[int, Any] = {}
    while len(found) < until:
        frames = doer.receive()
        body = orjson.loads(frames[2])
        if frames[0] == wire.OKS:
            found |= dict(body)
        elif frames[0] in (wire.OK, wire.NO):
            found[int(frames[1])] = body if frames[0] == wire.OK else body["code"]
    return found


def test_what_is_settled_together_is_settled_each_with_its_own_emits(home, doer):
    """A daemon acknowledges a hundred signals in a message; one that comes to nothing must not take others with it."""
    seqs = emitted(home, 70)
    got = given(doer, 70)
    assert [header["seq"] for header, _ in got] == seqs
    assert [n for _, n in got] == list(range(70))
    done = doer.make("Q_THING_DONE", {"n": 0})
    wrong = doer.make("Q_THING_DONE", {"n": "no number"})
    many(
        doer,
        ["settle", 101, {"lane": "", "seq": seqs[0]}, 1],
        ["settle", 102, {"lane": "", "seq": 999_999}, 0],
        ["settle", 103, {"lane": "", "seq": seqs[1]}, 1],
        *(["settle", 200 + seq, {"lane": "", "seq": seq}, 0] for seq in seqs[2:]),
        ["query", 104, {"what": "status"}, 0],
        raws=(encode(done), encode(wrong)),
    )
    answers = told(doer, 72)
    assert answers[101] == {}
    assert (answers[102], answers[103]) == ("not_in_hand", "schema")
    assert all(answers[200 + seq] == {} for seq in seqs[2:])
    assert answers[104]["pid"] == home.running[0].pid
    with home.journal() as journal:
        (row,) = (row for row in journal.consumers() if row.daemon == "doer")
        assert row.cursor >= seqs[-1]
    assert [found.id for found in home.signals("Q_THING_DONE")] == [done.id]
    many(doer, ["settle", 105, {"lane": "", "seq": seqs[1]}, 0])
    assert told(doer, 1) == {105: {}}


WRONG: dict[str, tuple[bytes, int]] = {
    "no JSON": (b"[[", 0),
    "an object": (b"{}", 0),
    "three of four": (b'[["settle",1,{}]]', 0),
    "more signals than come": (b'[["emit",1,{},2]]', 1),
    "fewer signals than come": (b'[["emit",1,{},0]]', 1),
    "signals below zero": (b'[["emit",1,{},-1],["emit",2,{},1]]', 0),
    "a number that is none": (b'[["emit","1",{},0]]', 0),
    "a header that is none": (b'[["emit",1,[],0]]', 0),
    "an operation that is a list": (b'[["emit",1,{},0],[[],2,{},0]]', 0),
    "an attach": (b'[["attach",1,{"daemon":"doer"},0]]', 0),
    "a live": (b'[["live",1,{},1]]', 1),
    "many in many": (b'[["many",1,{},0]]', 0),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_list_that_makes_no_sense_does_nothing_and_is_refused(home, doer, wrong):
    """Half of a garbled message would be worse than none of it: nobody would know which half."""
    before = len(home.signals("Q_THING_DONE"))
    header, signals = WRONG[wrong]
    raws = [encode(doer.make("Q_THING_DONE", {"n": 1}))] * signals
    doer.send(wire.MANY, b"", header, *raws)
    kind, number, body = doer.receive()
    assert (kind, number) == (wire.NO, b"")
    assert orjson.loads(body)["code"] in ("malformed", "usage")
    assert len(home.signals("Q_THING_DONE")) == before


def test_who_does_not_ask_for_many_gets_one_signal_in_a_message(home):
    """A daemon of an earlier version is still at work while a new bus is started."""
    with Raw(home.paths) as client:
        client.attach("doer")
        seqs = emitted(home, 3)
        for seq in seqs:
            one = client.given()
            assert one.seq == seq
            client.settle(one)
        client.detach()
