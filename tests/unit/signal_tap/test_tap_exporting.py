"""Chosen fields, CSV, graphs and lines: safe and whole, whatever a fact holds."""

from __future__ import annotations

import csv
import io
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from signals.catalogue import Catalogue
from tools.signal_tap.conditions import value_at
from tools.signal_tap.exporting import cell, csv_line, pruned
from tools.signal_tap.graph import dot, mermaid
from tools.signal_tap.rendering import FORMATS, Painter
from tools.signal_tap.story import steps

CATALOGUE = Catalogue.load()
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
STEERING = set("\x00\x07\x08\x0b\x0c\r\x1b\x7f\x85\x9b\u202e\u2028")


def envelope(number: int = 1, cause: int | None = None, **fields: Any) -> dict[str, Any]:
    found = {
        "seq": number,
        "signal": "Q_SPEAK",
        "id": f"id-{number}",
        "correlation_id": "id-1",
        "source": "chain",
        "host": "here",
        "received_at": f"2026-03-01T08:00:0{number}.000000Z",
        "facts": {},
        **fields,
    }
    return found | ({"causation_id": f"id-{cause}"} if cause else {})


@given(TEXT, TEXT, TEXT)
def test_no_form_but_json_on_a_pipe_carries_what_steers_a_terminal(text: str, source: str, name: str) -> None:
    """A fact from the web must not reach the terminal as a command, in any form."""
    raw = orjson.dumps(
        envelope(signal=name, source=source, host=text, taint=[text], facts={text or "k": text, "n": [text]})
    )
    painter = Painter(CATALOGUE, terminal=True, width=120)
    for form in FORMATS:
        shown = painter.shower(form)(raw).decode()
        assert not STEERING & set(shown), form
        assert "\n" not in shown or form == "json-pretty"


@given(TEXT, st.integers(1, 160))
def test_a_short_line_fits_the_terminal(text: str, width: int) -> None:
    """Characters that take two columns count as two."""
    raw = orjson.dumps(envelope(facts={"text": text + "漢字" * 40}))
    assert cell_len(Painter(CATALOGUE, width=width).short(raw).decode()) <= width


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_csv_comes_back_as_it_was_written(texts: list[str]) -> None:
    """Quotation marks, commas and line breaks in facts stay in their cell."""
    cells = [cell(text) for text in texts]
    rows = list(csv.reader(io.StringIO(csv_line(cells).decode()), strict=True))
    assert (rows or [[""]]) == [cells]


def test_fields_stay_in_their_places() -> None:
    """A program that reads `facts.a` finds it under `facts` still."""
    whole = envelope(facts={"a": {"b": 1}, "c": [5, 6]})
    assert pruned(whole, [("seq",), ("facts", "a", "b"), ("facts", "x"), ("facts", "c", "1")]) == {
        "seq": 1,
        "facts": {"a": {"b": 1}, "c": {"1": 6}},
    }
    assert pruned(whole, [("facts",), ("facts", "a")]) == {"facts": whole["facts"]}
    assert value_at(whole, ("facts", "c", "0")) == 5


def test_a_graph_has_every_step_cause_and_dead_letter() -> None:
    """Two causes are two arrows; a dead letter stands out; nobody's text ends a label."""
    story = [
        envelope(1),
        envelope(2, 1),
        envelope(3, 1, also_caused_by=["id-2"], signal='Q"]-->x', facts={"outcome": "shadow"}),
    ]
    dead = [
        {
            "dead_letter_id": 4,
            "reason": "poison",
            "consumer": "c",
            "error": 'a"b\\',
            "status": "dead",
            "signal": story[1],
        }
    ]
    roots = steps(story, dead)
    drawn = mermaid(roots)
    assert drawn.count("-->|") == 2
    assert "n2 -.-> n3" in drawn or "n3 -.-> n2" in drawn
    assert ":::dead" in drawn
    assert "shadow" in drawn
    assert 'Q"]' not in drawn
    graph = dot(roots)
    assert graph.count("->") >= 4
    assert 'a\\"b\\\\' in graph
    assert "style=dashed" in graph
