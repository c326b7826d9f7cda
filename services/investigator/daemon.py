"""Hears questions and answers each with exactly one signal."""

from __future__ import annotations

import time
from typing import Any

from services.investigator import logic, pressure, suppression
from services.investigator.gate import Gate
from services.investigator.gathering import Gathering
from services.investigator.inquiry import Investigator
from services.investigator.logic import Outcome
from services.investigator.notebook import Notebooks
from services.investigator.presence import KEPT, Presence
from services.investigator.readers import Readers
from services.investigator.records import Records
from services.investigator.research import Limits, Research
from services.investigator.roots import Places
from services.investigator.study import Study
from services.runtime import Daemon
from signals.envelope import Signal

READERS = 2
STUCK_S = 560.0
LOOK_S = 2.0
SWEEP_S = 3600.0
daemon = Daemon("investigator")


class _Desk:
    """What holds while the daemon runs."""

    records: Records
    readers: Readers
    reading: Gate
    presence: Presence
    notebooks: Notebooks
    study: Study
    missing: tuple[str, ...] = ()


desk = _Desk()


@daemon.on_start
async def prepare() -> None:
    """Repair the records before the first question, so that a broken file is noticed at the start."""
    desk.records = Records(daemon.state_dir / "curiosity_investigations.jsonl")
    if desk.records.dropped:
        daemon.log.warning("record_repaired", file=str(desk.records.path), torn_bytes=desk.records.dropped)
    desk.readers, desk.reading = Readers(READERS), Gate(READERS)
    desk.presence = Presence.of(daemon.state, time.monotonic())
    desk.notebooks = Notebooks(daemon.state_dir / "open")
    await reload()


@daemon.on_reload
async def reload() -> None:
    """Take new roots and limits for the next question."""
    investigator = Investigator.of(daemon.config, desk.records)
    wanted = daemon.config["model"]
    limits = Limits(wanted["evidence_chars"], wanted["deadline_s"], wanted["patience_s"], wanted["rounds"])
    research = Research(limits, Gate(wanted["at_once"]), desk.presence, desk.notebooks) if wanted["use"] else None
    folders = Places.of([*daemon.config["roots"], *daemon.config["folders"]], False)
    gathering = Gathering(folders, investigator.look, daemon.config["max_seconds"])
    desk.study = Study(investigator, desk.readers, desk.reading, research, gathering)
    daemon.log.info("places", places=investigator.places.told())
    if folders.missing or desk.missing:
        words = f"cannot see {', '.join(folders.missing)}: not there, or not granted" if folders.missing else ""
        daemon.status(words, degraded=bool(folders.missing))
    desk.missing = folders.missing


@daemon.on("Q_CURIOSITY_INVESTIGATE")
async def investigate(signal: Signal, emit: Any, ask: Any, put: Any) -> None:
    """Answer one question; a redelivered one gets the answer that was recorded."""
    outcome = await desk.study.answer(signal, ask, lambda: _stopped(signal))
    emit(outcome.signal, outcome.facts, taint=list(outcome.taint))
    for key, value in suppression.puts(daemon.state, signal.facts, outcome, signal.timestamp).items():
        put(key, value)
    daemon.log.info(
        "answered", outcome=outcome.signal, question_id=signal.facts["question_id"], method=outcome.facts.get("method")
    )


def _stopped(signal: Signal) -> Outcome | None:
    """Raises `Unavailable` while the machine is short of memory and the model was not asked yet."""
    if not desk.notebooks.has(logic.investigation_id(signal.id)):
        pressure.admit(signal.facts["priority"], daemon.config["memory_pressure"])
    return suppression.suppressed(daemon.state, signal.facts, daemon.config["suppress_after"])


@daemon.on("Q_SUPPRESSION_LIFTED")
async def lift(signal: Signal, put: Any) -> None:
    """A person wants subjects tried again."""
    for key, value in suppression.cleared(daemon.state, signal.facts.get("subject")).items():
        put(key, value)


@daemon.on("Q_MODEL_AVAILABLE")
async def model_came(signal: Signal, put: Any) -> None:
    """From now on the research model is asked."""
    desk.presence.came(signal.facts["server"])
    put(KEPT + signal.facts["server"], True)


@daemon.on("Q_MODEL_UNAVAILABLE")
async def model_went(signal: Signal, put: Any) -> None:
    """From now on reading has to do."""
    desk.presence.went(signal.facts["server"])
    put(KEPT + signal.facts["server"], None)


@daemon.on_live("Q_HEARTBEAT")
def beat(signal: Signal) -> None:
    """Whether the worker is there at all."""
    desk.presence.heard(signal.facts, time.monotonic())


@daemon.every(30)
async def look_after_readers() -> None:
    """A reader that hangs takes the process with it: only a new one reads again."""
    desk.readers.check(STUCK_S)


@daemon.every(SWEEP_S)
async def forget_old_notes() -> None:
    """Of questions that ran out of time, which nobody else forgets while this process lives."""
    await desk.readers.run(desk.notebooks.sweep)


@daemon.every(LOOK_S)
async def look_for_folders() -> None:
    """Take in a root that was not there, such as one on a disk that has come; say so of one that went."""
    if await desk.readers.run(desk.study.gathering.places.have_changed):
        await reload()
