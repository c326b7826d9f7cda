"""Sessions: one attached process for each daemon or instance, and how its end is noticed."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.bus.access import Peer
from services.bus.lanes import Lane
from signals.errors import UnknownSessionError


@dataclass(slots=True, eq=False)
class Session:
    """One daemon process attached to the bus; it carries all lanes of its daemon. `seen` is monotonic time.

    `many` says that it takes several signals in one message.
    """

    identity: bytes
    daemon: str
    peer: Peer
    lanes: dict[str, Lane]
    listens: frozenset[str]
    version: str
    pidfd: int | None
    many: bool = False
    attached_at: float = field(default_factory=time.time)
    seen: float = field(default_factory=time.monotonic)
    solo: bool = False
    stopping: bool = False
    lost: bool = False
    health: dict[str, object] = field(default_factory=dict)

    def in_hand(self) -> int:
        """How many signals it holds, over all lanes."""
        return sum(len(lane.in_hand) for lane in self.lanes.values())


class Sessions:
    """The attached sessions, by connection and by daemon."""

    def __init__(self) -> None:
        self._by_identity: dict[bytes, Session] = {}
        self._by_daemon: dict[str, Session] = {}
        self._by_pidfd: dict[int, Session] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_daemon.values()))

    def of(self, daemon: str) -> Session | None:
        """The session of a daemon."""
        return self._by_daemon.get(daemon)

    def at(self, identity: bytes) -> Session | None:
        """The session on a connection."""
        return self._by_identity.get(identity)

    def find(self, identity: bytes, peer: Peer) -> Session | None:
        """The session on a connection; never one of another process that took the routing id over."""
        session = self._by_identity.get(identity)
        if session is None or session.peer != peer:
            return None
        session.seen = time.monotonic()
        return session

    def need(self, identity: bytes, peer: Peer) -> Session:
        """As `find`; raises `UnknownSessionError` when there is none."""
        session = self.find(identity, peer)
        if session is None:
            raise UnknownSessionError
        return session

    def add(self, session: Session) -> None:
        """A new session; the one it replaces is gone already."""
        self._by_identity[session.identity] = session
        self._by_daemon[session.daemon] = session
        if session.pidfd is not None:
            self._by_pidfd[session.pidfd] = session

    def remove(self, session: Session) -> None:
        """A session has ended."""
        self._by_identity.pop(session.identity, None)
        if self._by_daemon.get(session.daemon) is session:
            del self._by_daemon[session.daemon]
        if session.pidfd is not None:
            self._by_pidfd.pop(session.pidfd, None)
            os.close(session.pidfd)
            session.pidfd = None

    def pidfds(self) -> list[int]:
        """What to poll to notice a death."""
        return list(self._by_pidfd)

    def of_pidfd(self, pidfd: int) -> Session | None:
        """Whose death a readable pidfd tells."""
        return self._by_pidfd.get(pidfd)


def open_pidfd(pid: int) -> int | None:
    """A descriptor that becomes readable when `pid` ends; None where the peer's pid means nothing here."""
    if pid <= 0:
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # already gone, or in another pid namespace: the time-out notices
        return None


def has_ended(session: Session) -> bool:
    """Whether the session's process is known to be gone."""
    if session.pidfd is None:
        return False
    poll = select.poll()
    poll.register(session.pidfd, select.POLLIN)
    return bool(poll.poll(0))
