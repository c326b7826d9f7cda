"""A daemon of the tests that does what its signals say. `worker.py NAME`."""

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

from services.runtime import Daemon, Reject, Unavailable
from signals.ids import uuid7

daemon = Daemon(sys.argv[1])
HOME = Path(os.environ["LIGAND_HOME"])


def note(text: str) -> None:
    with (HOME / f"{daemon.name}.did").open("a") as did:
        did.write(text + "\n")


async def barrier(name: str) -> None:
    """Say that this point is reached, and go on when told to."""
    note(f"reached {name}")
    while not (HOME / f"go.{name}").exists():
        await asyncio.sleep(0.01)


def keep(act, put):
    """Put what JSON cannot hold: at once, by its key, or only by the time that it is sent."""
    value: Any = {"put a set": {1, 2}, "put no number": float("nan")}.get(act, [1])
    put("note of \udcff" if act == "put unwritably" else act, value)
    if act == "put and change":
        value.append({2})


async def sleep(act):
    """Take long, and note the end; or find that what was to take long is cancelled; or heed no cancellation."""
    slept = asyncio.create_task(asyncio.sleep(60))
    if act == "lose a task":
        slept.cancel()
    try:
        await slept
    except asyncio.CancelledError:
        while act == "sleep on":
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        raise
    finally:
        note("slept")


async def have_many_causes(signal, emit, ask):
    """Ask more than one signal can name, at once; or name as many."""
    act, text = signal.facts["act"], signal.facts["text"]
    if act == "ask many":
        await asyncio.gather(*(ask("Q_ANSWER_WANTED", text=text) for _ in range(70)))
    else:
        emit("Q_WORK_DONE", act=act, text=text, because=[signal._replace(id=uuid7()) for _ in range(70)])


@daemon.on("Q_WORK_WANTED")
async def work(signal, emit, put, ask):
    act, text = signal.facts["act"], signal.facts["text"]
    note(f"began {act} {text}")
    daemon.log.info("working", act=act)
    if act == "ask":
        answer = await ask("Q_ANSWER_WANTED", text=text)
        await barrier("answered")
        if answer.facts["text"] == "down":
            raise Unavailable("down", retry_in=0.05)
        text = answer.facts["text"]
    elif act.endswith("many"):
        await have_many_causes(signal, emit, ask)
    elif act == "barrier":
        await barrier(text)
    elif act in ("sleep", "sleep on", "lose a task"):
        await sleep(act)
    elif act == "hang":
        time.sleep(60)  # noqa: ASYNC251 - a handler that blocks its loop
    elif act == "die":
        os._exit(1)
    elif act == "fail":
        raise RuntimeError(text * 1000)
    elif act == "reject":
        raise Reject(text)
    elif act.startswith("put"):
        keep(act, put)
    elif act == "fail unwritably":
        raise RuntimeError("no such file: \udcff")
    elif act == "big":
        put("big", "x" * (2 << 20))
    put("count", daemon.state.get("count", 0) + 1)
    emit("Q_WORK_DONE", act=act, text=text)


@daemon.on("Q_THREAD_WANTED")
def in_thread(signal):
    note("began thread")
    time.sleep(float(signal.facts["text"]))


@daemon.on_stop
async def stop():
    note("stopped")


@daemon.on_reload
async def reload():
    note(f"reloaded {daemon.config['greeting']}")
    if daemon.config["greeting"] == "raise":
        raise RuntimeError("the author's own mistake")


@daemon.every(0.05)
async def tick():
    await daemon.emit("Q_TICK_TOLD", text="once", key="the first tick")
    async with daemon.batch(put={"ticked": True}):
        pass


daemon.run()
