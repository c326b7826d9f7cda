"""Decisions: what each rule makes of a signal. Pure: no bus, no files, no clock but the journal's own time.

A timer's time counts in the journal's time too: what was received before it is due is heard before it, and what came
after is not, however late either is handled. So a replay of the journal decides as it was decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.policy_engine.acting import Check, built
from services.policy_engine.expressions import Environment, Expression, ExpressionError
from services.policy_engine.memory import (
    ASKED,
    ENTRY,
    LIMIT,
    MAX_ASKED,
    MAX_KEPT,
    MAX_TIMERS,
    MAX_WAITED_ON,
    TIMER,
    Memory,
    short,
)
from services.policy_engine.model import Action, Decision, Outcome, Rule, Trace, brief, shown, span

MAX_KEY = 200
"""Characters of a key as it is kept; what is longer has a digest at its end."""
Envelope = Mapping[str, Any]


class Engine:
    """The rules, ready to decide. Its methods change nothing but the `Memory` they are given."""

    def __init__(self, rules: Sequence[Rule], environment: Environment, check: Check) -> None:
        self.rules = {rule.id: rule for rule in rules if rule.mode != "off"}
        self._environment = environment
        self._check = check
        self._by_signal: dict[str, list[Rule]] = {}
        self._by_absence: dict[str, list[Rule]] = {}
        for rule in self.rules.values():
            for signal in rule.signals:
                self._by_signal.setdefault(signal, []).append(rule)
            if rule.absent:
                self._by_absence.setdefault(rule.absent.signal, []).append(rule)

    def hears(self, signal: str) -> bool:
        """Whether any rule is about this signal."""
        return signal in self._by_signal or signal in self._by_absence

    def on_event(self, event: Envelope, now: float, memory: Memory) -> list[Decision]:
        """What follows from a signal that was received at `now`; timers that were due by then come first."""
        decisions = list(self.due(now, memory))
        asked = memory.get(ASKED, event.get("causation_id") or "")
        scope = self._environment.scope(event, asked["rule"] if asked else "")
        for rule in self._by_absence.get(str(event["signal"]), ()):
            self._came(rule, scope, memory)
        rules = self._by_signal.get(str(event["signal"]), ())
        return [*decisions, *(self._evaluate(rule, event, scope, now, memory) for rule in rules)]

    def due(self, now: float, memory: Memory) -> Iterator[Decision]:
        """The timers whose time has come, in the order of their times; each is decided on when it is taken."""
        found = [(timer["due"], name) for name, timer in memory.each(TIMER) if timer["due"] <= now]
        for at, name in sorted(found):
            decision = self._time_is_up(name, at, memory)
            if decision is not None:
                yield decision

    def scope(self, event: Envelope) -> dict[str, Any]:
        """What expressions see of a signal."""
        return self._environment.scope(event)

    def note_asked(self, rule: str, request: str, until: float, memory: Memory, **more: Any) -> None:
        """Remember which rule made a request, so that its answer is known as such."""
        kept = list(memory.each(ASKED))
        if len(kept) >= MAX_ASKED or (kept and memory.waited_on >= MAX_WAITED_ON):
            oldest = min(kept, key=lambda item: item[1]["until"])
            memory.put(None, ASKED, oldest[0])
        memory.put({"rule": rule, "until": until, **more}, ASKED, request)

    # -- one rule, one signal ------------------------------------------------------------------------

    def _evaluate(self, rule: Rule, event: Envelope, scope: Mapping[str, Any], now: float, memory: Memory) -> Decision:
        signal, whole = str(event["signal"]), {"event": scope}
        blank = Decision(rule.id, Outcome.NO_MATCH, signal, str(event["id"]), now, file=rule.file, line=rule.line)
        blank = replace(blank, causes=(blank.signal_id,))
        try:
            key = shown_key(rule.key.value(whole)) if rule.key else ""
        except ExpressionError as error:
            return self._failed(blank, f"key: {error}", memory)
        traces = tuple(_traced(name, expression, whole) for name, expression in rule.when)
        blank = replace(blank, key=key, traces=traces, because=tuple(trace.words() for trace in traces))
        broken = [trace for trace in traces if trace.error]
        if broken:
            return self._failed(blank, broken[0].words(), memory)
        false = [trace for trace in traces if trace.value is not True]
        if false:
            return self._not_met(rule, blank, false, memory)
        return self._met(rule, blank, event, scope, memory)

    def _not_met(self, rule: Rule, blank: Decision, false: list[Trace], memory: Memory) -> Decision:
        ended = rule.hold and memory.get(TIMER, rule.id, short(blank.key)) is not None
        if ended:
            memory.put(None, TIMER, rule.id, short(blank.key))
        because = (*blank.because, "what it waited for has ended") if ended else blank.because
        needed = tuple(f"{trace.name}: {trace.expression} to be true" for trace in false)
        return replace(blank, because=because, needed=needed)

    def _met(self, rule: Rule, blank: Decision, event: Envelope, scope: Mapping[str, Any], memory: Memory) -> Decision:
        now, known = blank.at, memory.get(ENTRY, rule.id, short(blank.key))
        if known is None and memory.is_full:
            said = f"{MAX_KEPT:,} keys are remembered already; give it a coarser key, or a shorter cooldown"
            return self._failed(blank, said, memory)
        entry = {"cooldown": 0.0, "count": [], "told": [], **(known or {})}
        entry["last"] = now
        if rule.count is not None:
            try:
                counting = _count(rule, blank, entry, {"event": scope}, now)
            except ExpressionError as error:
                return self._failed(blank, f"distinct: {error}", memory)
            memory.put(entry, ENTRY, rule.id, short(blank.key))
            if counting is not None:
                return counting
        if rule.wait and entry["cooldown"] <= now + rule.wait:
            return self._arm(rule, blank, entry, event, memory)
        return self._trigger(rule, blank, entry, {"event": scope}, memory)

    def _trigger(
        self, rule: Rule, blank: Decision, entry: dict[str, Any], scope: Mapping[str, Any], memory: Memory
    ) -> Decision:
        """Everything is met: fire, unless cooldown or limit forbid it."""
        now = blank.at
        if entry["cooldown"] > now:
            left = entry["cooldown"] - now
            ago = span(rule.cooldown - left) if left <= rule.cooldown else "a while"
            said = f"the last one was {ago} ago; cooldown is {span(rule.cooldown)}"
            held = replace(blank, outcome=Outcome.SUPPRESSED, needed=(f"{span(left)} more",))
            return self._held(rule, held, said, entry, memory)
        fired = memory.get(LIMIT, rule.id) or []
        if rule.limit:
            fired = [at for at in fired if at > now - rule.limit.per]
            if len(fired) >= rule.limit.max:
                left = fired[0] + rule.limit.per - now
                said = f"it has fired {len(fired)} times in the last {span(rule.limit.per)}; the limit is that"
                held = replace(blank, outcome=Outcome.LIMITED, needed=(f"{span(left)} more",))
                return self._held(rule, held, said, entry, memory)
        try:
            actions = self.actions(rule.do, scope)
        except ExpressionError as error:
            return self._failed(blank, str(error), memory)
        entry |= {"cooldown": now + rule.cooldown, "count": [], "told": [], "last": now}
        memory.put(entry, ENTRY, rule.id, short(blank.key))
        memory.put([*fired, now] if rule.limit else None, LIMIT, rule.id)
        outcome = Outcome.FIRED if rule.mode == "enforce" else Outcome.WOULD_FIRE
        if rule.choose:
            outcome = Outcome.ASKED
        because = blank.because or (f"{blank.signal} came",)
        needed = () if rule.mode == "enforce" else (f"mode: enforce (ligand policy promote {rule.id})",)
        return replace(blank, outcome=outcome, because=because, needed=needed, actions=actions)

    def actions(self, given: Sequence[Action], scope: Mapping[str, Any]) -> tuple[tuple[str, dict[str, Any]], ...]:
        """The signals and facts of a firing. Raises `ExpressionError` for what no signal, or no settle, could carry."""
        return built(given, scope, self._check)

    def _held(self, rule: Rule, blank: Decision, said: str, entry: dict[str, Any], memory: Memory) -> Decision:
        """Not fired though all is met; said on the bus once until it fires again."""
        again = blank.outcome in entry["told"]
        entry["told"] = sorted({*entry["told"], blank.outcome})
        memory.put(entry, ENTRY, rule.id, short(blank.key))
        return replace(blank, because=(*blank.because, said), again=again)

    def _failed(self, blank: Decision, said: str, memory: Memory) -> Decision:
        entry = {"cooldown": 0.0, "count": [], "told": [], **(memory.get(ENTRY, blank.rule, short("")) or {})}
        again = Outcome.ERROR in entry["told"]
        entry |= {"told": sorted({*entry["told"], Outcome.ERROR}), "last": blank.at}
        memory.put(entry, ENTRY, blank.rule, short(""))
        return replace(
            blank, outcome=Outcome.ERROR, because=(*blank.because, said), needed=("the rule to be mended",), again=again
        )

    # -- timers --------------------------------------------------------------------------------------

    def _arm(self, rule: Rule, blank: Decision, entry: dict[str, Any], event: Envelope, memory: Memory) -> Decision:
        place = (TIMER, rule.id, short(blank.key if rule.hold else f"{blank.key}|{blank.signal_id}"))
        timer = memory.get(*place)
        if timer is None and (full := _no_room(memory)):
            held = replace(blank, outcome=Outcome.LIMITED, needed=("fewer timers",))
            return self._held(rule, held, full, entry, memory)
        if timer is None:
            timer = {"due": blank.at + rule.wait, "first": blank.signal_id, "key": blank.key}
        memory.put({**timer, "event": event}, *place)
        what = f"still true in {span(rule.hold)}" if rule.hold else f"no {rule.absent.signal if rule.absent else ''}"
        needed = (f"{what} until {span(max(0.0, timer['due'] - blank.at))} from then",)
        return replace(blank, outcome=Outcome.ARMED, needed=needed, due=timer_id(rule.id, timer))

    def _came(self, rule: Rule, other: Mapping[str, Any], memory: Memory) -> None:
        """What a rule's timers wait for in vain has come: forget those it answers."""
        assert rule.absent is not None
        for name, timer in list(memory.each(TIMER)):
            if name.partition("|")[0] != rule.id:
                continue
            scope = {"event": self._environment.scope(memory.event_of(timer)), "other": other}
            try:
                answered = rule.absent.where is None or rule.absent.where.value(scope) is True
            except ExpressionError:  # it cannot be told: then it did not come
                answered = False
            if answered:
                memory.put(None, TIMER, name)

    def _time_is_up(self, name: str, at: float, memory: Memory) -> Decision | None:
        timer = memory.get(TIMER, name)
        event = memory.event_of(timer)
        memory.put(None, TIMER, name)
        rule = self.rules.get(name.partition("|")[0])
        if rule is None:
            return None
        causes = tuple(dict.fromkeys((timer["first"], str(event["id"]))))
        scope = {"event": self._environment.scope(event)}
        traces = tuple(_traced(name, expression, scope) for name, expression in rule.when)
        waited = f"it still held after {span(rule.hold)}"
        if rule.absent:
            waited = f"no {rule.absent.signal} came within {span(rule.absent.within)}"
        blank = Decision(
            rule.id, Outcome.ARMED, str(event["signal"]), timer["first"], at, key=timer["key"], traces=traces,
            because=(*(trace.words() for trace in traces), waited), due=timer_id(rule.id, timer), causes=causes,
            file=rule.file, line=rule.line,
        )  # fmt: skip
        entry = {"cooldown": 0.0, "count": [], "told": [], **(memory.get(ENTRY, rule.id, short(timer["key"])) or {})}
        return self._trigger(rule, blank, entry, scope, memory)


def timer_id(rule: str, timer: Mapping[str, Any]) -> str:
    """What a timer is called: the same however often it is told, another for each arming."""
    return f"{timer['first']}|{rule}|{short(timer['key'])}|{timer['due']:.6f}"


def _traced(name: str, expression: Expression, scope: Mapping[str, Any]) -> Trace:
    seen = {path: brief(value) for path, value in expression.seen(scope).items()}
    try:
        return Trace(name, expression.text, expression.value(scope), None, seen)
    except ExpressionError as error:
        return Trace(name, expression.text, None, str(error), seen)


def _count(rule: Rule, blank: Decision, entry: dict[str, Any], scope: Mapping[str, Any], now: float) -> Decision | None:
    """Count this one; None when there are enough. Raises `ExpressionError`."""
    assert rule.count is not None
    what = shown_key(rule.count.distinct.value(scope)) if rule.count.distinct else blank.signal_id
    kept = [one for one in entry["count"] if one[0] > now - rule.count.within and one[1] != what]
    entry["count"] = [*kept, [now, what]][-rule.count.at_least :]
    have, want = len(entry["count"]), rule.count.at_least
    if have >= want:
        return None
    said = f"{have} of {want} within {span(rule.count.within)}"
    return replace(blank, outcome=Outcome.COUNTING, because=(*blank.because, said), needed=(f"{want - have} more",))


def _no_room(memory: Memory) -> str:
    """Why nothing more may wait; empty while it may."""
    if sum(1 for _ in memory.each(TIMER)) >= MAX_TIMERS:
        return f"{MAX_TIMERS} timers run already"
    return "" if memory.waited_on < MAX_WAITED_ON else f"{MAX_WAITED_ON >> 20} MiB of signals are waited on already"


def shown_key(value: Any) -> str:
    """A key as text: short, for it is kept, and another for each value."""
    text = value if isinstance(value, str) else shown(value)
    return text if len(text) <= MAX_KEY else f"{text[:MAX_KEY]}…{short(text)}"
