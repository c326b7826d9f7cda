"""Whatever the facts are, a refusal is one SchemaError with a place; never a crash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from signals.catalogue import Catalogue, Contract
from signals.errors import SchemaError

CATALOGUE = Catalogue.load()
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    LEAVES,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=9), v, max_size=3),
    max_leaves=8,
)


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[Contract, dict[str, Any]]:
    """A contract and one of its examples in which a few fields were replaced, removed or added."""
    contract = draw(st.sampled_from(list(CATALOGUE.values())))
    facts = dict(draw(st.sampled_from(contract.examples)))
    names = st.sampled_from(sorted(contract.schema["properties"])) | st.text(max_size=9)
    for name in draw(st.lists(names, max_size=3)):
        facts.pop(name, None)
        if draw(st.booleans()):
            facts[name] = draw(JSON)
    return contract, facts


@given(spoiled())
@settings(max_examples=150, deadline=None)
def test_every_refusal_has_a_place(case: tuple[Contract, dict[str, Any]]) -> None:
    """A daemon would end on odd facts, or refuse them without saying where."""
    contract, facts = case
    if contract.is_valid(facts):
        contract.check(facts)
        return
    with pytest.raises(SchemaError) as caught:
        contract.check(facts)
    assert caught.value.path.startswith("$.facts")
    assert caught.value.expected
    assert len(caught.value.message) < 2000


@given(spoiled())
@settings(max_examples=150, deadline=None)
def test_pruned_facts_have_no_unknown_field(case: tuple[Contract, dict[str, Any]]) -> None:
    """After a rollback a signal would still be refused for what is merely new."""
    contract, facts = case
    pruned, dropped = contract.prune(facts)
    errors = Draft202012Validator(contract.schema).iter_errors(pruned)
    assert not [error for error in errors if error.validator == "additionalProperties"]
    assert bool(dropped) == (pruned is not facts)
    assert repr(contract.prune(pruned)) == repr((pruned, ()))  # by repr, as NaN is unlike itself
