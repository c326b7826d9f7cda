"""Threads and garbage of a daemon. If this fails, one that runs for weeks grows."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref

import pytest

from services.runtime import garbage
from services.runtime.threads import Threads
from tests.support.processes import Use


def test_all_threads_are_there_from_the_first_use_on():
    """A thread more hours later looks like a leak, and keeps its memory."""
    with Threads(3, "level") as pool:
        assert pool.submit(abs, -1).result(timeout=60) == 1
        names = {thread.name for thread in threading.enumerate() if thread.name.startswith("level")}
        assert len(names) == 3
        assert [pool.submit(abs, -nth).result(timeout=60) for nth in range(200)] == [*range(200)]
        assert {thread.name for thread in threading.enumerate() if thread.name.startswith("level")} == names


def test_a_system_that_gives_no_more_threads_is_told_and_nothing_hangs(monkeypatch: pytest.MonkeyPatch):
    """Threads that wait for one which never comes would do nothing for ever, and nobody would know."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "few_1":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with Threads(2, "few") as pool:
        with pytest.raises(RuntimeError, match="new thread"):
            pool.submit(abs, -1)
        monkeypatch.undo()
        assert pool.submit(abs, -2).result(timeout=60) == 2


def test_garbage_in_cycles_is_collected_by_the_clock(monkeypatch: pytest.MonkeyPatch):
    """A daemon makes so little garbage, and collects so rarely, that it would pile up for hours."""

    class Knot:
        def __init__(self) -> None:
            self.own = self

    async def collected() -> bool:
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        knot = Knot()
        weakref.finalize(knot, loop.call_soon_threadsafe, gone.set)
        del knot
        collecting = asyncio.create_task(garbage.collect_for_ever())
        async with asyncio.timeout(60):
            await gone.wait()
        return collecting.cancel()

    monkeypatch.setattr(garbage, "EVERY_S", 0.01)
    gc.disable()
    try:
        assert asyncio.run(collected())
    finally:
        gc.enable()


def test_free_memory_goes_back_to_the_system():
    """The C library keeps what is freed in the midst of its heaps: a process that was large once would stay so."""
    with Threads(1, "heap") as pool:  # a heap of its own
        held = pool.submit(lambda: [b"x" * (100_000 + nth) for nth in range(300)]).result(timeout=60)
        pin = pool.submit(bytearray, 100_000).result(timeout=60)
        large = Use.of(os.getpid()).rss_kib
        held.clear()
        garbage.collect()
        assert Use.of(os.getpid()).rss_kib < large - 20_000
        assert len(pin) == 100_000
