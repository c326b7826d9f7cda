"""Wherever a contract marks a fact as secret, the fact is masked; a mark that could not be heeded is refused."""

from __future__ import annotations

from typing import Any

import pytest

from signals.catalogue import judge
from signals.errors import ContractError
from signals.masking import MASK, literals, mask
from signals.secrecy import secret_paths

KEY: dict[str, Any] = {"type": "string", "x-secret": True}


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
    ],
)
def test_a_mark_is_heeded_wherever_it_stands(part: dict[str, Any], facts: Any, masked: Any) -> None:
    """A contract that puts its secret into a list or behind a `$ref` must not have it shown on every screen."""
    ring = {"type": "object", "properties": {"keys": {"type": "array", "items": KEY, "description": "k"}}}
    whole = document({"key": KEY, "ring": {**ring, "additionalProperties": False}}, fact=part)
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
    ],
)
def test_a_mark_that_cannot_be_heeded_is_refused(whole: dict[str, Any], says: str) -> None:
    """Who marks a secret relies on it; better no contract than one whose secret is shown."""
    with pytest.raises(ContractError, match=says):
        judge(whole, "here")
