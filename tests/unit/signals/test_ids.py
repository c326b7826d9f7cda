"""Ids that must be the same again. If this fails, a redelivery doubles what it emits."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from signals.ids import derive, is_id, keyed, pack, unpack, uuid7

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


def test_every_id_is_a_valid_uuid_of_its_version():
    """Other tools can read them."""
    for text, version in ((uuid7(), 7), (derive(uuid7(), "a", 0, "Q_A", 0), 8), (keyed("a", "k"), 8)):
        found = uuid.UUID(text)
        assert found.version == version
        assert found.variant == uuid.RFC_4122
        assert str(found) == text
        assert is_id(text)


@given(names, st.integers(0, 99), names, st.integers(0, 99))
def test_a_derived_id_depends_on_all_it_is_made_of_and_on_nothing_else(consumer, generation, signal, nth):
    """The same handling gives the same id; any other handling another."""
    cause = uuid7()
    found = derive(cause, consumer, generation, signal, nth)
    assert found == derive(cause, consumer, generation, signal, nth)
    others = {
        derive(uuid7(), consumer, generation, signal, nth),
        derive(cause, consumer + "x", generation, signal, nth),
        derive(cause, consumer, generation + 1, signal, nth),
        derive(cause, consumer, generation, signal + "x", nth),
        derive(cause, consumer, generation, signal, nth + 1),
    }
    assert found not in others
    assert len(others) == 5


def test_a_derived_id_keeps_the_time_of_its_cause():
    """Random ids would slow the journal down as it grows."""
    cause = uuid7()
    assert derive(cause, "a", 0, "Q_A", 0)[:13] == cause[:13]
    assert keyed("router", f"{cause}/ready")[:13] == cause[:13]


@given(st.binary(min_size=16, max_size=16))
def test_packing_loses_nothing(raw):
    """What the journal keeps in 16 bytes is the id."""
    assert pack(unpack(raw)) == raw


def test_what_is_no_id_is_told_apart():
    """An id has one spelling."""
    assert not is_id(uuid7().upper())
    assert not is_id(uuid7().replace("-", ""))
    assert not is_id(None)
