"""The bus, as its own signals tell of it: dead letters, consumers that fall behind, the journal's room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from services.advisory_monitor.hearing import BUCKET_S
from services.advisory_monitor.logic import Bounds, Pace, Severity
from services.advisory_monitor.measuring import Gauge, bounds
from services.advisory_monitor.seen import Look, Reading, Seen
from signals.paths import Paths


def make(config: Mapping[str, Any], paths: Paths) -> Bus:
    """The check."""
    return Bus(config)


class Bus:
    """Judges what was heard of the bus."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.pace = Pace(hold_s=config["hold_s"], clear_s=config["clear_s"], repeat_s=config["repeat_s"])
        self._window_s = config["window_s"]
        self._dead: Bounds = bounds(config, "dead_letters")
        self._gauge = Gauge()

    def look(self, now: Look) -> Seen:
        """Judge it as of now."""
        return Seen(readings=(*self._dead_letters(now), *_lags(now), *_journal(now)))

    def close(self) -> None:
        """Nothing is held."""

    def _dead_letters(self, now: Look) -> Iterator[Reading]:
        heard = now.heard.get("dead")
        if heard is None:
            return
        count = sum(n for at, n in heard["counts"] if now.wall - self._window_s < at * BUCKET_S <= now.wall + BUCKET_S)
        words = (
            f"{count} signals became dead letters within {self._window_s / 60:g} minutes; the last was {heard['last']}."
        )
        hint = "See `signal-tap dead list`; what is mended can be replayed: `signal-tap dead replay`."
        found = self._gauge.read(now, "dead_letters", count, self._dead, unit="signals", message=words, hint=hint)
        yield _because(found, heard["signal"])


def _lags(now: Look) -> Iterator[Reading]:
    for name, heard in now.heard.items():
        kind, _, consumer = name.partition("|")
        if kind == "lag":
            yield _lag(consumer, heard)


def _lag(consumer: str, heard: Mapping[str, Any]) -> Reading:
    words = f"{consumer} is behind: {heard['lag']:,} signals wait for it, the oldest for {heard['oldest_age_s']:.0f} s."
    if heard["well"]:
        words = f"{consumer} has caught up."
    hint = "See `ligand status` whether it runs and what it says; paused, it goes on after `ligand resume`."
    severity: Severity | None = None if heard["well"] else "warning"
    found = Reading("consumer_lag", severity, heard["lag"], heard["bound"], "signals", words, hint, consumer)
    return _because(found, heard["signal"])


def _journal(now: Look) -> Iterator[Reading]:
    heard = now.heard.get("journal")
    if heard is None:
        return
    share = round(100 * heard["used_bytes"] / heard["budget_bytes"], 1)
    severities: dict[str, tuple[Severity, int]] = {
        "dead_lettering": ("warning", 90),
        "refusing_roots": ("critical", 95),
    }
    severity, bound = severities.get(heard["action"]) or (None, 90)
    doing = {
        "dead_lettering": "the oldest signals of the consumer furthest behind become dead letters",
        "refusing_roots": "nothing new is taken in",
    }
    words = f"The journal has used {share} % of its room: {doing.get(heard['action'], 'all is well')}."
    hint = "See `ligand journal stats` for what it holds, `ligand status` for who is behind; retention is in bus.yaml."
    yield Reading("journal", severity, share, bound, "percent", words, hint, because=(heard["signal"],))


def _because(found: Reading, signal_id: str) -> Reading:
    """The reading with its cause, while it is bad, or where its end was told by the bus."""
    return replace(found, because=(signal_id,))
