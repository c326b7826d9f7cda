"""What a person may write into an intent file, and what they are told when it cannot be read."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intent_router.intent import Intent, Limits
from services.intent_router.logic import parse, plan
from services.intent_router.refusal import EXAMPLE, IntentRefused, explain
from tests.unit.intent_router.rig import CATALOGUE, ROUTES

CLAIM = "01935b0e-6a70-7cc3-98c4-dc0c0c07398f"


def read(value: Any, file: str = "a.json") -> Intent:
    raw = value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()
    return parse(raw, file, CLAIM, Limits())


def refusal(value: Any, file: str = "a.json") -> IntentRefused:
    with pytest.raises(IntentRefused) as caught:
        plan(read(value, file), ROUTES)
    return caught.value


def routed(value: Any, file: str = "a.json") -> dict[str, Any]:
    root, investigate = plan(read(value, file), ROUTES)
    CATALOGUE[root.signal].check(root.facts)
    CATALOGUE[investigate.signal].check(investigate.facts)
    return investigate.facts


def test_the_issue_shape_becomes_an_investigation() -> None:
    """Every producer of intents writes this shape; a lost field is a lost question."""
    data = {
        "question": "What does audio do?",
        "priority": "high",
        "evidence": ["path:/srv/audio", "has_init:true"],
    }
    assert routed({"type": "discover.module", "id": "discover.module.audio", "data": data}) == {
        "question": "What does audio do?",
        "question_id": "discover.module.audio",
        "priority": "high",
        "evidence": ["path:/srv/audio", "has_init:true"],
        "module_path": "/srv/audio",
    }


@pytest.mark.parametrize(("number", "word"), [(7, "critical"), (6, "high"), (5, "normal"), (4, "low")])
def test_the_older_shape_keeps_its_priority(number: int, word: str) -> None:
    """Programs that still write the older shape would find their urgent questions last."""
    old = {
        "intent_type": "curiosity_investigate",
        "priority": number,
        "reason": "Nobody knows what it is for.",
        "data": {"evidence": ["module:audio"], "question_id": "q.1", "hypothesis": "dead code"},
        "generated_at": 1732100000.5,
        "emitted_by": "introspection",
    }
    assert routed(old) == {
        "question": "Nobody knows what it is for.",
        "question_id": "q.1",
        "priority": word,
        "evidence": ["module:audio"],
        "module_path": "audio",
        "hypothesis": "dead code",
    }


@pytest.mark.parametrize("name", ["q.txt", "q.md", "Q.TXT", "question"])
def test_a_text_is_the_question(name: str) -> None:
    """A person who writes a line into a file would get no answer."""
    facts = routed("  Which of my modules read the camera?\n", name)
    assert facts["question"] == "Which of my modules read the camera?"
    assert facts["question_id"] == CLAIM
    assert facts["priority"] == "normal"


@pytest.mark.parametrize(
    ("intent_type", "named", "data", "module"),
    [
        ("discover.module", "discover.module.audio", {"module_path": "a", "evidence": ["path:b"]}, "a"),
        ("discover.module.t", "x.audio", {"evidence": ["has_init:true", "module:b", "path:c"]}, "b"),
        ("discover.module.xml.etree", "discover.module.audio", {}, "xml.etree"),
        ("discover.module", "discover.module.audio", {}, "audio"),
        ("reinvestigate.audio", None, {"evidence": ["path:"]}, "audio"),
        ("reinvestigate", "again.audio", {}, "audio"),
    ],
)
def test_the_module_is_found_in_the_stated_order(
    intent_type: str, named: str | None, data: dict[str, Any], module: str
) -> None:
    """Another order would investigate another module than the one named."""
    assert routed({"type": intent_type, "id": named, "data": data})["module_path"] == module


def test_a_question_is_not_taken_for_a_module() -> None:
    """A question with a dotted id would be answered with 'no such module'."""
    facts = routed({"type": "question", "id": "my.notes", "data": {"question": "Why?"}})
    assert "module_path" not in facts


def test_a_byte_order_mark_does_no_harm() -> None:
    """Editors on other systems write one in front."""
    assert routed(b"\xef\xbb\xbfWhy?", "q.txt")["question"] == "Why?"


@pytest.mark.parametrize(
    ("text", "reason", "line", "column", "key"),
    [
        ('{"type": "question",\n "data": {"question": "x"', "not_json", 2, 26, None),
        ('{"type": "question"} {}', "not_json", 1, 22, None),
        ('{"a": [1, NaN]}', "not_json", 1, 11, None),
        ('{"a": "NaN", "b": -Infinity}', "not_json", 1, 19, None),
        ('{"a": 36893488147419103232}', "not_json", 1, 7, None),
        ('{"a": 1e999}', "not_json", 1, 7, None),
        ('{"a": {"b": 1,\n  "b": 2}}', "duplicate_key", 2, 3, "a.b"),
        ("[1]", "bad_shape", 1, 1, None),
        ('{"type": "question", "data": []}', "bad_shape", 1, 22, "data"),
        ('{"data": {}}', "bad_shape", None, None, "type"),
        ('{"type": "question", "intent_type": "question"}', "bad_shape", 1, 2, "type"),
        ('{"type": "discover.module.",\n"data": {}}', "bad_shape", 1, 2, "type"),
        (
            '{"type": "question", "data": {"question": "x",\n"priority": 9}}',
            "bad_shape",
            2,
            1,
            "data.priority",
        ),
        (
            '{"type": "question", "data": {"question": "x", "priority": true}}',
            "bad_shape",
            1,
            48,
            "data.priority",
        ),
        ('{"type": "question", "data": {"evidence": ["a", 3]}}', "bad_shape", 1, 49, "data.evidence[1]"),
        ('{"type": "question", "data": {"questoin": "x"}}', "bad_shape", 1, 31, "data.questoin"),
        ('{"type": "question", "data": {"question": " "}}', "bad_shape", 1, 31, "data.question"),
        ('{"type": "question", "data": {}}', "bad_shape", None, None, "data.question"),
        (
            '{"type": "discover.module", "data": {"question": "x"}}',
            "bad_shape",
            None,
            None,
            "data.module_path",
        ),
        ('{"type": "discover.modul", "data": {}}', "no_route", None, None, "type"),
    ],
)
def test_a_refusal_points_at_the_place(
    text: str, reason: str, line: int | None, column: int | None, key: str | None
) -> None:
    """A person with a file of hundred lines would have to guess what is wrong with it."""
    found = refusal(text)
    assert (found.reason, found.where.line, found.where.column, found.where.key) == (
        reason,
        line,
        column,
        key,
    )
    assert found.mend


@pytest.mark.parametrize(
    ("raw", "name", "reason"),
    [
        (b"ab\n\xff\xfe", "a.txt", "not_text"),
        (b"What\0is", "a.txt", "not_text"),
        (b" \n", "a.txt", "empty"),
        (b"", "a.json", "empty"),
        (b"\x89PNG is no question", "a.txt", "not_text"),
        (b"a,b,c", "a.csv", "not_an_intent"),
        (b"x" * (16 * 1024 + 1), "a.txt", "question_too_large"),
        (b"x" * (64 * 1024 + 1), "a.txt", "too_large"),
        (b'{"a": "\\ud800"}', "a.json", "not_json"),
        (b"[" * 60_000, "a.json", "not_json"),
        (b'{"a":' * 10_000, "a.json", "not_json"),
    ],
)
def test_what_is_no_intent_has_a_named_refusal(raw: bytes, name: str, reason: str) -> None:
    """Anything else would take the router down, or be sent on as a question."""
    assert refusal(raw, name).reason == reason


def test_an_unknown_type_is_told_the_known_ones() -> None:
    """A typing error in the type would cost a person a search through the docs."""
    found = refusal({"type": "discovr.module.json"})
    assert "discover.module" in found.mend
    assert "reinvestigate" in found.mend


def test_the_error_file_shows_an_example_that_is_accepted() -> None:
    """An example that is refused itself would be worse than none."""
    assert routed(EXAMPLE)["module_path"] == "json"
    assert EXAMPLE in explain(refusal("{"), "a.json", "/home/ada/intents")


def test_the_same_bytes_under_the_same_claim_give_the_same_signals() -> None:
    """After a crash the second emit would conflict with the first one."""
    raw = json.dumps({"type": "discover.module.json", "data": {}}).encode()
    assert plan(parse(raw, "a", CLAIM, Limits()), ROUTES) == plan(parse(raw, "a", CLAIM, Limits()), ROUTES)


KEYS = ["type", "intent_type", "id", "data", "priority", "reason", "question", "evidence", "module_path"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["discover.module", "reinvestigate.x", "question", "curiosity_x", "high"])
)
VALUES = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), below, max_size=6)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_no_json_raises_anything_but_the_named_refusal(value: Any) -> None:
    """One strange file would stop every other intent."""
    try:
        plan(read(json.dumps(value)), ROUTES)
    except IntentRefused as found:
        explain(found, "a.json", "/").encode()
        found.detail.encode()


@given(st.binary(max_size=200), st.sampled_from(["a", "a.txt", "a.json", "a.png", ".json", "a."]))
def test_no_bytes_raise_anything_but_the_named_refusal(raw: bytes, name: str) -> None:
    """One strange file would stop every other intent."""
    try:
        plan(parse(raw, name, CLAIM, Limits()), ROUTES)
    except IntentRefused as found:
        found.detail.encode()


@given(st.text(alphabet=string.printable + "\ud800", max_size=200).map(lambda tail: '{"a": {"a":1,' + tail))
def test_no_almost_json_raises_anything_but_the_named_refusal(text: str) -> None:
    """The search for the place of a fault must not stumble over the fault."""
    try:
        plan(read(text.encode("utf-8", "surrogatepass")), ROUTES)
    except IntentRefused as found:
        found.detail.encode()
