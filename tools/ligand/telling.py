"""A story in sentences: who did what because of what, what was given up, and what it still waits for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from signals.catalogue import Catalogue
from tools.ligand.following import READY, REJECTED, gist, outcome
from tools.text import clean, key_facts, seconds_text, shorten

Envelope = Mapping[str, Any]
LONGEST = 400
PROPOSED = "Q_DEPLOYMENT_PROPOSED"
ASKED = "  <- the signal you asked about"


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells one story. `signals` in order and already masked; `waits` says of a signal who has yet to handle it."""

    catalogue: Catalogue
    signals: Sequence[Envelope]
    dead: Sequence[Mapping[str, Any]]
    waits: Callable[[Envelope], Sequence[str]]
    asked: str | None = None

    def sentences(self) -> Iterator[str]:
        """The whole story."""
        by_id = {str(each["id"]): each for each in self.signals}
        for nth, envelope in enumerate(self.signals):
            if self._is_word_of_a_letter(envelope):
                continue
            cause = by_id.get(str(envelope.get("causation_id")))
            told = self._root(envelope) if cause is None else self._step(envelope, cause, self.signals[nth - 1])
            yield _sentence(told) + (ASKED if self.asked == envelope["id"] and len(self.signals) > 1 else "")
            yield from (_given_up(letter) for letter in self.dead if _is_of(letter, envelope))
        yield from self._ending()
        taint = sorted({clean(label) for each in self.signals for label in each.get("taint") or ()})
        if taint:
            yield f"Untrusted content came in from: {', '.join(taint)}."

    def _root(self, envelope: Envelope) -> str:
        facts, source = envelope["facts"], str(envelope["source"])
        when = f"{_local(envelope):On %Y-%m-%d at %H:%M:%S}"
        if envelope.get("causation_id"):
            what = f"(its cause is no longer kept) {clean(source)} emitted {_named(envelope)}{_about(facts)}"
        elif envelope["signal"] == READY:
            kind = f"{clean(facts['intent_type'])}, priority {clean(facts['priority'])}"
            what = f"the file {clean(facts['file'])} was dropped ({kind}), and {clean(source)} took it up"
        elif envelope["signal"] == REJECTED:
            what = f"the file {clean(facts['file'])} was dropped, and {clean(source)} refused it{_about(facts)}"
        elif source.startswith("person@"):
            what = f"{clean(source.removeprefix('person@'))} emitted {_named(envelope)}{_about(facts)}"
        else:
            what = f"{clean(source)} emitted {_named(envelope)} of its own accord{_about(facts)}"
        return f"{when}, {what}"

    def _step(self, envelope: Envelope, cause: Envelope, before: Envelope) -> str:
        later = seconds_text(max(0.0, (_local(envelope) - _local(cause)).total_seconds()))
        source, name = clean(envelope["source"]), clean(cause["signal"])
        about = _about(envelope["facts"])
        contract = self.catalogue.get(cause["signal"])
        if contract is not None and contract.expects and contract.expects.timeout == envelope["signal"]:
            return f"Nobody answered {name} in time, so after {later} the bus emitted {_named(envelope)}{about}"
        to = "that" if cause is before else f"{name} (#{cause.get('seq')})"
        if cause["signal"] == READY:
            return f"{source} passed it on as {_named(envelope)}{about}"
        if cause["source"] == envelope["source"]:
            return f"{later} after {to}, {source} also emitted {_named(envelope)}{about}"
        return f"{later} after {to}, {source} answered it with {_named(envelope)}{about}"

    def _ending(self) -> Iterator[str]:
        if not self.signals:
            yield "Nothing of this story is kept any more."
            return
        ends = [each for each in self.signals if self._is_end(each)]
        causes = {each.get("causation_id") for each in self.signals}
        leaves = [each for each in self.signals if each["id"] not in causes and not self._is_end(each)]
        waiting = [f"{clean(leaf['signal'])} (#{leaf.get('seq')}) {who}" for leaf in leaves for who in self.waits(leaf)]
        if waiting:
            yield f"It is not over: {'; '.join(waiting)}."
        elif ends:
            took = seconds_text(max(0.0, (_local(self.signals[-1]) - _local(self.signals[0])).total_seconds()))
            yield f"So it ended after {took}: {', '.join(dict.fromkeys(outcome(end['signal']) for end in ends))}."
        elif any(letter.get("status") == "dead" for letter in self.dead):
            yield "There it stopped."
        elif not any(leaf.get("expires_at") for leaf in leaves):
            yield "Everyone who was to hear of it has; nothing more is expected."
        for leaf in leaves:
            if leaf.get("expires_at"):
                until = _at(str(leaf["expires_at"]))
                yield f"{_named(leaf)} counts until {until:%H:%M:%S}: who has not taken it up by then is not given it."
            if leaf["signal"] == PROPOSED and leaf["facts"].get("mode") == "ask":
                yield f"A person decides on it: `ligand deploy show {clean(leaf['facts'].get('deployment_id'))}`."

    def _is_word_of_a_letter(self, envelope: Envelope) -> bool:
        """Whether it only says what the dead letter itself, which is told, says better."""
        number = envelope["facts"].get("dead_letter_id")
        told = {letter.get("dead_letter_id") for letter in self.dead}
        return envelope["signal"] == "Q_DEAD_LETTER_ADDED" and number in told

    def _is_end(self, envelope: Envelope) -> bool:
        contract = self.catalogue.get(envelope["signal"])
        return contract is not None and contract.terminal


def _named(envelope: Envelope) -> str:
    return f"{clean(envelope['signal'])} (#{envelope.get('seq')})"


def _about(facts: Any) -> str:
    """`: what it says`, in a sentence where the facts have one, else as key=value."""
    if not isinstance(facts, Mapping) or not facts:
        return ""
    words = clean(gist(facts) or facts.get("question") or "") or key_facts(facts, 160)
    evidence = facts.get("evidence")
    more = f" [evidence: {len(evidence)}]" if isinstance(evidence, list) and evidence else ""
    return f": {shorten(words.rstrip('. '), LONGEST)}{more}"


def _sentence(words: str) -> str:
    """With a full stop, unless it ends with a mark of its own."""
    return words if words.endswith(("?", "!", "…")) else f"{words}."


def _is_of(letter: Mapping[str, Any], envelope: Envelope) -> bool:
    return bool((letter.get("signal") or {}).get("id") == envelope["id"])


def _given_up(letter: Mapping[str, Any]) -> str:
    who, reason = clean(letter.get("consumer") or letter.get("daemon")), clean(letter.get("reason"))
    attempts, number = letter.get("attempts") or 0, letter.get("dead_letter_id")
    tries = f" after {attempts} attempt{'s' * (attempts != 1)}" if attempts else ""
    what = f"{who} gave up on it{tries} ({reason}): {shorten(clean(letter.get('error')), LONGEST).rstrip('. ')}."
    if letter.get("status") == "dead":
        return f"{what} Another chance, once mended: signal-tap dead replay {number}."
    return f"{what} That dead letter was {clean(letter.get('status'))}."


def _local(envelope: Envelope) -> datetime:
    return _at(str(envelope.get("received_at") or envelope["timestamp"]))


def _at(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp).astimezone()


def words_for(consumers: Iterable[tuple[str, str]]) -> list[str]:
    """(consumer, how it stands) as parts of a sentence."""
    return [f"waits for {consumer}, {state}" for consumer, state in consumers]
