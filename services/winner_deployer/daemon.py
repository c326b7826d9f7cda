"""Hears of winners and of what people decide; a thread of its own does the work, for it waits for measurements."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from services.runtime import Daemon, Reject
from services.winner_deployer import logic
from services.winner_deployer.backups import Backups
from services.winner_deployer.deploying import Deployer, Settings
from services.winner_deployer.ledger import Ledger
from services.winner_deployer.office import Answers, Office
from services.winner_deployer.steps import Stopping
from signals.envelope import Signal, rfc3339

DAY_S = 86_400
IDLE_S = 60.0
AGAIN_S = 10.0
JOIN_S = 5.0
daemon = Daemon("winner_deployer")


class _Desk:
    """What holds while the daemon runs."""

    ledger: Ledger
    deployer: Deployer
    answers: Answers
    worker: threading.Thread
    wake: threading.Event
    ended: asyncio.Event
    error: Exception | None = None
    trouble: str = ""


desk = _Desk()


@daemon.on_start
async def prepare() -> None:
    """Read the ledger; what was broken off is taken back first of all. Raises `ConfigError`."""
    desk.ledger = Ledger(daemon.state_dir / "ledger.jsonl")
    if desk.ledger.dropped:
        daemon.log.warning("ledger_repaired", file=str(desk.ledger.path), torn_bytes=desk.ledger.dropped)
    desk.answers, desk.wake, desk.ended = Answers(), threading.Event(), asyncio.Event()
    office = Office(daemon, desk.answers, asyncio.get_running_loop())
    backups = Backups(daemon.state_dir / "backups")
    desk.deployer = Deployer(desk.ledger, backups, daemon.paths.config, office, settings(), log=daemon.log)
    office.stop = desk.deployer.stop
    desk.worker = threading.Thread(target=_work, args=(asyncio.get_running_loop(),), name="deployer", daemon=True)
    desk.worker.start()


def settings() -> Settings:
    """What the configuration says."""
    config = daemon.config
    return Settings(config["proposal_days"] * DAY_S, config["keep_backups"], tuple(config["reloadable_units"]))


@daemon.on_reload
async def reload() -> None:
    """Take new settings for what is begun from now on."""
    desk.deployer.settings = settings()


def _work(loop: asyncio.AbstractEventLoop) -> None:
    """The thread: one thing after the other, then wait for more."""
    try:
        while not desk.deployer.stop.is_set():
            desk.wake.clear()
            desk.wake.wait(IDLE_S if _work_off(loop) else AGAIN_S)
    except Stopping:
        return
    except Exception as error:  # noqa: BLE001 - told to the loop, which ends the daemon with it, to be restarted
        desk.error = error
        loop.call_soon_threadsafe(desk.ended.set)


def _work_off(loop: asyncio.AbstractEventLoop) -> bool:
    """Do all that is to be done; False where the disk does not take what must be written before it is done."""
    try:
        while desk.deployer.work():
            desk.trouble = ""
            loop.call_soon_threadsafe(_say)
    except OSError as error:
        desk.trouble = f"cannot write in {daemon.state_dir}: {error.strerror or error}"
        daemon.log.error("not_written", error=desk.trouble, again_in_s=AGAIN_S)
        loop.call_soon_threadsafe(_say)
        return False
    return True


@daemon.every(3600)
async def watch() -> None:
    """The thread's end is the daemon's."""
    _say()
    await desk.ended.wait()
    if desk.error is not None:
        raise desk.error


def _say() -> None:
    if desk.trouble:
        daemon.status(f"{desk.trouble}; it goes on as soon as there is room", degraded=True)
        return
    waiting = [one for one in desk.ledger.deployments if one.step == "asked" and "answered" not in one.steps]
    busy = [one for one in desk.ledger.deployments if logic.todo(one, time.time())]
    words = [f"deploying {busy[0].winner['experiment']}"] if busy else []
    words += [f"{len(waiting)} wait{'s' * (len(waiting) == 1)} for a person: ligand deploy list"] if waiting else []
    daemon.status(", ".join(words) or "nothing to deploy")


@daemon.on("Q_DREAM_COMPLETE")
async def winners(signal: Signal) -> None:
    """Take each winner over; from now on the ledger has it."""
    desk.deployer.accept(logic.accepted(signal.id, signal.facts, signal.taint))
    desk.wake.set()


@daemon.on("Q_DEPLOYMENT_ANSWERED")
async def answered(signal: Signal) -> None:
    """A person approves or rejects: once, in time, and exactly what was shown."""
    one = desk.ledger.deployments.by_id.get(signal.facts["deployment_id"])
    if one is not None and one.steps.get("answered", {}).get("signal_id") == signal.id:
        return  # delivered again
    with desk.ledger.alone:
        if fault := logic.answer_fault(one, signal.facts, signal.source, signal.taint, time.time()):
            raise Reject(fault)
        _note(signal, "answered", **{key: signal.facts[key] for key in ("verdict", "reason") if key in signal.facts})


def _note(signal: Signal, step: str, **more: Any) -> None:
    """A person's word, for the thread to act on."""
    told = {"id": signal.facts["deployment_id"], "step": step, "at": rfc3339(time.time()), "signal_id": signal.id}
    desk.ledger.note({**told, "by": signal.source, **more})
    desk.wake.set()


@daemon.on("Q_ROLLBACK_WANTED")
async def undo(signal: Signal, emit: Any) -> None:
    """A person wants the old values back."""
    deployment_id = signal.facts["deployment_id"]
    one = desk.ledger.deployments.by_id.get(deployment_id)
    if one is not None and one.steps.get("undo_wanted", {}).get("signal_id") == signal.id:
        return  # delivered again
    if fault := logic.undo_fault(one, deployment_id, signal.source, signal.taint):
        emit("Q_ROLLBACK_FAILED", deployment_id=deployment_id, reason=fault[0], detail=fault[1])
        return
    _note(signal, "undo_wanted")


@daemon.on("Q_CONFIGURATION_RELOADED")
async def reloaded(signal: Signal) -> None:
    """A daemon uses its new configuration."""
    desk.answers.came(signal)


@daemon.on("Q_CONFIGURATION_REFUSED")
async def refused(signal: Signal) -> None:
    """A daemon goes on by its old configuration."""
    desk.answers.came(signal)


@daemon.on_stop
async def finish() -> None:
    """What is not verified goes back before the daemon ends; what cannot now, does so at the next start."""
    desk.deployer.stop.set()
    desk.wake.set()
    await asyncio.to_thread(desk.worker.join, JOIN_S)
    for facts, because in desk.deployer.back.abort():
        if daemon.is_attached:
            await daemon.emit("Q_CONFIGURATION_CHANGED", facts, because=[Office.cause(because)])
    desk.ledger.close()
