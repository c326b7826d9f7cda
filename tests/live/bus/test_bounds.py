"""Requests that are well formed and yet too much. If this fails, a daemon with a bug makes the bus large or ends it."""

import time

import orjson
import pytest

from services.bus.records import Aside
from services.bus.statetable import WHOLE_MAX_BYTES
from signals import wire
from signals.errors import UsageError
from tests.support.inprocess import ME
from tests.support.keeping import emit

MIB = "x" * 1_000_000


def test_state_has_a_bound_and_who_forgets_some_can_keep_more(buses):
    """A handler that keeps a key for each signal would fill the memory of the bus, and of its own next start."""
    bus = buses()
    bus.attach("eater")
    most = WHOLE_MAX_BYTES // len(MIB)
    for n in range(most):
        bus.say("eater", wire.EMIT, {"put": {f"key{n}": MIB}})
    with pytest.raises(UsageError, match=f"eater would keep more .* in {most} keys"):
        bus.say("eater", wire.EMIT, {"put": {"one more": MIB}})
    emit(bus, 1)
    given = bus.one("eater")
    with pytest.raises(UsageError, match="State is small"):
        bus.settle("eater", given, put={"one more": MIB})
    bus.settle("eater", given, put={"key0": None, "one more": MIB})
    bus = buses()  # what is kept counts after a start too
    kept = bus.attach("eater")["state"]
    assert kept.keys() == {"one more", *(f"key{n}" for n in range(1, most))}
    with pytest.raises(UsageError, match="State is small"):
        bus.say("eater", wire.EMIT, {"put": {"one more still": MIB}})


def test_a_message_carries_so_many_requests_and_no_more(buses):
    """A megabyte of small requests would hold all others up for seconds."""
    bus = buses()
    asked = [["query", n, {"what": "status"}, 0] for n in range(1001)]
    bus.core.receive(b"person", ME, [wire.MANY, b"n", orjson.dumps(asked)])
    ((_, (kind, _, body)),) = bus.state.outbox
    assert kind == wire.NO
    assert "1,000" in orjson.loads(body)["message"]
    bus.state.outbox.clear()
    bus.core.receive(b"person", ME, [wire.MANY, b"n", orjson.dumps(asked[:1000])])
    ((_, (kind, _, body)),) = bus.state.outbox
    assert (kind, len(orjson.loads(body))) == (wire.OKS, 1000)


def test_who_comes_back_after_all_it_had_put_off_was_forgotten_is_given_what_is_left(buses):
    """Else a consumer that failed a lot, and was off for a month, would stop the bus each time that it attaches."""
    bus = buses()
    for seq in range(1, 3000):
        bus.store.put_aside("eater", Aside(1_000_000 + seq))
    bus.core.commit()
    bus = buses()
    bus.attach("eater")
    emit(bus, 7)
    assert bus.one("eater").signal.facts == {"n": 7, "pad": ""}
    assert bus.state.lanes["eater"].asides == {}


def test_what_was_held_over_a_restore_is_not_taken_for_what_has_its_number_now(home, buses):
    """A daemon lives on while its bus's journal is put back: it must not settle a signal that it was never given."""
    bus = buses()
    bus.attach("eater")
    (seq,) = emit(bus, 1)
    held = bus.one("eater")
    for path in home.paths.journal.parent.glob("journal.db*"):
        path.unlink()
    bus = buses()
    assert emit(bus, 2) == [seq]
    body = bus.attach("eater", in_hand=[["", seq, 0, held.signal.id]])
    assert body["settled"] == [["", seq]]
    given = bus.one("eater")
    assert (given.seq, given.signal.facts["n"]) == (seq, 2)
    assert bus.attach("eater", in_hand=[["", seq, 0, given.signal.id]])["settled"] == []


def test_how_long_the_oldest_has_waited_is_asked_of_one_signal_not_of_all(home, buses):
    """The bus looks every few seconds; for a consumer that is far behind that must not take longer and longer."""
    home.manifest("other", consumes=["Q_ITEM_SEEN", "Q_ITEM_DONE"])
    bus = buses()
    before = time.time()
    (first, *_) = emit(bus, *range(50))
    lane, asked = bus.state.lanes["other"], []
    bus.store.page = lambda *given: asked.append(given)  # what reads many
    age = bus.state.oldest_age_s(lane)
    assert 0.0 <= age <= time.time() - before + 0.001
    assert asked == []
    assert bus.state.lag_of(lane) == 50
    assert first == lane.cursor + 1
