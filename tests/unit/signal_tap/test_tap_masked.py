"""A recording has masks where secrets were; whatever its contract says about those facts, it can be played."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals.catalogue import judge
from signals.masking import MASK, mask
from signals.secrecy import secret_paths
from tests.unit.signals.test_secrecy import document
from tools.signal_tap.masked import admitting

PIN: dict[str, Any] = {"type": "integer", "minimum": 1000, "x-secret": True}
WORD: dict[str, Any] = {"type": "string", "minLength": 20, "x-secret": True}
LONG = "sesame" * 5
BOX: dict[str, Any] = {
    "type": "object",
    "properties": {"key": {**WORD, "description": "k"}, "kind": {"enum": ["a", "b"], "description": "k"}},
    "additionalProperties": False,
}
DEFS = {"pin": PIN, "text": {"type": "string", "x-secret": True}, "box": BOX}


def is_valid(schema: dict[str, Any], facts: Any) -> bool:
    return jsonschema_rs.Draft202012Validator(schema).is_valid(facts)


@pytest.mark.parametrize(
    ("part", "fact", "spoiled"),
    [
        ({"oneOf": [PIN, {"type": "string", "maxLength": 5}]}, 1234, 7),
        ({"oneOf": [PIN, WORD]}, LONG, "short"),
        ({"$ref": "#/$defs/text", "minLength": 20}, LONG, "short"),
        ({"allOf": [{"type": "string", "x-secret": True}, {"minLength": 20}]}, LONG, "short"),
        ({"type": "string", "allOf": [{"$ref": "#/$defs/text"}, {"not": {"const": MASK}}]}, LONG, 7),
        ({"$ref": "#/$defs/box", "not": {"properties": {"key": {"const": MASK}}}}, {"key": LONG}, {"kind": "c"}),
        ({"$ref": "#/properties/other/properties/kind", "type": "string"}, "a", "c"),
        (
            {**BOX, "oneOf": [{"properties": {"key": {"minLength": 25}}}, {"properties": {"key": {"maxLength": 24}}}]},
            {"key": LONG},
            {"kind": "c"},
        ),
        (
            {**BOX, "if": {"properties": {"key": {"minLength": 40}}}, "then": {"required": ["kind"]}, "else": {}},
            {"key": LONG},
            {"kind": "c"},
        ),
        ({"type": "array", "uniqueItems": True, "items": PIN}, [1001, 1002], [7]),
        ({"type": "array", "items": PIN, "contains": {"const": 1001}, "maxContains": 1}, [1001, 1002], [7]),
        ({**BOX, "enum": [{"key": LONG, "kind": "a"}]}, {"key": LONG, "kind": "a"}, {"kind": "c"}),
        (
            {**BOX, "additionalProperties": True, "x-open": "any", "patternProperties": {"^k": {"maxLength": 40}}},
            {"key": LONG, "k2": "x"},
            {"k2": "x" * 41},
        ),
    ],
)
def test_the_mask_fits_wherever_a_secret_was(part: dict[str, Any], fact: Any, spoiled: Any) -> None:
    """A story with a password in it could not be played; and what else is wrong in a recording must still be found."""
    whole = document(DEFS, fact=part, other={**BOX, "x-secret": True}, third=PIN) | {"examples": [{"fact": fact}]}
    judge(whole, "here")
    paths = list(secret_paths(whole))
    masked = mask({"fact": fact}, paths)
    assert LONG not in str(masked)
    weak = admitting(whole, paths)
    judge(weak, "there")
    assert is_valid(weak, masked), (weak, masked)
    assert is_valid(weak, {"fact": fact})
    assert not is_valid(weak, {"fact": spoiled})
    assert set(paths) <= set(secret_paths(weak))


def test_what_a_later_version_hides_may_be_masked_in_an_older_one() -> None:
    """Signals are masked by their name: what version 2 hides is hidden in signals of version 1."""
    first = document(key={"type": "string", "minLength": 20})
    assert not is_valid(first, {"key": MASK})
    assert is_valid(admitting(first, [("key",)]), {"key": MASK})


NAMES = st.sampled_from(["a", "b", "k1"])
PLAIN: list[dict[str, Any]] = [
    {"type": "integer", "minimum": 1}, {"type": "integer", "maximum": 1}, {"type": "string"}, {"minLength": 1},
    {"const": 1}, {"enum": ["", 2]}, {"required": ["a"]}, {"type": "array"}, {}, {"const": {"a": 1}},
    {"uniqueItems": True},
]  # fmt: skip
REFERRING = [{"$ref": f"#/$defs/{place}"} for place in ("deep", "again", "deep/properties/a")]


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists, objects = st.lists(inner, min_size=1, max_size=2), st.dictionaries(NAMES, inner, max_size=2)
    keys: dict[str, st.SearchStrategy[Any]] = {
        "oneOf": lists, "anyOf": lists, "allOf": lists, "not": inner, "if": inner, "then": inner, "else": inner,
        "items": inner, "contains": inner, "maxContains": st.just(1), "uniqueItems": st.just(True),
        "prefixItems": lists, "properties": objects, "additionalProperties": inner,
        "patternProperties": st.fixed_dictionaries({"^k": inner}), "unevaluatedProperties": st.just(False),
        "dependentSchemas": st.fixed_dictionaries({"a": inner}), "minLength": st.just(1),
    }  # fmt: skip
    some = st.lists(st.sampled_from(sorted(keys)), min_size=1, max_size=3, unique=True)
    return some.flatmap(lambda chosen: st.fixed_dictionaries({key: keys[key] for key in chosen}))


SCHEMAS = st.recursive(st.sampled_from(PLAIN), _larger, max_leaves=5)
FACTS = st.recursive(st.sampled_from([*PLAIN, *REFERRING]), _larger, max_leaves=6)
VALUES = st.recursive(
    st.sampled_from([0, 1, 2, "", "s", None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
PATHS = st.lists(st.lists(NAMES | st.just("*"), max_size=2).map(lambda steps: ("fact", *steps)), min_size=1, max_size=3)


@settings(max_examples=250, deadline=None)
@given(FACTS, SCHEMAS, SCHEMAS, PATHS, st.lists(VALUES, min_size=6, max_size=6))
def test_what_fits_a_contract_fits_it_masked(fact: Any, deep: Any, again: Any, paths: Any, values: list[Any]) -> None:
    """Whatever rules a person writes beside a secret, they must not make a recording worthless."""
    defs = {
        "deep": {"properties": {"a": {"$ref": "#/$defs/again"}}, "allOf": [deep]},
        "again": {"properties": {"b": {"$ref": "#/$defs/again"}}, **again},
    }
    whole = document(defs, fact=fact)
    weak = admitting(whole, paths)
    for value in values:
        if is_valid(whole, {"fact": value}):
            assert is_valid(weak, {"fact": value})
            assert is_valid(weak, mask({"fact": value}, paths)), (whole, value)
