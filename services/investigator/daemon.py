"""Hears questions about modules and answers each with exactly one signal."""

from __future__ import annotations

import functools
from typing import Any

from services.investigator.inquiry import Investigator
from services.investigator.records import Records
from services.runtime import Daemon
from signals.envelope import Signal

daemon = Daemon("investigator")


@functools.cache
def _records() -> Records:
    records = Records(daemon.state_dir / "curiosity_investigations.jsonl")
    if records.dropped:
        daemon.log.warning("record_repaired", file=str(records.path), torn_bytes=records.dropped)
    return records


@functools.cache
def _investigator() -> Investigator:
    return Investigator.of(daemon.config, _records())


@daemon.on_start
async def prepare() -> None:
    """Repair the records before the first question, so that a broken file is noticed at the start."""
    investigator = _investigator()
    daemon.log.info("places", places=investigator.places.told())


@daemon.on_reload
async def reload() -> None:
    """Take new roots and limits for the next question."""
    _investigator.cache_clear()
    _investigator()


# A plain function: the frame runs it in a thread, so heartbeats go on while it reads.
@daemon.on("Q_CURIOSITY_INVESTIGATE")
def investigate(signal: Signal, emit: Any) -> None:
    """Answer one question; a redelivered one gets the answer that was recorded."""
    outcome = _investigator().answer(signal.id, signal.timestamp, signal.facts, signal.replayed)
    emit(outcome.signal, outcome.facts, taint=list(outcome.taint))
    daemon.log.info("answered", outcome=outcome.signal, question_id=signal.facts["question_id"])
