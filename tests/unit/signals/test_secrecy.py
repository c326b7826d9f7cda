"""Wherever a contract marks a fact as secret, the fact is masked; a mark that could not be heeded is refused."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from signals.catalogue import judge
from signals.errors import ContractError
from signals.explaining import explain
from signals.masking import MASK, literals, mask
from signals.secrecy import secret_paths

KEY: dict[str, Any] = {"type": "string", "x-secret": True}
ASIDE = r"propertyNames: a secret cannot be masked here"


def document(defs: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Q_KEY_TOLD",
        "description": "A key.",
        "type": "object",
        "properties": {name: {"description": name, **part} for name, part in properties.items()},
        "additionalProperties": False,
        "examples": [{}],
        "x-ligand": {"kind": "advisory", "version": 1, "counter_examples": [{"facts": {"x": 1}, "why": "unknown"}]},
        **({"$defs": defs} if defs else {}),
    }


@pytest.mark.parametrize(
    ("part", "facts", "masked"),
    [
        (KEY, "s", MASK),
        ({"type": "array", "items": KEY}, ["s", "s"], [MASK, MASK]),
        ({"type": "array", "prefixItems": [{"type": "integer"}, KEY], "items": False}, [1, "s"], [MASK, MASK]),
        ({"anyOf": [{"type": "null"}, KEY]}, "s", MASK),
        ({"$ref": "#/$defs/key"}, "s", MASK),
        ({"$ref": "#/$defs/ring"}, {"keys": ["s"]}, {"keys": [MASK]}),
        ({"type": "object", "x-open": "any", "additionalProperties": KEY}, {"a": "s"}, {"a": MASK}),
        ({"type": "object", "x-open": "any", "patternProperties": {"^k": KEY}}, {"k1": "s"}, {"k1": MASK}),
        ({"$ref": "#/$defs/either/anyOf/1"}, "s", MASK),
        ({"$ref": "#/$defs/a%20key"}, "s", MASK),
    ],
)
def test_a_mark_is_heeded_wherever_it_stands(part: dict[str, Any], facts: Any, masked: Any) -> None:
    """A contract that puts its secret into a list or behind a `$ref` must not have it shown on every screen."""
    ring = {"type": "object", "properties": {"keys": {"type": "array", "items": KEY, "description": "k"}}}
    defs = {"key": KEY, "a key": KEY, "either": {"anyOf": [{"type": "null"}, KEY]}}
    whole = document({**defs, "ring": {**ring, "additionalProperties": False}}, fact=part)
    judge(whole, "here")
    paths = list(secret_paths(whole))
    assert mask({"fact": facts}, paths) == {"fact": masked}
    assert "s" in [word for path in paths for word in literals({"fact": facts}, path)]


@pytest.mark.parametrize(
    ("whole", "says"),
    [
        (document() | {"x-secret": True}, r"\$\.x-secret: cannot be masked here"),
        (document(fact={"type": "array", "items": {"not": KEY, "type": "integer"}}), "cannot be masked here"),
        (
            document(
                {
                    "node": {
                        "type": "object",
                        "properties": {
                            "key": {**KEY, "description": "k"},
                            "next": {"$ref": "#/$defs/node", "description": "n"},
                        },
                        "additionalProperties": False,
                    }
                },
                fact={"$ref": "#/$defs/node"},
            ),
            "not every depth can be masked",
        ),
        (
            document({"key": KEY}, fact={"type": "object", "x-open": "k", "propertyNames": {"$ref": "#/$defs/key"}}),
            ASIDE,
        ),
        (
            document({"key": {**KEY, "$anchor": "k"}}, fact={"$ref": "#k"}),
            r"fact\.\$ref: leads nowhere, or by an anchor",
        ),
        (
            document({"key": {**KEY, "$dynamicAnchor": "k"}}, fact={"type": "string", "$dynamicRef": "#k"}),
            "by an anchor",
        ),
    ],
)
def test_a_mark_that_cannot_be_heeded_is_refused(whole: dict[str, Any], says: str) -> None:
    """Who marks a secret relies on it; better no contract than one whose secret is shown."""
    with pytest.raises(ContractError, match=says):
        judge(whole, "here")


def test_a_secret_is_not_copied_into_a_time_out_that_shows_it() -> None:
    """The bus itself would give the secret away when nobody answers."""
    asked = document(key=KEY)
    asked["x-ligand"]["expects"] = {"answers": ["Q_A"], "within_s": 1, "timeout": "Q_T", "copy": ["key"]}
    late = document(key={"type": "string"}, waited_s={"type": "number"}, expected={"type": "array"})
    with pytest.raises(ContractError, match="key is secret here; mark it x-secret in Q_T too"):
        judge(asked, "here", {"Q_A": late, "Q_T": late})
    late["properties"]["key"] = {**KEY, "description": "k"}
    judge(asked, "here", {"Q_A": late, "Q_T": late})


def test_an_error_names_nothing_of_a_secret_not_even_its_keys() -> None:
    """Facts that do not fit are told of in logs and dead letters."""
    part = {"type": "object", "x-open": "k", "additionalProperties": {"type": "integer"}, "x-secret": True}
    whole = document(fact=part)
    error = explain("Q_KEY_TOLD", whole, list(secret_paths(whole)), Draft202012Validator(whole), {"fact": {"s4": "s5"}})
    assert (error.path, "s4" in error.message, "s5" in error.message) == ("$.facts.fact", False, False)
