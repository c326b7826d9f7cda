"""What came from outside is shown, never obeyed; and it is short."""

from __future__ import annotations

import unicodedata

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.text import clean, clean_json, key_facts, seconds_text, shorten, value_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=6),
    max_leaves=20,
)
HOSTILE = "\x1b]0;owned\x07\x9b31m\u202egnp.exe\u2028\x00\x7f\r\n"


@given(st.text(st.characters()))
def test_no_text_steers_the_terminal(text: str) -> None:
    """A fact with escape sequences would otherwise move the cursor or rename the window."""
    assert not [c for c in clean(text) if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u202e\u2066"]


@given(st.dictionaries(st.text(max_size=20), JSON, max_size=8), st.integers(40, 300))
def test_facts_of_any_shape_fit_on_a_line(facts: dict, room: int) -> None:
    """Huge or odd facts would otherwise flood the screen."""
    line = key_facts(facts, room)
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(line) <= room * 2 + 60


def test_the_most_telling_facts_come_first() -> None:
    """A person would otherwise read hashes before the reason."""
    line = key_facts({"sha256": "ab" * 32, "n": 1, "ok": True, "none": None, "reason": "phantom", "items": [1, 2]})
    assert line.startswith("reason=phantom n=1 ok=true none=null items=[1, 2] sha256=")
    assert key_facts({"question": "x" * 400, "verdict": "refuted"}).startswith("verdict=refuted ")


@pytest.mark.parametrize("value", [HOSTILE, [HOSTILE], {HOSTILE: 1}, "x" * 10**6, list(range(10**5))])
def test_hostile_values_are_short_and_safe(value: object) -> None:
    """Nested texts go the same way as plain ones."""
    shown = value_text(value, 60)
    assert len(shown) <= 200
    assert shown == clean(shown)


def test_json_for_a_terminal_is_the_same_json() -> None:
    """Escaping must not change what a program reads."""
    raw = orjson.dumps({"text": HOSTILE + "\u061c\u2066", "plain": "grün"})
    safe = clean_json(raw)
    assert orjson.loads(safe) == orjson.loads(raw)
    assert not {"\x9b", "\x7f", "\u202e", "\u2028", "\u061c", "\u2066"} & set(safe.decode())
    assert "grün" in safe.decode()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0004, "0.4 ms"),
        (0.012, "12 ms"),
        (1.25, "1.2 s"),
        (182, "3 min 2 s"),
        (240, "4 min"),
        (7500, "2 h 5 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    """Latencies from a fraction of a millisecond to days stand in one column."""
    assert seconds_text(seconds) == text


def test_shortened_text_says_so() -> None:
    """A cut text without a mark would be read as whole."""
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abc", 4) == "abc"
