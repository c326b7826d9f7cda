"""What people do to a running bus: pause and resume, replay and drop dead letters."""

from __future__ import annotations

import time
from typing import Any

import orjson

from services.bus.access import Peer
from services.bus.admission import Batch, expired
from services.bus.emitting import Emitting
from services.bus.journaling import Journaling
from services.bus.records import Aside
from services.bus.state import State
from signals.envelope import BUS_FIELDS, rfc3339
from signals.errors import UsageError
from signals.ids import uuid7

ALL = "*"


class Administration:
    """Each act is one transaction, like everything else."""

    def __init__(self, state: State, journaling: Journaling, emitting: Emitting) -> None:
        self._state = state
        self._journaling = journaling
        self._emitting = emitting

    # -- pausing -------------------------------------------------------------------------------------

    def pause(self, daemon: str) -> None:
        """Hold deliveries to a daemon, or to all (`*`)."""
        self._check_known(daemon)
        self._state.paused.setdefault(daemon, self._state.clock.now())
        self._keep_paused()

    def resume(self, daemon: str) -> None:
        """Deliver again; what was in hand meanwhile gets the time back."""
        if daemon not in self._state.paused:  # one may have been taken off the list meanwhile
            self._check_known(daemon)
        for name in list(self._state.paused) if daemon == ALL else [daemon]:
            if name in self._state.paused:
                self._resume_one(name)
        self._keep_paused()

    def _check_known(self, daemon: str) -> None:
        names = set(self._state.registry.daemons)
        known = {name.split("@")[0] for name in names} | names
        if daemon != ALL and daemon not in known:
            raise UsageError(f"There is no daemon {daemon[:64]!r} here; known are {', '.join(sorted(known))}.")

    def _keep_paused(self) -> None:
        self._state.store.put_meta("paused", orjson.dumps(self._state.paused).decode())

    def _resume_one(self, name: str) -> None:
        """Give back the time since `name` was paused; where another pause goes on, only that until it began."""
        state, now = self._state, self._state.clock.now()
        consumers = state.lanes.keys() | state.deadlines.consumers()  # one may have been taken off the list meanwhile
        held = {key: min(state.pauses(key)) for key in consumers if state.is_paused(key)}
        del state.paused[name]
        for key, since in held.items():
            state.deadlines.extend(key, min(state.pauses(key), default=now) - since)

    # -- dead letters --------------------------------------------------------------------------------

    def replay(self, number: int, peer: Peer) -> None:
        """Give a dead letter another chance: to its consumer alone, or as a new emit after a fresh check.

        What was refused is checked as its sender's, not as that of whoever replays it: else root would make a forgery
        genuine.
        """
        _, _, consumer, seq, generation, _, offset, line = self._waiting(number)
        letter = self._state.dead.line(line, offset, number)
        if letter.get("signal") is None:
            raise UsageError(f"The dead letter {number} is no signal; it can only be dropped.")
        if consumer is None:
            self._emit_again(letter, peer)
        else:
            self._deliver_again(consumer, seq, generation, letter["signal"])
        self._state.store.dead.mark(number, "replayed")

    def drop(self, number: int) -> None:
        """Forget a dead letter; its line stays in the file until that is pruned."""
        self._waiting(number)
        self._state.store.dead.mark(number, "dropped")

    def _waiting(self, number: int) -> tuple[Any, ...]:
        row = self._state.store.dead.get(number)
        if row is None or row[5] != "dead":
            raise UsageError(f"There is no waiting dead letter {number}.")
        return row

    def _deliver_again(self, consumer: str, seq: int, generation: int, envelope: dict[str, Any]) -> None:
        state, lane = self._state, self._state.lanes.get(consumer)
        if lane is None:
            raise UsageError(f"The consumer {consumer} is not listed any more.")
        if not lane.is_settled(seq):
            raise UsageError(f"{consumer} has not settled {seq}; there is nothing to replay.")
        _check_worth(raw := orjson.dumps(envelope))
        state.deadlines.reopen(envelope["id"], envelope["source"])
        kept = None if state.store.envelope(seq) else raw
        lane.put_off(Aside(seq, generation=generation + 1, due=state.clock.now(), replayed=1, envelope=kept))

    def _emit_again(self, letter: dict[str, Any], peer: Peer) -> None:
        envelope = {key: value for key, value in letter["signal"].items() if key not in BUS_FIELDS}
        envelope |= {"id": uuid7(), "timestamp": rfc3339(time.time())}
        daemon = letter["daemon"] if letter["daemon"] in self._state.registry.daemons else None
        sender = Peer(letter["peer_uid"], -1, 0) if "peer_uid" in letter else peer
        batch = Batch(sender, daemon, lambda cause, found: True)
        batch.add(admitted := self._emitting.admit(orjson.dumps(envelope), batch))
        _check_worth(admitted.raw)
        self._emitting.check_roots(batch)
        self._journaling.write(batch, {})


def _check_worth(raw: bytes) -> None:
    """Raise `UsageError` for a signal that has expired, which nobody would be given."""
    if expired(raw, time.time()):
        until = orjson.loads(raw)["expires_at"]
        raise UsageError(f"It expired at {until}, and nobody would get it. Emit it anew, or drop the dead letter.")
