"""The envelope codec. If this fails, two daemons read the same bytes as different signals, or one cannot read them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.envelope import (
    BUS_FIELDS,
    MAX_BYTES,
    Signal,
    check_emitted,
    decode,
    encode,
    load,
    rfc3339,
    to_dict,
    unix_seconds,
)
from signals.errors import MalformedError, OversizeError, SchemaError
from signals.ids import derive, uuid7

ROOT = "01935b0e-6a70-7cc3-98c4-dc0c0c07398f"
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
facts = st.dictionaries(st.text(min_size=1), json_values, max_size=6)
labels = st.sets(st.from_regex(r"[a-z][a-z0-9_-]{0,10}", fullmatch=True), max_size=3).map(
    lambda found: tuple(sorted(found))
)


def emitted(**fields) -> Signal:
    whole = {
        "signal": "Q_USER_VOICE",
        "id": ROOT,
        "timestamp": "2026-01-02T03:04:05.000006Z",
        "source": "audio_sensor",
        "host": "box",
        "version": 1,
        "facts": {"text": "hello"},
    }
    return Signal(**{**whole, **fields})


@given(facts=facts, taint=labels, version=st.integers(1, 99))
def test_what_is_encoded_comes_back_the_same(facts, taint, version):
    """A round trip loses and changes nothing, whatever the facts are."""
    signal = emitted(facts=facts, taint=taint, version=version, causation_id=derive(ROOT, "x", 0, "Q_A", 0))
    raw = encode(signal)
    assert decode(raw) == signal
    check_emitted(load(raw))


def test_the_bytes_on_the_wire_are_these():
    """Another implementation can rely on the exact form."""
    assert encode(emitted()) == (
        b'{"signal":"Q_USER_VOICE","id":"01935b0e-6a70-7cc3-98c4-dc0c0c07398f",'
        b'"timestamp":"2026-01-02T03:04:05.000006Z","source":"audio_sensor","host":"box","version":1,'
        b'"facts":{"text":"hello"}}'
    )


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_by_name(raw):
    """Garbage on the socket is an error with a name, never a crash."""
    try:
        found = load(raw)
    except MalformedError:
        return
    assert isinstance(found, dict)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":18446744073709551616}',
        b'{"a":-9223372036854775809}',
        b'{"a":1e999}',
        b"[1]",
        b"null",
        b'"text"',
        b"",
        b"\xff\xfe",
        b'{"a":1} {"b":2}',
        b'{"a":"\xed\xa0\x80"}',
        b"[" * 20_000 + b"]" * 20_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ],
)
def test_json_that_others_read_differently_is_refused(raw):
    """Duplicate keys, numbers without a place in JSON and the like never reach a handler."""
    with pytest.raises(MalformedError):
        load(raw)


@pytest.mark.parametrize("raw", [b'{ "a" : 1 }', b'{"a":1.0}', b'{"a":"\\u00fc"}', b'{"a":1e2}'])
def test_another_spelling_of_strict_json_is_accepted(raw):
    """A person's script need not write JSON as compactly as we do."""
    assert load(raw) == json.loads(raw)


def test_an_envelope_over_64_kib_is_refused_by_name():
    """The limit is told, with the size that was found."""
    with pytest.raises(OversizeError, match="65,536"):
        load(b'{"a":"' + b"x" * MAX_BYTES + b'"}')


@pytest.mark.parametrize("field", BUS_FIELDS)
def test_a_field_of_the_bus_is_refused_from_an_emitter(field):
    """Nobody can forge a place in the order, a story or a distance."""
    with pytest.raises(SchemaError, match=field):
        check_emitted({**to_dict(emitted()), field: 1})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("signal", "speak"),
        ("id", ROOT.upper()),
        ("id", "x"),
        ("timestamp", "2026-01-02T03:04:05Z"),
        ("source", "Person"),
        ("source", "person@"),
        ("host", ""),
        ("version", 0),
        ("version", True),
        ("taint", ["UPPER"]),
        ("facts", []),
        ("causation_id", None),
        ("unheard_of", 1),
    ],
)
def test_a_wrong_field_is_named(field, value):
    """The sender learns which field is wrong, not just that something is."""
    with pytest.raises(SchemaError) as refused:
        check_emitted({**to_dict(emitted()), field: value})
    assert field in refused.value.path or field in str(refused.value)


def test_too_long_a_list_is_told_by_its_length():
    """A list of seventy ids hid the one word that says what is wrong with it."""
    with pytest.raises(SchemaError) as refused:
        check_emitted({**to_dict(emitted()), "also_caused_by": [uuid7() for _ in range(70)]})
    assert refused.value.message == (
        "The envelope is wrong at $.also_caused_by: found a list of 70 items, expected a list of at most 64 items."
    )


@given(st.floats(0, 4e9))
def test_times_survive_their_text(seconds):
    """A time read back is the same to the microsecond."""
    assert abs(unix_seconds(rfc3339(seconds)) - seconds) < 2e-6


def test_new_ids_are_in_order_of_time():
    """The journal's index stays in time order."""
    first, second = uuid7(), uuid7()
    assert first[:13] <= second[:13]
    assert first != second
