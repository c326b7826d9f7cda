"""The one readable summary at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import indent

from signals.paths import Paths
from tools.demo.checks import MODULE, Check, entry_text, registry_of
from tools.demo.stories import Story
from tools.signal_tap.rendering import Painter
from tools.signal_tap.story import draw, steps, took_s
from tools.text import clean, clean_lines, seconds_text


def summary(
    paths: Paths, painter: Painter, stories: Sequence[Story], checks: Sequence[Check], spent_s: float
) -> Iterator[str]:
    """The summary in pieces: what was integrated, what refused, why, and whether every claim held."""
    found, phantom, broken, question = stories
    yield heading(painter, "Integrated")
    yield f"{found.file}: {said(found)}"
    yield indent(clean_lines(entry_text(registry_of(paths), MODULE)) or "(no entry)", "  ")
    yield heading(painter, "Refused, and why")
    for story in (phantom, question):
        yield f"{story.file}: {said(story)}"
    yield f"{broken.file}: {said(broken)}"
    yield indent(first_lines(broken), "  ")
    yield heading(painter, "Why: the story of the first intent")
    yield draw(steps(found.envelopes), painter)
    yield f"from the intent to the entry: {seconds_text(took_s(found.envelopes))}"
    yield heading(painter, "Checked on disk")
    yield from verdict(painter, checks, spent_s)


def verdict(painter: Painter, checks: Sequence[Check], spent_s: float) -> Iterator[str]:
    """Each claim with whether it held, and the sum of them."""
    for check in checks:
        mark = painter.paint("ok    ", "green") if check.holds else painter.paint("FAILED", "red")
        yield f"  {mark} {check.claim}"
    failed = sum(not check.holds for check in checks)
    outcome = f"{failed} of {len(checks)} claims did not hold" if failed else f"all {len(checks)} claims hold"
    yield f"\n{outcome}; {seconds_text(spent_s)} in all"


def heading(painter: Painter, text: str) -> str:
    """A line above a part."""
    return painter.paint(f"\n== {text} ==", "cyan")


def said(story: Story) -> str:
    """How a story ended, in the words of its last signal."""
    if story.end is None:
        return "its story did not end in time"
    facts = story.end["facts"]
    words = ": ".join(clean(facts[key]) for key in ("reason", "detail") if key in facts)
    return f"{story.end['signal']} {words}".rstrip()


def first_lines(story: Story) -> str:
    """The .error file's own words, without its example."""
    text = story.beside.read_text() if story.beside else "(no .error file)"
    return clean_lines(text.split("\n\nAn intent that is accepted")[0])
