"""Hears every signal, decides by the rules, emits what they say and tells why."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from services.policy_engine import reasoning
from services.policy_engine.history import History
from services.policy_engine.logic import timer_id
from services.policy_engine.memory import ASKED, MOST_STALE, OWED, TIMER, Memory, stale
from services.policy_engine.model import Decision, Outcome
from services.policy_engine.rulebook import Rulebook, rulebook
from services.policy_engine.telling import decided
from services.runtime import Daemon
from signals.envelope import Signal, rfc3339, to_dict, unix_seconds
from signals.errors import LigandError, PressureError

Emit = Callable[..., Signal]
ANSWERS = frozenset({"Q_MODEL_RESPONSE", "Q_MODEL_FAILED", "Q_MODEL_TIMEOUT"})
SWEEP_S = 60.0
STEP_BYTES = 256 * 1024
"""Of what timers owe, in one step: a settle carries four times as much."""
ASKED_FOR_S = 3600.0
TICK_S = 0.2
daemon = Daemon("policy_engine")


class _Desk:
    """What holds while the daemon runs."""

    book: Rulebook
    history: History
    told: set[str]
    words = ""
    swept = 0.0


desk = _Desk()


@daemon.on_start
async def prepare() -> None:
    """Read the rules, before anything is heard."""
    config = daemon.config
    folder = daemon.paths.state_of(daemon.name)  # not `state_dir`: without a history the rules act all the same
    desk.history = History(folder, config["history_bytes"], config["history_files"])
    desk.told = set()
    await reload()


@daemon.on_reload
async def reload() -> None:
    """Take new rules whole, or keep the old ones."""
    desk.book = _rules()
    if any(rule.choose for rule in desk.book.rules) and not desk.history.recent:
        _remember()
    _say()


def _remember() -> None:
    try:
        desk.history.remember()
    except OSError as error:  # a model is told less of the past; the rules act all the same
        daemon.log.warning("history_not_read", error=str(error))


@daemon.on_check
def _rules() -> Rulebook:
    """The rules as the files have them now; raises `ConfigError`."""
    return rulebook(daemon.paths, manifest=daemon.manifest, catalogue=daemon.catalogue)


def _say() -> None:
    modes = [rule.mode for rule in desk.book.rules]
    counts = ", ".join(f"{modes.count(mode)} {mode}" for mode in ("enforce", "shadow", "off") if mode in modes)
    daemon.log.info("rules", count=len(modes), modes=counts)
    desk.words = f"{len(modes)} rules: {counts}" if modes else "no rules"
    _show()


def _show() -> None:
    trouble = desk.history.trouble
    daemon.status("; ".join(filter(None, (trouble, desk.words))), degraded=bool(trouble))


def _keep() -> None:
    before = desk.history.trouble
    desk.history.flush()
    if desk.history.trouble != before:
        if desk.history.trouble:
            daemon.log.error("history_failed", error=desk.history.trouble)
        _show()


@daemon.on("Q_*")
async def decide(signal: Signal, emit: Emit, put: Callable[[str, Any], None]) -> None:
    """Decide on one signal; what is emitted and what is remembered are one step with its acknowledgement."""
    now, memory = unix_seconds(signal.received_at or signal.timestamp), Memory(daemon.state)
    if signal.signal == "Q_POLICY_DUE":
        memory = await _timers(max(now, unix_seconds(signal.facts["due_at"])))
        _timer(signal, memory, emit)
    elif desk.book.engine.hears(signal.signal) or signal.signal in ANSWERS:
        memory = await _timers(now)
        _event(signal, now, memory, emit)
    _sweep(now, memory)
    _keep()
    for name, value in memory.changes.items():
        put(name, value)


async def _timers(now: float) -> Memory:
    """Decide on the timers that are due, before what was received after them.

    What they owe is kept until their own signals come. What one settle could not carry is kept in steps before it: each
    timer is decided on by what is kept alone, so that a kill in between changes nothing.
    """
    while True:
        memory, size = Memory(daemon.state), 0
        for decision in desk.book.engine.due(now, memory):
            owed = decision.as_json()
            memory.put(owed, OWED, str(decision.due))
            size += len(orjson.dumps(owed, default=str))
            if size > STEP_BYTES:
                break
        else:
            return memory
        async with daemon.batch(memory.changes):
            pass


def _event(signal: Signal, now: float, memory: Memory, emit: Emit) -> None:
    engine, event = desk.book.engine, to_dict(signal)
    for decision in engine.on_event(event, now, memory):
        _carry_out(decision, signal, memory, emit)
    asked = memory.get(ASKED, signal.causation_id or "")
    if asked and "decision" in asked and signal.signal in ANSWERS:
        asked = {**asked, "event": memory.event_of(asked)}
        memory.put(None, ASKED, signal.causation_id or "")
        concluded = reasoning.concluded(engine, asked, event, now)
        if concluded is not None:
            _carry_out(concluded, signal, memory, emit)


def _timer(signal: Signal, memory: Memory, emit: Emit) -> None:
    """A timer's own signal came: all that was received before it was due has been decided on."""
    owed = memory.get(OWED, signal.facts["timer"])
    desk.told.discard(signal.facts["timer"])
    if owed is not None:
        memory.put(None, OWED, signal.facts["timer"])
        _carry_out(Decision.of_json(owed), signal, memory, emit)


def _carry_out(decision: Decision, signal: Signal, memory: Memory, emit: Emit) -> None:
    causes = [_cause(signal, cause) for cause in decision.causes if cause != signal.id]
    emitted: list[str] = []
    if decision.outcome is Outcome.FIRED:
        for name, facts in decision.actions:
            sent = emit(name, facts, because=causes)
            emitted.append(sent.id)
            _expect(decision, sent, memory)
    asked = _ask(decision, signal, memory, emit) if decision.outcome is Outcome.ASKED else None
    if decision.is_told:
        emit("Q_POLICY_DECIDED", decided(decision, emitted), because=causes)
    desk.history.add(decision, emitted, asked)
    if decision.outcome is Outcome.ERROR:
        daemon.log.warning("rule_failed", rule=decision.rule, cause=signal.id, error=decision.because[-1])


def _expect(decision: Decision, sent: Signal, memory: Memory) -> None:
    expects = daemon.catalogue[sent.signal].expects
    if expects is not None:
        until = decision.at + expects.deadline_s(sent.facts) + ASKED_FOR_S
        desk.book.engine.note_asked(decision.rule, sent.id, until, memory)


def _ask(decision: Decision, signal: Signal, memory: Memory, emit: Emit) -> str:
    rule, event = desk.book.engine.rules[decision.rule], to_dict(signal)
    past = list(desk.history.recent.get(rule.id, ()))
    facts = reasoning.request(rule, event, past[-rule.choose.history :] if rule.choose and rule.choose.history else [])
    sent = emit("Q_MODEL_REQUEST", facts)
    until = decision.at + facts["deadline_s"] + ASKED_FOR_S
    desk.book.engine.note_asked(rule.id, sent.id, until, memory, decision=decision.as_json(), event=event)
    return sent.id


def _sweep(now: float, memory: Memory) -> None:
    """Forget, within a settle, what bears on nothing any more; of very much only a part, and the rest with the next."""
    if now < desk.swept + SWEEP_S:
        return
    reach = {rule.id: rule.reach for rule in desk.book.rules}
    found = stale(daemon.state, now, reach)
    for name in found.keys() - memory.changes.keys():
        memory.put(None, name)
    if len(found) < MOST_STALE:
        desk.swept = now


@daemon.every(TICK_S)
async def tick() -> None:
    """Say which timers are due; they are decided when that comes back, after all that was received before."""
    if next(_waiting(daemon.state), None) is None:
        daemon.state_changed.clear()
        await daemon.state_changed.wait()
    for place, timer, rule, key, due, first in _waiting(daemon.state):
        if due > time.time() or timer in desk.told:
            continue
        facts = {"rule": rule, "key": key[:512], "timer": timer, "due_at": rfc3339(due), "trigger_id": first}
        desk.told.add(timer)
        try:
            await daemon.emit("Q_POLICY_DUE", facts, key=timer, because=[_cause(None, first)])
        except PressureError:
            desk.told.discard(timer)
            raise
        except LigandError as error:  # what it follows from is no longer in the journal: nothing can rest on it
            daemon.log.error("timer_given_up", rule=rule, cause=first, error=error.message)
            memory = Memory(daemon.state)
            memory.put(None, place)
            async with daemon.batch(memory.changes):
                pass


def _waiting(state: dict[str, Any]) -> Iterator[tuple[str, str, str, str, float, str]]:
    """Timers and what they owe: (its place, its name, rule, key, due, the id of the signal that began it)."""
    for name, kept in list(state.items()):
        kind, _, rest = name.partition("|")
        if kind == TIMER:
            rule = rest.partition("|")[0]
            yield name, timer_id(rule, kept), rule, kept["key"], kept["due"], kept["first"]
        elif kind == OWED:
            yield name, rest, kept["rule"], kept["key"], kept["at"], kept["signal_id"]


def _cause(like: Signal | None, signal_id: str) -> Signal:
    """A signal of which only the id is known: enough to be named as a cause."""
    source = like.source if like else "policy_engine"
    return Signal("Q_POLICY_DUE", signal_id, "", source, "", 1, {})
