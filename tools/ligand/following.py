"""The story of one dropped file, from the router's first signal to the end of each of its branches. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from signals.catalogue import Catalogue
from tools.cli import NOTHING, OK, TIMED_OUT

Envelope = Mapping[str, Any]
READY, REJECTED = "Q_INTENT_READY", "Q_INTENT_REJECTED"


@dataclass(slots=True)
class Story:
    """What is known of the file `file` by now. A branch is one signal that it was routed to, and what follows."""

    file: str
    catalogue: Catalogue
    signals: list[Envelope] = field(default_factory=list)
    ends: list[Envelope] = field(default_factory=list)
    given_up: list[Mapping[str, Any]] = field(default_factory=list)
    _branch: dict[str, str] = field(default_factory=dict)
    _closed: set[str] = field(default_factory=set)

    @property
    def id(self) -> str | None:
        """The story's id, once it began."""
        return str(self.signals[0]["correlation_id"]) if self.signals else None

    def take(self, envelope: Envelope) -> bool:
        """Note a signal, in the order of the journal; whether it belongs here."""
        if not self.signals:
            if envelope["signal"] not in (READY, REJECTED) or envelope["facts"].get("file") != self.file:
                return False
        elif envelope["correlation_id"] != self.id:
            return False
        self.signals.append(envelope)
        branch = self._branch_of(envelope)
        contract = self.catalogue.get(envelope["signal"])
        if contract is not None and contract.terminal:
            self.ends.append(envelope)
            self._closed.add(branch)
        return True

    def _branch_of(self, envelope: Envelope) -> str:
        root, own = str(self.signals[0]["id"]), str(envelope["id"])
        cause = str(envelope.get("causation_id") or root)
        branch = own if cause == root else self._branch.get(cause, own)
        return self._branch.setdefault(own, branch)

    def take_dead(self, letters: Iterable[Mapping[str, Any]]) -> None:
        """Note the dead letters of the story: a branch without an end in which one stands has failed."""
        known = {letter["dead_letter_id"] for letter in self.given_up}
        for letter in letters:
            branch = self._branch.get(str((letter.get("signal") or {}).get("id")))
            if (
                letter["dead_letter_id"] not in known
                and letter["status"] == "dead"
                and branch
                not in {
                    None,
                    *self._closed,
                }
            ):
                self.given_up.append(letter)
                self._closed.add(str(branch))

    @property
    def is_over(self) -> bool:
        """Whether every branch has come to its end."""
        if not self.signals:
            return False
        root = self.signals[0]
        if root["signal"] == REJECTED:
            return True
        return len(self._closed - {str(root["id"])}) >= len(root["facts"]["routed_to"])

    @property
    def answers(self) -> list[Envelope]:
        """What was found out on the way; the ends after it may only say what was not done with it."""
        return [one for one in self.signals if one["facts"].get("summary") and "findings" in one["facts"]]

    def exit_code(self) -> int:
        """0: each branch ended well; 1: one was refused or failed; 27: one got no answer in time."""
        if self.given_up or any(self._is_failure(end) for end in self.ends):
            return NOTHING
        return TIMED_OUT if any(_is_timeout(end) for end in self.ends) else OK

    def _is_failure(self, end: Envelope) -> bool:
        return self.catalogue[end["signal"]].kind == "error" and not _is_timeout(end)


def _is_timeout(end: Envelope) -> bool:
    return str(end["signal"]).endswith("_TIMEOUT")


def outcome(signal: str) -> str:
    """What the end of a story means in a word, from the last one of the signal's name."""
    words = {"TIMEOUT": "timed out", "REJECTED": "refused", "COMPLETE": "done"}
    last = signal.rpartition("_")[2]
    return words.get(last, last.lower())


def gist(facts: Mapping[str, Any]) -> str:
    """What facts say in a sentence: the reason and its detail, else a summary; empty when neither is there."""
    parts = [str(facts[key]) for key in ("reason", "detail") if facts.get(key)]
    if not parts:
        parts = [str(facts[key]) for key in ("summary", "message", "text", "capability_key") if facts.get(key)][:1]
    return ": ".join(parts)
