"""What is heard, what is understood and what is said next, as plain decisions. Times are seconds since the epoch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Mode = Literal["gaze", "push_to_talk", "always"]
OWN_WORDS = 0.6
"""From this share of words on that it was just saying itself, an utterance is taken for its own voice."""
LISTEN_AT_MOST_S = 720.0
"""What may be asked for and the longest utterance; what goes beyond that, the clock was put back."""
ANSWER_S = 120.0
"""So long waits for its answer who has asked to be listened to."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


@dataclass(slots=True)
class Attention:
    """Whether it was given attention, by a glance or by a person's request to listen; nothing else gives it.

    A glance counts until it is taken back, `at_most_s` at the longest: an observer that has died takes nothing back.
    """

    mode: Mode
    at_most_s: float
    gained_at: float | None = None
    listen_until: float = 0.0
    answer_until: float = 0.0

    def gained(self, at: float) -> None:
        """Somebody looked here."""
        self.gained_at = at

    def lost(self) -> None:
        """Nobody looks here any more, or nobody can tell."""
        self.gained_at = None

    def listen(self, until: float) -> None:
        """A person has asked it to listen."""
        self.listen_until = max(until, self.listen_until)

    def speaking(self, until: float, now: float) -> None:
        """A person who was asked to speak does so: hear them out."""
        if self.listen_until > now:
            self.listen_until = max(until, self.listen_until)

    def answered(self, now: float) -> None:
        """What the person had to say was heard; who has asked to be listened to waits for an answer."""
        if self.listen_until > 0.0:
            self.answer_until = now + ANSWER_S
        self.listen_until = 0.0

    def hears_answers(self, now: float) -> bool:
        """Whether somebody is there to be told something."""
        return self.until(now) is not None or self.answer_until > now

    def until(self, now: float) -> float | None:
        """When attention ends by itself; None when there is none now."""
        if self.mode == "always":
            return float("inf")
        ends = [self.listen_until if self.listen_until <= now + LISTEN_AT_MOST_S else 0.0]
        if self.mode == "gaze" and self.gained_at is not None and self.gained_at <= now + 1.0:
            ends.append(self.gained_at + self.at_most_s)
        last = max(ends)
        return last if last > now else None


# -- what is understood ------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower().replace("’", "'"))


def word_errors(reference: Sequence[str], heard: Sequence[str]) -> int:
    """The least number of words put in, left out or exchanged that makes one of the other (Levenshtein distance)."""
    row = list(range(len(heard) + 1))
    for i, expected in enumerate(reference, 1):
        before, row[0] = row[0], i
        for j, word in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (expected != word))
    return row[-1]


def agree(command: str, free: str, at_most: float) -> bool:
    """Whether a command is what was said: what was heard without the grammar differs in `at_most` errors a word."""
    reference = words(command)
    return bool(reference) and word_errors(reference, words(free)) <= at_most * len(reference)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a recogniser made of one utterance; `confidence` is 0 to 1, `command` a sentence of the person's own."""

    text: str
    confidence: float
    command: bool = False


def choose(free: Heard, command: str, disagreement: float) -> Heard:
    """The command where both passes agree, else what was heard freely.

    `disagreement` is the most errors a word. A command is as sure as its words are shared, and surer than chance.
    """
    if not command or not agree(command, free.text, disagreement):
        return free
    reference = words(command)
    shared = 1 - word_errors(reference, words(free.text)) / len(reference)
    return Heard(command, round(0.5 + max(0.0, shared) / 2, 3), True)


def is_own_voice(heard: str, said: Iterable[str]) -> bool:
    """Whether an utterance is what it says aloud itself: most of its words, in that order, are in one of `said`."""
    mine = words(heard)
    return any(_common(mine, words(text)) >= OWN_WORDS * len(mine) for text in said) if mine else False


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for j, candidate in enumerate(other, 1):
            before, row[j] = row[j], before + 1 if word == candidate else max(row[j], row[j - 1])
    return row[-1]


# -- what is said ------------------------------------------------------------------------------------

ORDER = {"now": 0, "when_attended": 1, "never_interrupt": 2}


@dataclass(frozen=True, slots=True)
class Saying:
    """A text that waits to be said. `asked_at` and `until` in seconds since the epoch."""

    id: str
    text: str
    urgency: str
    asked_at: float
    until: float
    voice: str = ""

    @classmethod
    def of(cls, signal_id: str, kept: Mapping[str, Any]) -> Saying:
        """From what was kept of it."""
        return cls(signal_id, kept["text"], kept["urgency"], kept["asked_at"], kept["until"], kept.get("voice", ""))


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stand now: whether a person attends, and whether one is speaking."""

    now: float
    attended: bool
    person_speaks: bool


def may_say(one: Saying, moment: Moment) -> bool:
    """Whether a text may be said at this moment: `now` always, the others only when no person is speaking."""
    if one.urgency == "now":
        return True
    if moment.person_speaks:
        return False
    return moment.attended or one.urgency == "never_interrupt"


def next_to_say(waiting: Iterable[Saying], moment: Moment) -> Saying | None:
    """What is said next: the most urgent, of these the oldest; None when nothing may be said now."""
    fit = [one for one in waiting if one.until > moment.now and may_say(one, moment)]
    return min(fit, key=lambda one: (ORDER[one.urgency], one.asked_at, one.id), default=None)


def overtakes(other: Saying, current: Saying) -> bool:
    """Whether the one that is being said makes room: only for what must be said at once."""
    return other.urgency == "now" and current.urgency != "now"


# -- how it fares ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trouble:
    """What it cannot do, why, and what a person can do about it."""

    reason: str
    hint: str


def told(troubles: Iterable[Trouble]) -> Trouble | None:
    """All troubles in one, as they are told; None when there is none."""
    found = list(dict.fromkeys(troubles))
    if not found:
        return None
    hints = dict.fromkeys(one.hint for one in found)
    return Trouble("; ".join(one.reason for one in found)[:512], " ".join(hints)[:1024])
