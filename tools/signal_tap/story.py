"""A story as a tree of causes: what followed from what, and how long each step took. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.text import Text
from rich.tree import Tree

from tools.signal_tap.lines import LEAST_FACTS, all_of
from tools.signal_tap.rendering import Painter
from tools.text import clean, key_facts, seconds_text, shorten

Envelope = Mapping[str, Any]
GUIDE = 4  # columns a level of the tree takes
NARROWEST = 24
BETWEEN = "  "


@dataclass(slots=True)
class Step:
    """One signal of a story. `latency_s` counts from the arrival of its cause to its own; None at a root."""

    envelope: Envelope
    latency_s: float | None = None
    next: list[Step] = field(default_factory=list)
    dead: list[Envelope] = field(default_factory=list)


def steps(story: Iterable[Envelope], dead: Iterable[Envelope] = ()) -> list[Step]:
    """The roots of a story whose signals come in order; one whose cause is not among them stands as a root."""
    by_id: dict[str, Step] = {}
    roots: list[Step] = []
    for envelope in story:
        cause = by_id.get(str(envelope.get("causation_id")))
        step = Step(envelope, _seconds_between(cause.envelope, envelope) if cause else None)
        (cause.next if cause else roots).append(step)
        by_id.setdefault(str(envelope["id"]), step)
    for letter in dead:
        signal = letter.get("signal") or {}
        found = by_id.get(str(signal.get("id"))) or by_id.get(str(signal.get("causation_id")))
        if found:
            found.dead.append(letter)
    return roots


def walk(roots: Iterable[Step]) -> Iterator[Step]:
    """Every step, each after its cause."""
    todo = list(roots)[::-1]
    while todo:
        step = todo.pop()
        yield step
        todo += reversed(step.next)


def _seconds_between(cause: Envelope, effect: Envelope) -> float:
    return max(0.0, _arrived(effect) - _arrived(cause))


def _arrived(envelope: Envelope) -> float:
    return datetime.fromisoformat(str(envelope.get("received_at") or envelope["timestamp"])).timestamp()


def took_s(story: Iterable[Envelope]) -> float:
    """Seconds from the first to the last arrival of a story."""
    times = [_arrived(envelope) for envelope in story]
    return max(times) - min(times) if times else 0.0


def draw(roots: Sequence[Step], painter: Painter, marked: str | None = None) -> str:
    """The tree as text; `marked` is the id of the signal that was asked for."""
    tree = Tree(_headline(roots, painter), guide_style="bright_black", highlight=False)
    todo = [(tree, step, 1) for step in reversed(roots)]
    deepest = 1
    while todo:
        parent, step, depth = todo.pop()
        deepest = max(deepest, depth)
        room = max(painter.width - GUIDE * depth, NARROWEST)
        branch = parent.add(_label(step, painter, step.envelope["id"] == marked, room))
        for letter in step.dead:
            branch.add(_dead_label(letter, None if painter.full else room - GUIDE))
        todo += [(branch, following, depth + 1) for following in reversed(step.next)]
    return painter.draw(tree, GUIDE * deepest + NARROWEST)


def _headline(roots: Sequence[Step], painter: Painter) -> Text:
    if not roots:
        return Text("nothing of this story is kept", style="bright_black")
    first = roots[0].envelope
    named = Text(f"story {first.get('correlation_id')}", style="bold")
    return side_by_side([named, Text(painter.moment(first.get("received_at")), style="bright_black")], painter.width)


def _label(step: Step, painter: Painter, marked: bool, room: int) -> Text:
    envelope = painter.masker.envelope(step.envelope)
    name = clean(envelope["signal"])
    parts = [
        Text.assemble(("▶ " if marked else "", "bold"), (name, painter.style(name) or "")),
        Text(f"#{envelope.get('seq')} {clean(envelope['source'])}", style="bright_black"),
    ]
    if step.latency_s is not None:
        parts.append(Text(f"+{seconds_text(step.latency_s)}", style="yellow"))
    if note := held_back(envelope):
        parts.append(Text(note, style="bold yellow"))
    if envelope.get("also_caused_by"):
        parts.append(Text(f"also from {len(envelope['also_caused_by'])} more", style="bright_black"))
    facts = envelope.get("facts")
    said = all_of(facts) if painter.full else key_facts(facts, max(painter.width - 30, LEAST_FACTS))
    return side_by_side(parts, room).append(f"\n{said}")


def side_by_side(parts: Sequence[Text], width: int) -> Text:
    """Parts in lines of at most `width` columns; a line is broken between them, where they are no wider themselves."""
    text, used = Text(overflow="fold"), 0
    for part in parts:
        fits = used + len(BETWEEN) + part.cell_len <= width
        text.append(BETWEEN if fits and used else "\n" if used else "").append_text(part)
        used = part.cell_len + (used + len(BETWEEN) if fits and used else 0)
    return text


def held_back(envelope: Envelope) -> str | None:
    """What a decision held back: `suppressed` or `shadow`, if it did."""
    facts = envelope.get("facts")
    outcome = facts.get("outcome") if isinstance(facts, Mapping) else None
    return outcome if outcome in ("suppressed", "shadow") else None


def headline_of(letter: Envelope) -> str:
    """A dead letter in one line: what, why, at whom."""
    who = clean(letter.get("consumer") or letter.get("daemon"))
    what = f"dead letter {letter.get('dead_letter_id')}: {clean(letter.get('reason'))} at {who}"
    if not letter.get("consumer"):
        what += f", {clean(str((letter.get('signal') or {}).get('signal'))[:80])} was refused"
    attempts = letter.get("attempts") or 0
    what += f" after {attempts} attempt{'s' * (attempts != 1)}" if attempts else ""
    return what + ("" if letter.get("status") == "dead" else f" ({clean(letter.get('status'))})")


def _dead_label(letter: Envelope, room: int | None) -> Text:
    error = clean(str(letter.get("error"))[:2000])
    error = error if room is None else shorten(error, room)
    return Text(f"{headline_of(letter)}\n{error}", style="red", overflow="fold")
