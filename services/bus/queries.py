"""What people ask of a running bus: how it fares, and what it should do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from services.bus import headers
from services.bus.access import Peer
from services.bus.administration import Administration
from services.bus.lanes import Lane
from services.bus.state import State
from signals.errors import UnauthorisedError, UsageError


class Queries:
    """Answers `query` requests. Watching is for people; changing too."""

    def __init__(
        self,
        state: State,
        administration: Administration,
        budget_bytes: Callable[[], int],
        prune_before: Callable[[int], int],
    ) -> None:
        self._state = state
        self._administration = administration
        self._budget = budget_bytes
        self._prune_before = prune_before
        self._started = time.time()
        self._asked: dict[str, Callable[[dict[str, Any], Peer], Any]] = {
            "status": lambda *_: self.status(),
            "consumers": lambda *_: self.consumers(),
            "pause": self._pause,
            "resume": self._resume,
            "dead.replay": self._replay,
            "dead.drop": self._drop,
            "prune": self._prune,
        }

    def __call__(self, peer: Peer, header: dict[str, Any]) -> Any:
        """The answer to `{"what": …}`. Raises `UnauthorisedError`, `UsageError`."""
        if not self._state.access.is_person(peer):
            raise UnauthorisedError(f"uid {peer.uid} may not ask this of the bus.")
        handler = self._asked.get(str(header.get("what")))
        if handler is None:
            raise UsageError(
                f"The bus can be asked for {', '.join(self._asked)}; not for {str(header.get('what'))[:64]!r}."
            )
        return handler(header, peer)

    def status(self) -> dict[str, Any]:
        """The bus and its daemons at a glance. Sizes in bytes, times in Unix seconds."""
        state = self._state
        return {
            "epoch": state.epoch,
            "pid": os.getpid(),
            "started_at": self._started,
            "head": state.head,
            "journal_bytes": state.used_bytes(),
            "budget_bytes": self._budget(),
            "paused": sorted(state.paused),
            "refusing_roots": state.refusing_roots,
            "dead_letters": state.store.dead.counts(),
            "refusals_not_kept": state.dead.not_kept,
            "dead_letters_pruned": state.dead.pruned,
            "expired": state.expired,
            "open_deadlines": len(state.deadlines),
            "daemons": [self._daemon(name) for name in sorted(state.registry.daemons) if name != "bus"],
        }

    def _daemon(self, name: str) -> dict[str, Any]:
        state = self._state
        session = state.sessions.of(name)
        condition = str(session.health.get("state", "ready")) if session else "absent"
        lag = sum(state.lag_of(lane) for lane in state.lanes.values() if lane.spec.daemon == name)
        return {
            "daemon": name,
            "state": "paused" if state.is_paused(name) else condition,
            "ready": session is not None and not (session.stopping or session.lost),
            "pid": session.peer.pid if session else None,
            "version": session.version if session else None,
            "attached_at": session.attached_at if session else None,
            "message": session.health.get("message", "") if session else "",
            "lag": lag,
        }

    def consumers(self) -> list[dict[str, Any]]:
        """Every consumer: cursor, lag, what is in hand or aside."""
        return [self._consumer(lane) for _, lane in sorted(self._state.lanes.items())]

    def _consumer(self, lane: Lane) -> dict[str, Any]:
        state = self._state
        return {
            "consumer": lane.key,
            "cursor": lane.cursor,
            "lag": state.lag_of(lane),
            "in_hand": len(lane.in_hand),
            "aside": len(lane.asides),
            "redelivered": lane.redelivered,
            "settled": lane.settled_count,
            "oldest_age_s": state.oldest_age_s(lane),
            "attached": state.sessions.of(lane.spec.daemon) is not None,
            "paused": state.is_paused(lane.spec.daemon),
        }

    def _pause(self, header: dict[str, Any], _: Peer) -> Any:
        self._administration.pause(str(header.get("daemon", "*")))
        return {"paused": sorted(self._state.paused)}

    def _resume(self, header: dict[str, Any], _: Peer) -> Any:
        self._administration.resume(str(header.get("daemon", "*")))
        return {"paused": sorted(self._state.paused)}

    def _replay(self, header: dict[str, Any], peer: Peer) -> Any:
        self._administration.replay(_number(header), peer)
        return {"replayed": _number(header)}

    def _drop(self, header: dict[str, Any], _: Peer) -> Any:
        self._administration.drop(_number(header))
        return {"dropped": _number(header)}

    def _prune(self, header: dict[str, Any], _: Peer) -> Any:
        before_us = headers.whole_number(header.get("before_us"), "before_us")
        if before_us > time.time() * 1e6:
            raise UsageError("before_us lies in the future; only what was received by now can be pruned.")
        return {"not_needed_upto": self._prune_before(before_us)}


def _number(header: dict[str, Any]) -> int:
    return headers.whole_number(header.get("dead_letter_id"), "dead_letter_id")
