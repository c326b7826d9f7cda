"""The whole constellation under a steady load for a long time, watched from outside."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from signals.emitter import Emitter
from tests.live.investigator.conftest import about, claim
from tests.soak.loading import Intents, Stories
from tests.soak.plan import Plan
from tests.soak.samples import Sample, Whole
from tests.soak.watching import Ends
from tests.support.constellation import ROOT, Constellation, Running
from tests.support.load import STEPS, Commands, chain, everything, sink, start_all
from tests.support.model_server import model_server
from tests.support.processes import Use

STOPPED = "auditor"
"""The consumer that is stopped for half of the time."""
DRAIN_S = 300.0
DAY_S = 86_400.0
LEAST_BYTES = 16 << 20
"""Of a short run: the smallest budget there is."""


@dataclass
class Soak:
    """One run. `watch` gives a sample each time one was taken; afterwards `faults` says what is wrong."""

    home: Constellation
    plan: Plan
    alive: dict[str, Running] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def watch(self) -> Iterator[Sample]:
        """Run to the end."""
        with model_server() as server:
            server.usual = about(claim("Does what its name says.", "E1"))
            yield from self._watch(self._furnish(server.url))

    def _watch(self, commands: Commands) -> Iterator[Sample]:
        self.ends = Ends(self.home.paths.journal)
        self.alive = {"bus": self.home.bus(), **start_all(self.home, commands)}
        self.stories = Stories(self._emitter, self.plan.stories_per_s)
        self.intents = Intents(self.home.paths.intents, self.plan.intents_per_s)
        with self._tap() as self._tap_pid, self._emitter() as self._asking:
            self.stories.start()
            self.intents.start()
            try:
                yield from self._samples(commands)
            finally:
                self.stories.end()
                self.intents.end()
            if not self.faults:
                self._drain()
        if not self.faults:
            self._finish()

    def _furnish(self, model: str) -> Commands:
        self.home.paths.ensure()
        links = chain(self.home, in_flight=16, at_us={"type": "integer"})
        commands = {**everything(), **links, **sink(self.home, STOPPED, STEPS[0], in_flight=16)}
        self.home.config("bus", {"retention": {"bytes": max(self.plan.kept_bytes, LEAST_BYTES)}})
        for worker in (name for name in commands if name.startswith("model_worker@")):
            self.home.config(worker, {"servers": [{"base_url": model}]})
        kept_s = self.plan.kept_s
        self.home.config("intent_router", {"keep_days": kept_s / DAY_S, "sweep_s": min(30.0, kept_s)})
        return commands

    def _emitter(self) -> Emitter:
        return Emitter(self.home.paths.bus_socket, timeout_s=60.0)

    @contextlib.contextmanager
    def _tap(self) -> Iterator[int]:
        """A person's tap that looks on all the time."""
        command = [
            sys.executable,
            "-m",
            "tools.signal_tap",
            "follow",
            "-q",
            "-o",
            "json",
            "--home",
            str(self.home.home),
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT) as process:
            try:
                yield process.pid
            finally:
                process.terminate()

    def _samples(self, commands: dict[str, tuple[str, ...]]) -> Iterator[Sample]:
        began = time.monotonic()
        stop_s, back_s = self.plan.stopped
        nth = 0
        while (at_s := time.monotonic() - began) < self.plan.seconds:
            if STOPPED in self.alive and stop_s <= at_s < back_s:
                self._stop(STOPPED)
            elif STOPPED not in self.alive and at_s >= back_s:
                self.alive[STOPPED] = self.home.start(STOPPED, *commands[STOPPED]).ready()
            if self._has_died():
                return
            yield self._sample(at_s)
            nth += 1
            time.sleep(max(0.0, began + nth * self.plan.every_s - time.monotonic()))  # the next look, not readiness

    def _has_died(self) -> bool:
        """A process that ended by itself is a fault, told with the end of its log, and ends the run."""
        died = [running for running in self.alive.values() if running.process.poll() is not None]
        for running in died:
            code = running.process.returncode
            self.faults.append(f"{running.name} (pid {running.pid}) ended by itself with {code}:\n{running.tail()}")
        if not self.stories.is_alive():
            self.faults.append("the stories are no longer emitted: the bus did not answer for a minute, or refused one")
        return bool(self.faults)

    def _stop(self, name: str) -> None:
        running = self.alive.pop(name)
        self.home.running.remove(running)
        self._expect(running.stop() == 0, f"{name} did not end cleanly:\n{running.tail()}")

    def _sample(self, at_s: float) -> Sample:
        pids = {name: running.pid for name, running in self.alive.items()} | {"tap": self._tap_pid}
        return Sample(at_s, {name: Use.of(pid) for name, pid in pids.items()}, self._whole())

    def _whole(self) -> Whole:
        self.ends.read()
        p50, p99 = self.ends.latencies_ms()
        paths = self.home.paths
        return Whole(
            signals=self.ends.head,
            stories_begun=self.stories.begun,
            stories_ended=len(self.ends.ended),
            behind=self._behind(STOPPED),
            answer_ms=1000 * self.stories.worst_s(),
            p50_ms=p50,
            p99_ms=p99,
            journal_bytes=_bytes_in(paths.journal.parent),
            intents_bytes=_bytes_in(paths.intents),
            daemons_bytes=_bytes_in(paths.state) - _bytes_in(paths.journal.parent),
            logs_bytes=sum(file.stat().st_size for file in self.home.home.glob("*.log")),
        )

    def _behind(self, consumer: str) -> int:
        return next(int(row["lag"]) for row in self._asking.query("consumers") if row["consumer"] == consumer)

    def _drain(self) -> None:
        """Until every story has its end and the consumer that was stopped has caught up."""
        self._wait(lambda: len(self.ends.ended) >= self.stories.begun, "the chain's stories")
        self._wait(lambda: len(self.ends.answered) >= self.intents.dropped, "the intents")
        self._wait(lambda: self._behind(STOPPED) == 0, f"what waited for {STOPPED}")

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DRAIN_S
        while not done():
            if time.monotonic() > deadline:
                self.faults.append(f"{what}: not at their end {DRAIN_S:g} s after the last was given")
                return
            time.sleep(0.2)
            self.ends.read()

    def _finish(self) -> None:
        wanted = self.plan.stories_per_s * self.plan.seconds
        self._expect(self.stories.begun >= 0.9 * wanted, f"only {self.stories.begun:,} of {wanted:,.0f} stories begun")
        self._expect(self.ends.ended.total() == self.stories.begun, "a story of the chain ended twice, or never")
        self._expect(set(self.ends.answered) == self.ends.asked, "an intent has no end")
        self._expect(self.ends.answered.total() == self.intents.dropped, "an intent ended twice")
        self._expect(self.home.dead() == [], f"dead letters: {self.home.dead()[:3]}")
        for name, running in reversed(self.alive.items()):
            self._expect(running.stop() == 0, f"{name} did not end cleanly:\n{running.tail()}")

    def _expect(self, holds: bool, fault: str) -> None:
        if not holds:
            self.faults.append(fault)


def _bytes_in(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # moved or removed meanwhile
            total += file.stat().st_size if file.is_file() else 0
    return total
