"""The bus's core in this process, on a clock that the test turns: for what takes minutes in real time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import orjson

from services.bus.access import Access, Peer
from services.bus.admission import Admission
from services.bus.clock import RunningClock, WallClock
from services.bus.core import Core
from services.bus.deadletters import DeadLetters
from services.bus.deadlines import Deadlines
from services.bus.housekeeping import Housekeeping, Limits
from services.bus.mirror import Mirror
from services.bus.queries import Queries
from services.bus.quota import Quota
from services.bus.registry import Registry
from services.bus.state import State
from services.bus.store import Store
from services.runtime.manifest import load_all
from signals import wire
from signals.catalogue import Catalogue
from signals.envelope import Signal, decode, encode, rfc3339
from signals.errors import refusal
from signals.ids import uuid7
from tests.support.constellation import Constellation
from tests.support.raw import Given

ME = Peer(os.getuid(), os.getgid(), os.getpid())


class TurnedClock(RunningClock):
    """Running time that passes when told to."""

    def __init__(self, start: float) -> None:
        super().__init__(start)
        self.at = start

    def now(self) -> float:
        return self.at


class SureClock(WallClock):
    """The time of day, as after hours of running."""

    def is_sure(self) -> bool:
        return True


class NoWatchers(Mirror):
    """Nobody watches: what is shown is kept."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, bytes]] = []

    def publish(self, name: str, raw: bytes) -> None:
        self.shown.append((name, raw))

    def wake(self) -> None:
        """Nobody waits."""


def law_of(home: Constellation) -> tuple[Catalogue, Registry]:
    """The contracts and manifests of a home."""
    catalogue = Catalogue.load([home.paths.contracts])
    return catalogue, Registry.build(load_all(home.paths.manifests, []).values(), catalogue)


class InProcess:
    """A core over a home. Each `say` is one turn: received, committed, delivered."""

    def __init__(
        self,
        home: Constellation,
        *,
        synchronous: str = "OFF",
        law: tuple[Catalogue, Registry] | None = None,
        **config: Any,
    ) -> None:
        """`law`: contracts and manifests as `law_of` has read them, for who starts many cores over one home."""
        paths = home.paths
        paths.ensure()
        self.home = home
        self.inbox: dict[bytes, list[list[bytes]]] = {}
        self.store = Store(paths.journal, synchronous=synchronous)
        catalogue, registry = law or law_of(home)
        access = Access("user", registry.daemons)
        self.dead = DeadLetters(self.store, paths.dead_letters)
        self.clock = TurnedClock(float(self.store.meta("running_s", 0.0)))
        head = self.store.head()
        self.state = State(
            store=self.store,
            catalogue=catalogue,
            registry=registry,
            access=access,
            admission=Admission(catalogue, access, self.store, 16),
            deadlines=Deadlines(self.store, catalogue),
            dead=self.dead,
            mirror=NoWatchers(),
            quota=Quota(0, 1),
            clock=self.clock,
            send=self.told,
            epoch="test",
            head=head,
            published=head,
            paused=orjson.loads(self.store.meta("paused", "{}")),
        )
        self.core = Core(self.state)
        kept = {"bytes": 2 << 30, "days": 30, "dead_letter_bytes": 1 << 28, **config}
        self.limits = Limits.of({"retention": kept, "lag": {"signals": 10_000, "age_s": 600}})
        self.housekeeping = Housekeeping(self.core, self.limits)
        self.housekeeping.wall_clock = SureClock()
        self.core.query = Queries(
            self.state, self.core.administration, lambda: self.limits.budget_bytes, self.housekeeping.prune_before
        )
        self.turn()

    def told(self, identity: bytes, frames: list[bytes]) -> None:
        """What the bus says to a client."""
        self.inbox.setdefault(identity, []).append(frames)

    def close(self) -> None:
        """As after SIGKILL: what was committed is there, nothing else is said."""
        for session in self.state.sessions:
            self.state.sessions.remove(session)
        self.dead.close()
        self.store.db.close()

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, and do what is due."""
        self.clock.at += seconds
        for _ in range(2):
            self.core.expiry.pass_time()
            self.core.commit()
            self.core.delivering.deliver()
            self.core.commit()

    def say(self, who: str, op: bytes, header: Mapping[str, Any], *raws: bytes) -> Any:
        """The body of the answer; raises what the bus refuses with."""
        identity = who.encode()
        self.core.receive(identity, ME, [op, b"n", orjson.dumps(header), *raws])
        self.turn()
        inbox = self.inbox[identity]
        index = next(i for i, frames in enumerate(inbox) if frames[1] == b"n")
        frames = inbox.pop(index)
        body = orjson.loads(frames[2])
        if frames[0] == wire.NO:
            raise refusal(**body)
        return body

    def attach(self, daemon: str, **header: Any) -> Any:
        return self.say(daemon, wire.ATTACH, {"protocol": wire.PROTOCOL, "daemon": daemon, **header})

    def crash(self, daemon: str) -> None:
        """As when the daemon's process has died; what it had been told is gone with it."""
        session = self.state.sessions.of(daemon)
        assert session is not None
        self.core.attaching.end(session, crashed=True)
        self.inbox.pop(daemon.encode(), None)
        self.turn()

    def make(self, source: str, name: str, facts: Mapping[str, Any], **fields: Any) -> Signal:
        fields = {"id": uuid7(), "timestamp": rfc3339(0), "version": 1, **fields}
        return Signal(signal=name, source=source, host="here", facts=dict(facts), **fields)

    def emit(self, *signals: Signal, who: str = "person@root", **header: Any) -> list[int]:
        found: list[int] = self.say(who, wire.EMIT, header, *(encode(signal) for signal in signals))
        return found

    def given(self, daemon: str) -> list[Given]:
        """What has been delivered since the last call."""
        inbox = self.inbox.setdefault(daemon.encode(), [])
        found = [frames for frames in inbox if frames[0] == wire.DELIVER]
        inbox[:] = [frames for frames in inbox if frames[0] != wire.DELIVER]
        return [Given(orjson.loads(frames[2]), decode(frames[3])) for frames in found]

    def one(self, daemon: str) -> Given:
        (given,) = self.given(daemon)
        return given

    def settle(self, daemon: str, given: Given, *signals: Signal, verdict: str = wire.ACK, **fields: Any) -> None:
        header = {"lane": given.lane, "seq": given.seq, "verdict": verdict, **fields}
        self.say(daemon, wire.SETTLE, header, *(encode(signal) for signal in signals))

    def query(self, what: str, **fields: Any) -> Any:
        return self.say("person@root", wire.QUERY, {"what": what, **fields})
