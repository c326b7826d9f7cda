"""Kill, freeze and restart the processes of a constellation at work, as decided; then let it come to its end."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from signals.emitter import Emitter
from signals.errors import BusUnreachableError
from signals.journal import Journal
from tests.chaos.decisions import Decision
from tests.chaos.work import Work
from tests.support.constellation import Constellation, Running, others
from tests.support.load import STEPS, Commands

STILL_S = 0.5
"""So long without a new signal in the journal, and the next decision does not wait for more."""
GIVE_UP_S = 120.0
"""At the end: so long without any progress, and what is missing counts as lost."""
BUS = ("-m", "services.bus")


@dataclass
class Chaos:
    """One run. `done` counts what was done to whom."""

    home: Constellation
    commands: Commands
    work: Work
    bus: tuple[str, ...] = BUS
    alive: dict[str, Running] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    rest: str = ""

    def begin(self) -> None:
        """Start everything, and the work. Nobody waits for daemons that are not part of it."""
        self.home.config("bus", {"disable": others(*self.commands)})
        self.alive = {"bus": self.home.start("bus", *self.bus).ready()}
        for name, command in self.commands.items():
            self.alive[name] = self.home.start(name, *command)
        for running in self.alive.values():
            if running.name != "bus":
                running.ready()
        self.work.start()

    def carry_out(self, decisions: Sequence[Decision], told: Callable[[str], None] = lambda _: None) -> None:
        """All decisions, one after the other."""
        with Journal(self.home.paths.journal) as journal:
            for nth, decision in enumerate(decisions, 1):
                self._await_progress(journal, decision)
                getattr(self, f"_{decision.act}")(decision)
                self.done[f"{decision.act} {decision.victim}"] += 1
                if nth % 100 == 0 or decision.act == "outage":
                    told(f"{nth} of {len(decisions)} decisions, {len(self.work.roots):,} stories begun")

    def _await_progress(self, journal: Journal, decision: Decision) -> None:
        """Until so many signals more are journaled, or none has come for a while."""
        head, wanted = journal.head(), journal.head() + decision.after
        still = time.monotonic() + STILL_S
        while head < wanted and time.monotonic() < still:
            time.sleep(0.001)
            if (now := journal.head()) > head:
                head, still = now, time.monotonic() + STILL_S
        time.sleep(decision.then_s)  # the instant, not readiness

    def _kill(self, decision: Decision) -> None:
        self._end(decision.victim)
        running = self._start(decision.victim)
        if decision.awaits:
            running.ready()

    def _freeze(self, decision: Decision) -> None:
        running = self.alive[decision.victim]
        running.signal(signal.SIGSTOP)
        time.sleep(decision.for_s)  # how long it is frozen
        running.signal(signal.SIGCONT)

    def _outage(self, decision: Decision) -> None:
        if decision.frozen:
            self._freeze(decision)
            return
        self._end("bus")
        time.sleep(decision.for_s)  # how long there is no bus
        self._start("bus").ready()

    def _end(self, name: str) -> None:
        self.alive[name].kill()
        self.home.running.remove(self.alive[name])

    def _start(self, name: str) -> Running:
        self.alive[name] = self.home.start(name, *(self.bus if name == "bus" else self.commands[name]))
        return self.alive[name]

    # -- the end -------------------------------------------------------------------------------------

    def finish(self) -> None:
        """No more work: until every story has its end. What five kills in a row made `poison` is replayed once."""
        self.work.end()
        for running in self.alive.values():
            if not any("READY=1" in said.split("\n") for said in running.notify.said):
                running.ready()  # a process that has only begun cannot heed SIGTERM yet
        rest, deadline = "", time.monotonic() + GIVE_UP_S
        with self.home.emitter(timeout_s=30.0) as person, Journal(self.home.paths.journal) as journal:
            while not self._at_rest(person.query("consumers"), journal):
                for letter in journal.dead():
                    if letter["reason"] == "poison":
                        self._replay(person, letter["dead_letter_id"])
                if rest != self.rest:
                    rest, deadline = self.rest, time.monotonic() + GIVE_UP_S
                if time.monotonic() > deadline:
                    return  # what is missing is then found missing; `rest` says what was waited for
                time.sleep(0.1)

    def _at_rest(self, consumers: Sequence[Mapping[str, Any]], journal: Journal) -> bool:
        waits = sum(row["lag"] + row["in_hand"] + row["aside"] for row in consumers)
        answers = len(list((self.home.paths.intents / "done").glob("*.answer.json")))
        ended, begun, asked = journal.counts(STEPS[-1]), len(self.work.roots), len(self.work.asked)
        self.rest = f"{waits} wait; {ended} of {begun} stories, {answers} of {asked} intents"
        return not waits and ended >= begun and answers >= asked

    def _replay(self, person: Emitter, number: int) -> None:
        try:
            person.query("dead.replay", dead_letter_id=number)
        except BusUnreachableError:
            return
        self.replayed += 1
