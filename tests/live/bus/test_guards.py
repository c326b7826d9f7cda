"""Who may do what, and what runs away. If this fails, a daemon can speak for another, or a loop burn for ever."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from signals import wire
from signals.envelope import encode
from signals.errors import LoopError, SchemaError, UnauthorisedError
from signals.ids import uuid7
from tests.support.constellation import ROOT, constellation
from tests.support.raw import Raw, attached
from tests.support.required import root

ANY = {"n": {"type": "integer"}}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with constellation(tmp_path_factory.mktemp("guards")) as home:
        for name in ("Q_BALL_PINGED", "Q_BALL_PONGED", "Q_BALL_THROWN"):
            home.contract(name, ANY, example={"n": 1})
        home.contract("Q_STORY_SHORT", ANY, example={"n": 1}, story_limit=5)
        home.manifest("ping", consumes=["Q_BALL_PONGED", "Q_BALL_THROWN"], emits=["Q_BALL_PINGED"])
        home.manifest("pong", consumes=["Q_BALL_PINGED"], emits=["Q_BALL_PONGED"])
        home.manifest("teller", consumes=["Q_STORY_SHORT"], emits=["Q_BALL_THROWN"], in_flight=4)
        home.bus()
        yield home


@pytest.fixture
def person(home):
    with Raw(home.paths) as person:
        yield person


def test_a_daemon_emits_only_what_its_manifest_lists_and_only_in_its_own_name(home):
    """What a daemon may do must be readable in its manifest, or nobody can trust it."""
    with attached(home.paths, "ping") as ping:
        for signal in (
            ping.make("Q_BALL_PONGED", {"n": 1}),
            ping.make("Q_BALL_PINGED", {"n": 1}, source="pong"),
            ping.make("Q_BALL_PINGED", {"n": 1}, source="person@root"),
        ):
            with pytest.raises(UnauthorisedError):
                ping.emit(signal)
            dead = home.dead()[-1]
            assert (dead["reason"], dead["signal"]["id"]) == ("unauthorised", signal.id)


def test_nobody_attaches_under_a_name_without_manifest_or_as_the_bus(home):
    """An attach never makes a consumer, and nobody speaks for the bus."""
    for name in ("stranger", "bus", "ping@one", "person@root", ""):
        with Raw(home.paths) as raw, pytest.raises(UnauthorisedError):
            raw.attach(name)


def test_a_daemon_that_has_not_attached_cannot_emit(home):
    """Else fencing would mean nothing."""
    with Raw(home.paths) as raw:
        with pytest.raises(UnauthorisedError, match="attach"):
            raw.emit(raw.make("Q_BALL_PINGED", {"n": 1}, source="ping"))
        assert raw.refusal_of(wire.EMIT, {"attached": True}, b"{}") == "unknown_session"


def test_a_session_cannot_be_used_by_another_process_on_its_routing_id(home):
    """The kernel says who sends; a stolen routing id must not be a stolen identity."""
    with Raw(home.paths, routing_id=b"stolen") as mine:
        mine.attach("ping")
    thief = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from signals.paths import Paths
from tests.support.raw import Raw
with Raw(Paths.resolve(Path({str(home.home)!r})), routing_id=b"stolen") as raw:
    raw.daemon = "ping"
    try:
        raw.emit(raw.make("Q_BALL_PINGED", {{"n": 666}}))
    except Exception as error:
        print(error.code)
"""
    found = subprocess.run([sys.executable, "-c", thief], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "unknown_session"
    assert 666 not in [signal.facts["n"] for signal in home.signals("Q_BALL_PINGED")]


def test_a_ping_pong_of_two_daemons_ends_after_sixteen_hops_and_names_the_cycle(home, person):
    """Two daemons that answer each other must not burn the night through."""
    root = person.make("Q_BALL_THROWN", {"n": 1})
    before = len(home.dead())
    with attached(home.paths, "ping") as ping, attached(home.paths, "pong") as pong:
        for player in (ping, pong):
            player.drain()
        person.emit(root)
        thrower, other, gives, back = ping, pong, "Q_BALL_PINGED", "Q_BALL_PONGED"
        for _ in range(17):
            given = thrower.given()
            thrower.settle(given, thrower.make(gives, {"n": 1}))
            thrower, other, gives, back = other, thrower, back, gives
        assert ping.nothing()
        assert pong.nothing()
    assert max(s.hops for s in home.signals("Q_BALL_PINGED", "Q_BALL_PONGED") if s.correlation_id == root.id) == 16
    (dead,) = home.dead()[before:]
    assert dead["reason"] == "loop"
    assert "Q_BALL_PINGED (ping) → Q_BALL_PONGED (pong)" in dead["error"]


def test_a_story_ends_at_the_limit_of_its_root_s_contract(home, person):
    """A fan-out that feeds itself is a loop too."""
    with attached(home.paths, "teller") as teller:
        teller.drain()
        person.emit(person.make("Q_STORY_SHORT", {"n": 1}))
        root = teller.given()
        with pytest.raises(LoopError, match="allows 5"):
            teller.emit(*(teller.make("Q_BALL_THROWN", {"n": n}, causation_id=root.signal.id) for n in range(5)))
        teller.settle(root, *(teller.make("Q_BALL_THROWN", {"n": n}) for n in range(9)))
    assert len([s for s in home.signals("Q_BALL_THROWN") if s.correlation_id == root.signal.id]) == 4


def test_a_story_begun_and_continued_in_one_batch_is_held_to_the_same_limit(person):
    """Else a fan-out would only have to be sent at once to be free of its bound."""
    root = person.make("Q_STORY_SHORT", {"n": 1})
    follow = [person.make("Q_BALL_THROWN", {"n": n}, causation_id=root.id) for n in range(5)]
    with pytest.raises(LoopError, match="allows 5") as refused:
        person.emit(root, *follow)
    assert refused.value.fields["nth"] == 5
    assert len(person.emit(root, *follow[:4])) == 5


def test_a_cause_must_have_been_delivered_to_the_emitter_or_be_its_own(home, person):
    """A story must not be joined by who has no part in it."""
    with attached(home.paths, "ping") as ping, attached(home.paths, "pong") as pong:
        for player in (ping, pong):
            player.drain()
        mine = ping.make("Q_BALL_PINGED", {"n": 1})
        ping.emit(mine)
        with pytest.raises(UnauthorisedError, match="neither delivered to nor emitted by"):
            pong.emit(pong.make("Q_BALL_PONGED", {"n": 1}, causation_id=uuid7()))
        own = person.make("Q_STORY_SHORT", {"n": 1})
        person.emit(own)
        with pytest.raises(UnauthorisedError):
            pong.emit(pong.make("Q_BALL_PONGED", {"n": 1}, causation_id=own.id))
        follow = ping.make("Q_BALL_PINGED", {"n": 2}, causation_id=mine.id)
        ping.emit(follow)
        assert home.signals("Q_BALL_PINGED")[-1].correlation_id == mine.id
        for _ in range(2):
            pong.settle(pong.given())


def test_of_several_causes_the_deepest_counts_and_all_their_taint_is_inherited(home, person):
    """A cause may stand earlier in the same batch; taint cannot be shaken off by joining stories."""
    one = person.make("Q_BALL_THROWN", {"n": 1}, taint=("web",))
    two = person.make("Q_BALL_THROWN", {"n": 2}, causation_id=one.id, taint=("file",))
    three = person.make("Q_BALL_THROWN", {"n": 3}, taint=("microphone",))
    four = person.make("Q_BALL_THROWN", {"n": 4}, causation_id=three.id, also_caused_by=(two.id, one.id))
    person.emit(one, two, three, four)
    found = {signal.id: signal for signal in home.signals("Q_BALL_THROWN")}
    assert (found[two.id].hops, found[two.id].taint, found[two.id].correlation_id) == (1, ("file", "web"), one.id)
    last = found[four.id]
    assert (last.hops, last.correlation_id, last.also_caused_by) == (2, three.id, (two.id, one.id))
    assert last.taint == ("file", "microphone", "web")


def test_a_cause_later_in_the_batch_does_not_count(person):
    """Causes come before effects."""
    one = person.make("Q_BALL_THROWN", {"n": 1})
    two = person.make("Q_BALL_THROWN", {"n": 2}, causation_id=one.id)
    with pytest.raises(UnauthorisedError):
        person.emit(two, one)


def test_too_many_roots_are_put_off_and_settles_never_are(tmp_path):
    """A source that runs away is slowed; the work that is already there goes on."""
    with constellation(tmp_path) as home:
        home.contract("Q_BALL_THROWN", ANY, example={"n": 1})
        home.manifest("ping", consumes=["Q_BALL_THROWN"], emits=["Q_BALL_THROWN"], in_flight=10)
        home.config("bus", {"quota": {"roots_per_s": 20, "burst": 5}})
        home.bus()
        with Raw(home.paths) as person, attached(home.paths, "ping") as ping:
            person.emit(*(person.make("Q_BALL_THROWN", {"n": n}) for n in range(5)))
            taken = 5  # and as many more as it takes to be faster than 20 a second
            while (code := person.refusal_of(wire.EMIT, {}, encode(person.make("Q_BALL_THROWN", {"n": 6})))) is None:
                taken += 1
            assert code == "quota"
            for _ in range(5):
                ping.settle(ping.given(), *(ping.make("Q_BALL_THROWN", {"n": n}) for n in range(10)))
            with home.emitter() as emitter:
                emitter.emit(emitter.signal("Q_BALL_THROWN", {"n": 7}))
        assert len(home.signals("Q_BALL_THROWN")) == taken + 50 + 1
        assert home.dead() == []


SYSTEM = {"seer": 61001, "doer": 61002}
PERSON = 61003


@pytest.fixture
def passable() -> Iterator[Path]:
    """A folder through which other users may pass; pytest closes its own to them again whenever a run begins."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_in_system_mode_each_frame_s_uid_decides(passable):
    """One daemon taken over must not be able to speak for the others, nor for a person."""
    root("being other users")
    with constellation(passable) as home:
        home.contract("Q_BALL_THROWN", ANY, example={"n": 1})
        for name, uid in SYSTEM.items():
            home.manifest(name, emits=["Q_BALL_THROWN"], user=str(uid))
        home.config("bus", {"access": "system"})
        home.bus()
        home.paths.run.chmod(0o755)
        home.paths.bus_socket.chmod(0o666)

        def run(uid: int, daemon: str | None, source: str) -> str:
            child = f"""
import sys, os; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from signals.paths import Paths
from signals.errors import LigandError
from tests.support.raw import Raw
paths = Paths.resolve(Path({str(home.home)!r}))
os.setgid({uid}); os.setuid({uid})
with Raw(paths) as raw:
    try:
        if {daemon!r}: raw.attach({daemon!r})
        raw.daemon = {daemon!r} or raw.daemon
        raw.emit(raw.make("Q_BALL_THROWN", {{"n": {uid}}}, source={source!r}))
        print("taken")
    except LigandError as error:
        print(error.code)
    if {daemon!r} is None:
        print(raw.refusal_of(b"query", {{"what": "status"}}))
"""
            done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, timeout=60, check=True)
            return done.stdout.strip()

        assert run(SYSTEM["seer"], "seer", "seer") == "taken"
        assert run(SYSTEM["seer"], "doer", "doer") == "unauthorised"
        assert run(SYSTEM["seer"], "seer", "doer") == "unauthorised"
        assert run(PERSON, None, f"person@{PERSON}") == "unauthorised\nunauthorised"
        assert run(0, None, "person@anyone") == "taken\nNone"
        assert run(0, "seer", "seer") == "unauthorised"
        assert [signal.peer_uid for signal in home.signals("Q_BALL_THROWN")] == [SYSTEM["seer"], 0]
        assert run(SYSTEM["seer"], None, "person@bob").startswith("unauthorised")
        (forged,) = [dead for dead in home.dead() if dead["signal"]["source"] == "person@bob"]
        with Raw(home.paths) as administrator, pytest.raises(UnauthorisedError, match="may not emit as person@bob"):
            administrator.query("dead.replay", dead_letter_id=forged["dead_letter_id"])
        assert len(home.signals("Q_BALL_THROWN")) == 2


def test_facts_that_do_not_fit_are_refused_with_their_place(home, person):
    """Field names that differ between producer and consumer must be noticed at once, by the producer."""
    with pytest.raises(SchemaError) as refused:
        person.emit(person.make("Q_BALL_THROWN", {"m": 1}))
    assert "m" in refused.value.message
    assert orjson.dumps(refused.value.fields)
    with pytest.raises(SchemaError):
        person.emit(person.make("Q_NOBODY_KNOWS", {"n": 1}))
    with pytest.raises(SchemaError):
        person.emit(person.make("Q_BALL_THROWN", {"n": 1}, version=2))


def test_what_follows_from_a_looped_emit_ends_with_it_and_the_rest_is_kept(tmp_path):
    """One loop in a settle must not fail the settle, nor leave a dead letter for each attempt."""
    with constellation(tmp_path) as home:
        home.config("bus", {"max_hops": 1})
        for name in ("Q_LOOP_ROOT", "Q_LOOP_NEXT", "Q_LOOP_LAST"):
            home.contract(name, {"n": {"type": "integer"}}, example={"n": 1})
        home.manifest("looper", consumes=["Q_LOOP_ROOT", "Q_LOOP_NEXT"], emits=["Q_LOOP_NEXT", "Q_LOOP_LAST"])
        home.bus()
        with Raw(home.paths) as person, attached(home.paths, "looper") as looper:
            person.emit(person.make("Q_LOOP_ROOT", {"n": 1}))
            looper.settle(looper.given(), looper.make("Q_LOOP_NEXT", {"n": 2}))
            given = looper.given()
            first = looper.make("Q_LOOP_LAST", {"n": 3}, causation_id=given.signal.id)
            follows = looper.make("Q_LOOP_LAST", {"n": 4}, causation_id=first.id)
            with pytest.raises(SchemaError):
                looper.settle(given, first, looper.make("Q_LOOP_LAST", {"wrong": 1}))
            assert home.dead() == []
            looper.settle(given, first, follows)
            assert [letter["signal"]["facts"]["n"] for letter in home.dead()] == [3, 4]
            assert looper.nothing()
