"""What the bus does now and then: retention, pressure, lag, and noting who was there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from services.bus.clock import WallClock
from services.bus.core import Core
from services.bus.lanes import Lane
from services.bus.records import Aside

DAY_S = 86_400.0
GONE_AFTER_S = 14 * DAY_S
SEEN_S = 3600.0
PRUNE_STEP = 500
PRESSURE_STEP = 200
QUIET_S = 4.0
CALM_AT, BURY_AT, REFUSE_AT = 0.85, 0.90, 0.95


@dataclass(frozen=True, slots=True)
class Limits:
    """Retention and pressure. Sizes in bytes, times in seconds."""

    budget_bytes: int
    keep_s: float
    lag_signals: int
    lag_age_s: float
    dead_budget_bytes: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Limits:
        """From the bus's configuration."""
        kept = config["retention"]
        return cls(
            budget_bytes=int(kept["bytes"]),
            keep_s=float(kept["days"]) * DAY_S,
            lag_signals=int(config["lag"]["signals"]),
            lag_age_s=float(config["lag"]["age_s"]),
            dead_budget_bytes=int(kept["dead_letter_bytes"]),
        )


class Housekeeping:
    """Small steps between turns, so that nobody waits for them."""

    def __init__(self, core: Core, limits: Limits) -> None:
        self._core = core
        self._state = core.state
        self.limits = limits
        self.wall_clock = WallClock()
        kept = core.state.store
        self._lagging: set[str] = set(orjson.loads(kept.meta("lagging", "[]")))
        self._pressed: str | None = kept.meta("pressed") or None
        """What was last told, also before a restart: else nobody would hear of its end."""
        self._buried = False
        self._pruned_at = core.state.head
        self._asked_before_us = 0
        self._next = {"prune": 0.0, "lag": 0.0, "time": 0.0, "sessions": 0.0, "seen": 0.0, "dead": 0.0, "clock": 0.0}

    def step(self) -> None:
        """Do what is due; all of it goes with the next commit."""
        now = time.monotonic()
        if self._due("sessions", now, 5.0):
            self._core.attaching.drop_silent()
        if self._due("seen", now, SEEN_S):
            self._core.attaching.note_seen()
        if self._due("clock", now, 5.0) and self.wall_clock.was_set():
            self._state.store.put_seen(self._state.lanes, time.time())  # by the clock of before, nobody can tell
        if self._due("time", now, 5.0):
            self._core.keep_time()
        if self._due("lag", now, 5.0):
            self._watch_lag()
        if self._due("dead", now, 600.0) or self._state.dead.file_bytes() > self.limits.dead_budget_bytes * 1.1:
            self._prune_dead()
        grown = self._state.head - self._pruned_at
        rest = 0.0 if grown or self._pressed else QUIET_S
        if now >= self._next["prune"] + rest or grown >= PRUNE_STEP:
            self._next["prune"] = now + 1.0
            if self._prune():
                self._next["prune"] = 0.0  # more waits: go on in the next turn

    def due_now(self, what: str) -> None:
        """Do `what`, one of those in `_next`, with the next step, whenever it would have been due."""
        self._next[what] = 0.0

    def _due(self, what: str, now: float, every: float) -> bool:
        if now < self._next[what]:
            return False
        self._next[what] = now + every
        return True

    # -- retention -----------------------------------------------------------------------------------

    def prune_before(self, before_us: int) -> int:
        """From the next step on, prune what was received before a time (Unix microseconds) and nobody needs.

        Returns the highest `seq` that nobody needs any more.
        """
        self._asked_before_us = max(self._asked_before_us, before_us)
        self._next["prune"] = 0.0
        return self._needed_from() - 1

    def _prune(self) -> bool:
        """Prune one step by age and size; at pressure, make room. True when there may be more to do."""
        core, state, budget = self._core, self._state, self.limits.budget_bytes
        self._pruned_at = state.head
        more = self._forget() >= PRUNE_STEP
        used = state.used_bytes()
        if used >= budget * BURY_AT and self._bury_oldest(int(used - budget * CALM_AT)):
            core.commit()
            self._forget()
            used, more = state.used_bytes(), True
        self._press(used)
        state.store.give_back_pages()
        return more

    def _forget(self) -> int:
        """Delete a step of the oldest signals, if they are too old or too many; how many that were."""
        state, gone = self._state, self._forgettable()
        if gone:
            self._core.expiry.give_up(gone[-1])
            state.store.prune(gone[-1])
            state.deadlines.forget(gone[-1])
        return len(gone)

    def _forgettable(self) -> list[int]:
        state, limits = self._state, self.limits
        free_to, oldest = self._needed_from() - 1, state.store.oldest()
        if oldest is None or oldest[0] > free_to:
            return []
        before = max(self._older_than_us(limits.keep_s), self._asked_before_us)
        if oldest[1] < before:
            return state.store.oldest_of(free_to, before, PRUNE_STEP)
        if state.used_bytes() > limits.budget_bytes * CALM_AT:
            return state.store.oldest_of(free_to, None, PRUNE_STEP)
        return []

    def _older_than_us(self, age_s: float) -> int:
        """The time (Unix microseconds) that is so long ago; 0, before everything, while the clock is not sure."""
        return int((time.time() - age_s) * 1e6) if self.wall_clock.is_sure() else 0

    def _needed_from(self) -> int:
        """The lowest `seq` that a living consumer still needs."""
        state = self._state
        seen = {key: at for key, (_, at) in state.store.cursors().items()}
        limit = self._older_than_us(GONE_AFTER_S) / 1e6
        living = [
            lane
            for key, lane in state.lanes.items()
            if seen.get(key, 0.0) >= limit or state.sessions.of(lane.spec.daemon)
        ]
        for lane in living:
            state.skim(lane)
        awaited = state.deadlines.oldest() or state.head + 1
        return min([awaited, *(lane.needs_from() for lane in living)])

    # -- pressure ------------------------------------------------------------------------------------

    def _press(self, used: int) -> None:
        """At 95 % refuse roots; speak when that, or the burying at 90 %, begins and ends."""
        state, budget = self._state, self.limits.budget_bytes
        full = used >= budget * REFUSE_AT
        state.refusing_roots = _full_words(used, budget) if full else None
        if full:
            action: str | None = "refusing_roots"
        elif self._buried or used >= budget * BURY_AT or (self._pressed and used > budget * CALM_AT):
            action = "burying"
        else:
            action = None
        self._buried = False
        if action != self._pressed:
            self._pressed = action
            state.store.put_meta("pressed", action or "")
            self._tell_pressure(used, action)

    def _tell_pressure(self, used: int, action: str | None) -> None:
        words = {"refusing_roots": "refusing_roots", "burying": "dead_lettering", None: "relieved"}
        facts = {"used_bytes": used, "budget_bytes": self.limits.budget_bytes, "action": words[action]}
        self._core.journaling.own("Q_JOURNAL_PRESSURE", facts, [])

    def _bury_oldest(self, wanted_bytes: int) -> bool:
        """Dead-letter the oldest signals of the consumer that is furthest behind, until that frees enough."""
        state = self._state
        lanes = [lane for lane in state.lanes.values() if state.lag_of(lane)]
        if not lanes:
            return False
        lane = min(lanes, key=Lane.needs_from)
        letters, freed = [], 0
        for seq, raw, aside in self._oldest_of(lane):
            if freed >= wanted_bytes:
                break
            letters.append(self._core.burying.for_pressure(lane, seq, raw, aside))
            freed += len(raw)
        self._core.burying.tell_pressure(lane, letters)
        self._buried = self._buried or freed > 0
        return freed > 0

    def _oldest_of(self, lane: Lane) -> Iterator[tuple[int, bytes, Aside]]:
        state = self._state
        lane.keep_copies()
        state.touched.add(lane)
        for seq in sorted(lane.asides.keys() - lane.in_hand.keys())[:PRESSURE_STEP]:
            raw = lane.asides[seq].envelope or state.store.envelope(seq)
            if raw is not None:
                yield seq, raw, lane.asides[seq]
        rows, _ = state.store.page(lane.cursor, lane.spec.names, PRESSURE_STEP, 1 << 60)
        for seq, name, raw in rows:
            if state.belongs(lane, name, raw):
                yield seq, raw, Aside(seq)

    # -- lag -----------------------------------------------------------------------------------------

    def _watch_lag(self) -> None:
        """Speak when a consumer falls behind, and when it has caught up or is gone; not in between."""
        for key, lane in self._state.lanes.items():
            lag, age = self._state.lag_of(lane), self._state.oldest_age_s(lane) or 0.0
            behind = lag > self.limits.lag_signals or (lag > 0 and age > self.limits.lag_age_s)
            caught_up = lag <= self.limits.lag_signals / 2 and age <= self.limits.lag_age_s / 2
            if behind and key not in self._lagging:
                self._tell_lag("Q_CONSUMER_LAGGING", key, lag, age)
            elif caught_up and key in self._lagging:
                self._tell_lag("Q_CONSUMER_RECOVERED", key, lag, age)
        for key in self._lagging - self._state.lanes.keys():
            self._tell_lag("Q_CONSUMER_RECOVERED", key, 0, 0.0)

    def _tell_lag(self, name: str, consumer: str, lag: int, age_s: float) -> None:
        self._lagging ^= {consumer}
        self._state.store.put_meta("lagging", orjson.dumps(sorted(self._lagging)).decode())
        self._core.journaling.own(name, {"consumer": consumer, "lag": lag, "oldest_age_s": age_s}, [])

    # -- dead letters --------------------------------------------------------------------------------

    def _prune_dead(self) -> None:
        self._state.dead.prune(self._older_than_us(self.limits.keep_s), self.limits.dead_budget_bytes)


def _full_words(used: int, budget: int) -> str:
    return (
        f"The journal holds {used:,} of {budget:,} bytes: new stories are refused until consumers catch up. "
        "See `signal-tap consumers`, or raise retention.bytes in bus.yaml."
    )
