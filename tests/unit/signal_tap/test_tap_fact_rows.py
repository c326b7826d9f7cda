"""The table of a signal's facts."""

from __future__ import annotations

from typing import Any

from tools.signal_tap.fact_rows import fact_rows

TEXT = {"type": "string"}


def document(properties: dict[str, Any], **defs: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": ["who"], "$defs": defs}


def test_a_fact_behind_a_reference_is_told_as_if_it_stood_there() -> None:
    """Who writes a handler must see what a fact is, and that it is a secret."""
    key = {"type": "string", "x-secret": True, "description": "A key."}
    server = {"type": "object", "properties": {"url": TEXT, "key": {"$ref": "#/$defs/key"}}, "required": ["url"]}
    found = document(
        {
            "who": {"$ref": "#/$defs/key", "description": "Whose."},
            "server": {"$ref": "#/$defs/server"},
            "others": {"type": "array", "items": {"$ref": "#/$defs/server"}},
            "lost": {"$ref": "#/$defs/nowhere"},
        },
        key=key,
        server=server,
    )
    assert list(fact_rows(found)) == [
        ("who", "string", "required, secret", "Whose."),
        ("server", "object", "", ""),
        ("server.url", "string", "required", ""),
        ("server.key", "string", "secret", "A key."),
        ("others", "array", "", ""),
        ("others[].url", "string", "required", ""),
        ("others[].key", "string", "secret", "A key."),
        ("lost", "any", "", ""),
    ]


def test_a_secret_of_one_alternative_is_marked() -> None:
    """It is masked wherever it is shown, so the table has to say so."""
    hidden = {"properties": {"token": {"x-secret": True}}}
    assert list(fact_rows(document({"token": TEXT}) | {"anyOf": [hidden, True]})) == [("token", "string", "secret", "")]


def test_a_part_that_refers_to_itself_ends() -> None:
    """A tree of parts has no end; its table has."""
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "n": {"type": ["integer", "null"]}}}
    rows = list(fact_rows(document({"first": {"$ref": "#/$defs/node"}, "kind": {"enum": ["a", "b"]}}, node=node)))
    assert [row[:2] for row in rows] == [
        ("first", "object"),
        ("first.next", "any"),
        ("first.n", "integer|null"),
        ("kind", "a|b"),
    ]
