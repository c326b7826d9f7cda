"""What rules would have done in the past: the journal's signals through the engine, with the journal's own time.

Ids are derived as the frame derives them, so that an action which rules would repeat has the id it really had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import Any

from services.policy_engine.logic import Engine, Envelope
from services.policy_engine.memory import Memory
from services.policy_engine.model import Decision, Outcome
from signals.catalogue import Catalogue
from signals.envelope import rfc3339, unix_seconds
from signals.ids import derive, keyed

DAEMON = "policy_engine"
OWN = frozenset({"Q_POLICY_DECIDED", "Q_POLICY_DUE"})


@dataclass(frozen=True, slots=True, order=True)
class Act:
    """A signal that the engine emitted, or would have. `at` is RFC 3339."""

    at: str
    rule: str
    signal: str
    trigger: str
    id: str


def really(envelopes: Iterable[Envelope]) -> Iterator[Act]:
    """What the engine did by its rules alone: its signals, each with the rule that Q_POLICY_DECIDED names for it."""
    sent: dict[str, Envelope] = {}
    for envelope in envelopes:
        if envelope["source"] != DAEMON:
            continue
        if envelope["signal"] != "Q_POLICY_DECIDED":
            sent[envelope["id"]] = envelope
            continue
        facts = envelope["facts"]
        for name in facts["emitted"]:
            if (one := sent.pop(name, None)) is not None and facts["mode"] == "rules":
                yield Act(one["received_at"], facts["rule"], one["signal"], facts["trigger_id"], name)


def refused(letters: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The ids of what the engine emitted and the bus refused as a loop; `letters` are dead letters."""
    emitted = (letter["signal"] for letter in letters if letter["reason"] == "loop" and letter["daemon"] == DAEMON)
    return frozenset(str(envelope["id"]) for envelope in emitted if isinstance(envelope, Mapping))


class Simulation:
    """An engine in the past. Models are not asked, so a rule that asks one does nothing here."""

    def __init__(self, engine: Engine, catalogue: Catalogue) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._state: dict[str, Any] = {}

    def run(self, envelopes: Iterable[Envelope]) -> Iterator[Act]:
        """What the engine would have done on these signals, in their order."""
        for envelope in envelopes:
            now = unix_seconds(envelope["received_at"])
            yield from self._step(partial(self._engine.due, now), None)
            if envelope["signal"] in OWN:
                continue
            yield from self._step(partial(self._engine.on_event, envelope, now), envelope)

    def finish(self, now: float) -> Iterator[Act]:
        """The timers that are due by `now`, after the last signal."""
        yield from self._step(partial(self._engine.due, now), None)

    def _step(self, decide: Callable[[Memory], Iterable[Decision]], envelope: Envelope | None) -> Iterator[Act]:
        memory = Memory(self._state)
        counts: dict[tuple[str, str], int] = {}
        for decision in decide(memory):
            if decision.outcome is Outcome.FIRED:
                cause = keyed(DAEMON, str(decision.due)) if decision.due else str(envelope and envelope["id"])
                yield from self._acts(decision, cause, counts, memory)
        for name, value in memory.changes.items():
            if value is None:
                self._state.pop(name, None)
            else:
                self._state[name] = value

    def _acts(
        self, decision: Decision, cause: str, counts: dict[tuple[str, str], int], memory: Memory
    ) -> Iterator[Act]:
        for name, facts in decision.actions:
            nth = counts.get((cause, name), 0)
            counts[cause, name] = nth + 1
            found = derive(cause, DAEMON, 0, name, nth)
            expects = self._catalogue[name].expects
            if expects is not None:
                until = decision.at + expects.deadline_s(dict(facts)) + 3600.0
                self._engine.note_asked(decision.rule, found, until, memory)
            yield Act(rfc3339(decision.at), decision.rule, name, decision.signal_id, found)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Actions that both have, that only the candidate has, that only happened, and that the bus stopped."""

    same: tuple[Act, ...]
    gained: tuple[Act, ...]
    lost: tuple[Act, ...]
    stopped: tuple[Act, ...] = ()


def compared(happened: Iterable[Act], would: Iterable[Act], stopped: Set[str] = frozenset()) -> Comparison:
    """What changes: an action is the same when it has the same id, or the same rule, trigger and signal.

    `stopped` are the ids of what was tried in the past and never reached anybody.
    """
    left, same, gained = {act.id: act for act in happened}, [], []
    rest, ended = [], []
    for act in would:
        if act.id in stopped:
            ended.append(act)
        elif left.pop(act.id, None):
            same.append(act)
        else:
            rest.append(act)
    by_place: dict[tuple[str, str, str], list[str]] = {}
    for act in left.values():
        by_place.setdefault((act.rule, act.trigger, act.signal), []).append(act.id)
    for act in rest:
        twins = by_place.get((act.rule, act.trigger, act.signal))
        if twins:
            del left[twins.pop()]
            same.append(act)
        else:
            gained.append(act)
    return Comparison(tuple(same), tuple(gained), tuple(left.values()), tuple(ended))


def tried(engine: Engine, example: Mapping[str, Any], envelope: Envelope, rule: str) -> str:
    """How one rule answers one of its own examples, in a blank state."""
    memory = Memory({})
    if example.get("asked_by"):
        engine.note_asked(example["asked_by"], str(envelope["causation_id"]), 4e9, memory)
    found = [d for d in engine.on_event(envelope, unix_seconds(envelope["received_at"]), memory) if d.rule == rule]
    fires = (Outcome.FIRED, Outcome.WOULD_FIRE, Outcome.ASKED)
    return "fires" if found and found[0].outcome in fires else str(found[0].outcome) if found else "off"
