"""The tree of causes, and what it hides."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import orjson
import pytest

from signals.catalogue import Catalogue
from signals.masking import MASK, Masker, mask
from tools.signal_tap.rendering import Painter
from tools.signal_tap.story import draw, steps, took_s


def envelope(number: int, cause: int | None = None, **fields: Any) -> dict[str, Any]:
    found = {
        "seq": number,
        "signal": f"Q_STEP_{number}",
        "id": f"id-{number}",
        "correlation_id": "id-1",
        "source": "chain",
        "received_at": f"2026-03-01T08:00:0{number}.000000Z",
        "facts": {"n": number},
        **fields,
    }
    return found | ({"causation_id": f"id-{cause}"} if cause else {})


def test_each_step_stands_below_its_cause() -> None:
    """The tree is the answer to why."""
    story = [envelope(1), envelope(2, 1), envelope(3, 1), envelope(5, 2)]
    (root,) = steps(story)
    assert [step.envelope["seq"] for step in root.next] == [2, 3]
    assert root.latency_s is None
    assert root.next[0].next[0].latency_s == 3.0
    assert took_s(story) == 4.0


def test_a_step_whose_cause_is_gone_is_still_shown() -> None:
    """After retention took the root, the rest of the story remains."""
    assert [step.envelope["seq"] for step in steps([envelope(4, 2), envelope(5, 4)])] == [4]


def test_dead_letters_stand_below_their_signal() -> None:
    """What failed is in the same picture."""
    letter = {
        "dead_letter_id": 7,
        "reason": "rejected",
        "consumer": "chain",
        "attempts": 2,
        "error": "\x1b[2Jno",
        "status": "replayed",
        "signal": envelope(2, 1),
    }
    drawn = draw(steps([envelope(1), envelope(2, 1)], [letter]), Painter(Catalogue.load()))
    assert "dead letter 7: rejected at chain after 2 attempts (replayed)\n" in drawn
    assert "\\x1b[2Jno" in drawn
    assert "\x1b" not in drawn


@pytest.mark.parametrize("outcome", ["suppressed", "shadow"])
def test_what_a_policy_held_back_is_said_at_its_place(outcome: str) -> None:
    """Nothing happened, and the tree must say that it was meant so."""
    decided = envelope(2, 1, signal="Q_POLICY_DECIDED", facts={"policy": "quiet", "outcome": outcome})
    drawn = draw(steps([envelope(1), decided]), Painter(Catalogue.load(), colour=True))
    assert f"  \x1b[1;33m{outcome}" in drawn
    acted = decided | {"facts": {"policy": "quiet", "outcome": "acted"}}
    assert "\x1b[1;33m" not in draw(steps([envelope(1), acted]), Painter(Catalogue.load(), colour=True))


def test_a_number_and_its_unit_stay_together_where_it_is_narrow() -> None:
    """`+142` at the end of a line and `ms` on the next is read as something else."""
    story = [envelope(1, received_at="2026-03-01T08:00:01.000000Z")]
    story += [envelope(2, 1, received_at="2026-03-01T08:00:01.142000Z", also_caused_by=["a"], source="s" * 19)]
    for width in range(40, 80):
        drawn = draw(steps(story), Painter(Catalogue.load(), width=width, zone=UTC))
        assert all(each in drawn for each in ("+142 ms", "#2 sss", "also from 1 more", "03-01 08:00:01.000"))
        assert max(map(len, drawn.splitlines())) <= max(width, 42)  # what is asked about is not cut


def test_a_long_story_is_drawn() -> None:
    """A chain of a thousand steps must not exhaust the stack."""
    story = [envelope(1, received_at="2026-03-01T08:00:00Z")]
    story += [envelope(n, n - 1, received_at="2026-03-01T08:00:00Z") for n in range(2, 100)]
    story += [envelope(n, 1, received_at="2026-03-01T08:00:00Z") for n in range(100, 1000)]
    painter = Painter(Catalogue.load())
    assert draw(steps(story), painter).count("Q_STEP_") == 999


def test_secret_facts_are_masked_wherever_they_stand() -> None:
    """A token in a contract's secret field must not reach a screen or a log."""
    facts = {"token": "t", "users": [{"name": "a", "key": "k"}, "odd"], "plain": 1}
    masked = mask(facts, [("token",), ("users", "*", "key"), ("absent", "deep")])
    assert masked == {"token": MASK, "users": [{"name": "a", "key": MASK}, "odd"], "plain": 1}
    assert facts["token"] == "t"
    assert mask("not an object", [("token",)]) == "not an object"


def test_without_secrets_bytes_stay_as_they_are() -> None:
    """JSON output is what was journaled, byte for byte."""
    raw = b'{ "signal":"Q_SPEAK", "facts" : {} }'
    assert Masker(Catalogue.load().versions.values()).raw(raw) is raw


def test_a_short_line() -> None:
    """Time, number, name, source and facts are there to read."""
    painter = Painter(Catalogue.load(), zone=UTC)
    line = painter.short(orjson.dumps(envelope(2, taint=["file"]))).decode()
    assert line == "03-01 08:00:02.000       2 Q_STEP_2                   chain                n=2 !file"
