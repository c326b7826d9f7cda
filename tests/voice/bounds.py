"""What `python -m tests.voice` must keep to; it ends with status 1 where it does not."""

from __future__ import annotations

from collections.abc import Iterator

TOLD_AN_HOUR = {"silence": 0, "white": 0, "brown": 0, "music": 0, "babble": 10}
"""Words that may be imagined in an hour of a sound."""
WRONG = {
    ("commands", None): 0.1,
    ("commands", 15.0): 0.5,
    ("free speech", None): 0.15,
    ("free speech", 15.0): 0.6,
}
"""Word error rates by what is said, and by how many decibels noise is quieter; a little above what was measured."""


def of_sound(kind: str, words: int, minutes: int) -> Iterator[str]:
    """The bound that so many words of so many minutes pass."""
    allowed = TOLD_AN_HOUR[kind] * minutes / 60
    if words > allowed:
        yield f"{words} words told in {minutes} min of {kind}, more than {allowed:g}"


def of_speech(name: str, decibels: float | None, rate: float) -> Iterator[str]:
    """The bound that a word error rate passes."""
    if rate > WRONG[name, decibels]:
        yield f"word error rate of {name} {rate:.3f}, more than {WRONG[name, decibels]:g}"


def of_others(commands: int) -> Iterator[str]:
    """The bound that commands pass which were heard in what is none."""
    if commands > 0:
        yield f"{commands} false commands, where there may be none"
