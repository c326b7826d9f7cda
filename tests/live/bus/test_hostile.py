"""Whatever bytes come, the bus lives and says what is wrong. If this fails, any program on the machine can stop all."""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from signals import wire
from signals.envelope import encode
from signals.errors import LigandError, MalformedError, OversizeError, SchemaError, UsageError
from tests.support.constellation import Constellation, constellation
from tests.support.raw import Raw

DEEP = b"[" * 400 + b"]" * 400


@contextmanager
def served(folder: Path) -> Iterator[Constellation]:
    """A bus that takes anything as facts."""
    with constellation(folder) as home:
        home.contract("Q_THING_SEEN", {"n": {"x-open": "a test sends anything"}}, example={"n": 1})
        home.manifest("eater", consumes=["Q_THING_SEEN"], emits=["Q_THING_SEEN"], in_flight=4)
        home.bus()
        yield home


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with served(tmp_path_factory.mktemp("hostile")) as found:
        yield found


@pytest.fixture
def own(tmp_path):
    """The same for one test: of what is refused a bus keeps only so much an hour, however many tests ask it to."""
    with served(tmp_path) as found:
        yield found


@pytest.fixture
def raw(home):
    with Raw(home.paths) as raw:
        yield raw
        assert raw.query("status")["pid"] == home.running[0].pid


def whole(raw: Raw, facts: bytes = b'{"n":1}', extra: bytes = b"") -> bytes:
    return encode(raw.make("Q_THING_SEEN", {"n": 0})).replace(b'{"n":0}', facts)[:-1] + extra + b"}"


HEADERS: dict[str, dict[str, Any]] = {
    "retry_in is a word": {"lane": "", "seq": 1, "verdict": "unavailable", "retry_in": "soon"},
    "retry_in is a list": {"lane": "", "seq": 1, "verdict": "unavailable", "retry_in": [1]},
    "lane is a list": {"lane": [], "seq": 1},
    "seq is an object": {"lane": "", "seq": {}},
    "seq is huge": {"lane": "", "seq": 2**64 - 1},
    "seq is a float": {"lane": "", "seq": 1.5},
    "verdict is a list": {"lane": "", "seq": 1, "verdict": ["ack"]},
    "put is a list": {"lane": "", "seq": 1, "put": [1]},
    "put has a long key": {"lane": "", "seq": 1, "put": {"k" * 300: 1}},
}


@pytest.mark.parametrize("wrong", HEADERS)
def test_a_settle_with_a_wrong_header_is_refused_and_stops_nothing(home, raw, wrong):
    """A daemon with a bug in its client must not take the bus down for all others."""
    raw.attach("eater")
    raw.drain()
    with Raw(home.paths) as person:
        seq = person.emit(person.make("Q_THING_SEEN", {"n": 1}))[0]
    given = raw.given()
    assert given.seq == seq
    header = HEADERS[wrong] | ({"seq": seq} if HEADERS[wrong]["seq"] == 1 else {})
    with pytest.raises(LigandError) as refused:
        raw.call(wire.SETTLE, header)
    assert refused.value.code in ("usage", "not_in_hand")
    raw.settle(given)
    raw.detach()


ATTACHES: dict[str, dict[str, Any]] = {
    "in_hand has a huge number": {"in_hand": [["", 2**64 - 1]]},
    "in_hand has a negative number": {"in_hand": [["", -1]]},
    "in_hand is a number": {"in_hand": 3},
    "in_hand has a list as lane": {"in_hand": [[[], 1]]},
    "in_hand is endless": {"in_hand": [["", n] for n in range(20_000)]},
    "lanes is a list": {"lanes": [1]},
    "lanes counts in words": {"lanes": {"": "many"}},
    "version is an object": {"version": {"a": 1}},
}


@pytest.mark.parametrize("wrong", ATTACHES)
def test_an_attach_with_a_wrong_header_stops_nothing(raw, wrong):
    """As above, for the first thing a client says."""
    header = {"protocol": wire.PROTOCOL, "daemon": "eater", **ATTACHES[wrong]}
    refused = raw.refusal_of(wire.ATTACH, header)
    assert refused == (None if wrong == "version is an object" else "usage")


@pytest.mark.parametrize("number", [2**64 - 1, -1, True, "1", None, 1.5])
def test_a_dead_letter_that_cannot_be_is_refused(raw, number):
    """A mistyped number in `signal-tap dead drop` must not stop the bus."""
    with pytest.raises(UsageError):
        raw.query("dead.drop", dead_letter_id=number)


ENVELOPES = {
    "not JSON": (b"\xff\x00garbage", MalformedError),
    "empty": (b"", MalformedError),
    "a list": (b"[1,2]", MalformedError),
    "deep": (b'{"facts":' + DEEP + b"}", MalformedError),
    "very deep": (b"[" * 30_000 + b"]" * 30_000, MalformedError),
    "NaN": (b'{"facts":{"n":NaN}}', MalformedError),
    "Infinity": (b'{"facts":{"n":1e999}}', MalformedError),
    "twice the same key": (b'{"signal":"Q_THING_SEEN","signal":"Q_THING_SEEN"}', MalformedError),
    "an integer of 70 bits": (b'{"facts":{"n":1180591620717411303424}}', MalformedError),
    "half a surrogate": (b'{"signal":"\\ud800"}', MalformedError),
    "64 KiB and more": (b'{"signal":"' + b"x" * 65_536 + b'"}', OversizeError),
    "nearly 1 MiB": (b"x" * (1 << 20), OversizeError),
    "a name nobody can have": (b'{"signal":"' + b"Q" * 2000 + b'"}', SchemaError),
    "an empty name": (b'{"signal":""}', SchemaError),
}


@pytest.mark.parametrize("what", ENVELOPES)
def test_each_kind_of_wrong_bytes_has_its_own_refusal(home, raw, what):
    """The author of an emitter must learn what is wrong; the bytes are kept among the dead letters."""
    envelope, kind = ENVELOPES[what]
    before = len(home.dead())
    with pytest.raises(kind) as refused:
        raw.call(wire.EMIT, b"{}", envelope)
    assert type(refused.value) is kind
    assert "Q_DEAD_LETTER_ADDED" not in refused.value.message
    dead = home.dead()
    assert len(dead) == before + 1
    assert dead[-1]["reason"] == kind.code


FORGED = {"seq": 2**64 - 1, "hops": 3, "correlation_id": "x", "peer_uid": 0, "received_at": "now", "replayed": True}


@pytest.mark.parametrize("name", FORGED)
def test_what_only_the_bus_sets_is_refused_from_an_emitter(home, raw, name):
    """Were it taken, a daemon could forge its order, story or identity."""
    forged = whole(raw, extra=b',"%s":%s' % (name.encode(), orjson.dumps(FORGED[name])))
    with pytest.raises(SchemaError, match=name):
        raw.call(wire.EMIT, b"{}", forged)
    assert home.dead()[-1]["reason"] == "schema"


def test_facts_nested_beyond_reason_are_refused_though_their_contract_allows_them(raw):
    """orjson reads 1,024 levels and writes 254: such facts once killed the bus while it buried them."""
    for depth in (200, 300, 900, 1100):
        facts = b'{"n":' + b"[" * depth + b"]" * depth + b"}"
        assert raw.refusal_of(wire.EMIT, b"{}", whole(raw, facts)) == (None if depth == 200 else "malformed")


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"emit"],
        [b"emit", b"1"],
        [b"emit", b"1", b"{}"],
        [b"emit", b"1", b"[]", b"{}"],
        [b"emit", b"1", DEEP, b"{}"],
        [b"emit", b"x" * 100, b"{}"],
        [b"emit", b"x" * 200_000, b"{}"],
        [b"settle", b"1"],
        [b"ask", b"1", b"{}"],
        [b"attach", b"1", b'{"protocol":1}'],
        [b"attach", b"1", b'{"protocol":1,"daemon":["eater"]}'],
        [b"detach", b"1", b"{}"],
        [b"beat", b"1", b"{}"],
        [b"query", b"1", b"{}"],
        [b"query", b"1", b'{"what":["status"]}'],
        [b"\xff\xfe", b"1", b"{}"],
        [b"emit", b"1", b"{}", *[b"{}"] * 1001],
    ],
    ids=lambda frames: f"{len(frames)} frames, {frames[0]!r}",
)
def test_any_count_of_frames_is_answered_with_a_refusal(raw, frames):
    """A client with a bug hears of it, instead of waiting for ever."""
    raw.send(*frames)
    kind, _, body = raw.receive()
    assert kind == wire.NO
    assert orjson.loads(body)["code"] in ("malformed", "usage", "unknown_session")
    assert len(body) < 4096


def test_a_frame_above_1_mib_costs_its_sender_the_connection_and_nobody_else(home, raw):
    """Memory is bounded before any byte is looked at."""
    with Raw(home.paths) as big:
        big.send(wire.EMIT, b"1", b"{}", b"x" * (2 << 20))
        assert raw.query("status")
        assert not big.socket.poll(100)


def rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_ten_thousand_random_messages_leave_the_bus_small_and_the_disk_bounded(own):
    """A program gone mad must not fill memory or disk: what it sent is kept only up to a limit."""
    chance = random.Random(7)
    bus = own.running[0]
    before = rss(bus.pid)
    operations = [wire.EMIT, wire.SETTLE, wire.ASK, wire.LIVE, wire.BEAT, b"?", b""]
    with Raw(own.paths) as mad:
        for _ in range(10_000):
            frames = [chance.choice(operations), b"mad", chance.choice((b"{}", b"{}", b"?"))]
            frames += [chance.randbytes(chance.choice((0, 2, 40, 3000))) for _ in range(chance.randrange(4))]
            mad.send(*frames[: chance.randrange(1, 7)])
        for _ in range(5_000):
            mad.send(wire.EMIT, b"mad", b"{}", chance.randbytes(100))
        not_kept = mad.query("status")["refusals_not_kept"]
    kept = own.paths.dead_letters.stat().st_size
    assert kept < 12 << 20
    assert rss(bus.pid) - before < 100 << 20
    assert not_kept > 1000


def test_who_never_reads_its_answers_is_given_no_more_memory(home, raw):
    """A stalled client stalls itself only."""
    bus = home.running[0]
    before = rss(bus.pid)
    with Raw(home.paths, receive_at_most=1) as deaf:
        for _ in range(30_000):
            deaf.send(wire.QUERY, b"1", b'{"what":"status"}')
        assert raw.query("status")
        assert rss(bus.pid) - before < 150 << 20


OLD_PEERS = (b"\x01\x00\x02\x00x", b"\x01\x00", b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01\x05\x00\x00\x00")


@pytest.mark.parametrize("door", ["bus_socket", "mirror_socket"])
def test_bytes_that_are_no_zeromq_do_not_stop_the_bus(home, door):
    """Anybody who may connect could otherwise end the bus with five bytes: libzmq takes them for a peer of old."""
    chance = random.Random(5)
    with Raw(home.paths) as person:
        for junk in (*OLD_PEERS, *(chance.randbytes(200) for _ in range(40))):
            with socket.socket(socket.AF_UNIX) as raw:
                raw.connect(str(getattr(home.paths, door)))
                raw.sendall(junk)
            assert person.query("status")["pid"] == home.running[0].pid


def test_a_refusal_does_not_repeat_what_it_was_sent(home):
    """Answers that nobody reads would otherwise hold as much memory as their questions."""
    with Raw(home.paths) as person:
        for what, fields in (("x" * 500_000, {}), ("pause", {"daemon": "y" * 500_000})):
            with pytest.raises(UsageError) as refused:
                person.query(what, **fields)
            assert len(str(refused.value)) < 1000
