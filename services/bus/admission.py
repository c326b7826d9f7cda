"""Admission: every check between the bytes of an emit and the journal, and what the bus computes of it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson

from services.bus.access import Access, Peer
from services.bus.records import Admitted, Cause
from services.bus.store import Store
from signals.catalogue import Catalogue, Contract
from signals.envelope import MAX_BYTES, MAX_CAUSES, check_emitted, load, rfc3339, rfc3339_of_us
from signals.errors import ConflictError, LoopError, UnauthorisedError

MAX_HOPS = 16
FORGOTTEN = "forgotten"
"""The taint of what follows from a signal that is no longer kept: nobody can tell what that one carried."""
STORIES_REMEMBERED = 20_000


@dataclass(slots=True)
class Batch:
    """One atomic request: who sends it, what it is caused by, and what it has admitted so far."""

    peer: Peer
    session: str | None
    was_delivered: Callable[[Cause, dict[str, Any]], bool]
    handled: Cause | None = None
    answers: Sequence[Cause] = ()
    admitted: list[Admitted] = field(default_factory=list)
    _by_id: dict[str, Admitted] = field(default_factory=dict)
    _grown: dict[str, int] = field(default_factory=dict)

    def add(self, admitted: Admitted) -> None:
        """Take one more signal in."""
        self.admitted.append(admitted)
        self._by_id.setdefault(admitted.id, admitted)
        if admitted.fresh:
            self._grown[admitted.correlation_id] = self.grown(admitted.correlation_id) + 1

    def earlier(self, signal_id: str) -> Admitted | None:
        """A signal of this batch."""
        return self._by_id.get(signal_id)

    def grown(self, story: str) -> int:
        """How many new signals of a story are in this batch."""
        return self._grown.get(story, 0)


class Admission:
    """Checks emits against envelope, contract, access, causes and limits. Writes nothing."""

    def __init__(self, catalogue: Catalogue, access: Access, store: Store, max_hops: int = MAX_HOPS) -> None:
        self.catalogue = catalogue
        self.access = access
        self._store = store
        self.max_hops = max_hops
        self._stories: OrderedDict[str, list[int]] = OrderedDict()

    def admit(self, raw: bytes, batch: Batch) -> Admitted:
        """The signal in `raw` with all that the bus computes, `seq` and `raw` apart. Raises a `LigandError`."""
        envelope = load(raw, MAX_BYTES)
        check_emitted(envelope)
        contract = self.catalogue.version(envelope["signal"], envelope["version"])
        self.access.emit(batch.peer, batch.session, envelope["source"], contract)
        contract.check(envelope["facts"])
        return self._compute(envelope, contract, batch)

    def own(self, envelope: dict[str, Any], causes: Sequence[Cause]) -> Admitted:
        """A signal of the bus's own; checked against its contract, exempt from limits."""
        contract = self.catalogue[envelope["signal"]]
        contract.check(envelope["facts"])
        return self._build(envelope, contract, list(causes), 0, [cause.id for cause in causes])

    def _compute(self, envelope: dict[str, Any], contract: Contract, batch: Batch) -> Admitted:
        named = named_causes(envelope)
        causes = self._causes(named, batch)
        stated = named or [cause.id for cause in causes[:1]]
        admitted = self._build(envelope, contract, causes, batch.peer.uid, stated)
        known = self._store.find(admitted.id, admitted.source) or _again(admitted, batch)
        if known is not None:
            return _repeated(admitted, known)
        if contract.delivery == "durable":
            self._limit(admitted, causes, batch)
        return admitted

    def _build(
        self, envelope: dict[str, Any], contract: Contract, causes: list[Cause], uid: int, stated: list[str]
    ) -> Admitted:
        first = causes[0] if causes else None
        digest = _digest(envelope, stated)
        own = envelope.get("taint", ())
        inherited = [label for cause in causes for label in cause.taint]
        taint = tuple(sorted({*own, *inherited})) if own or inherited else ()
        admitted = Admitted(
            name=contract.name,
            id=envelope["id"],
            source=envelope["source"],
            contract=contract,
            facts=envelope["facts"],
            correlation_id=first.correlation_id if first else envelope["id"],
            causation_id=first.id if first else None,
            causation_source=first.source if first else None,
            hops=max(cause.hops for cause in causes) + 1 if causes else 0,
            taint=taint,
            digest=digest,
            received_us=time.time_ns() // 1000,
        )
        admitted.raw = _complete(envelope, admitted, causes, uid)
        return admitted

    # -- causes --------------------------------------------------------------------------------------

    def _causes(self, named: list[str], batch: Batch) -> list[Cause]:
        handled = batch.handled
        if handled is None:
            return [self._cause(name, batch) for name in named] if named else []
        if not batch.answers and (not named or named == [handled.id]):
            return [handled]
        sure = {cause.id: cause for cause in (handled, *batch.answers)}
        found = [sure.pop(n) if n in sure else self._cause(n, batch) for n in dict.fromkeys(named)]
        return [*found, *sure.values()]

    def _cause(self, signal_id: str, batch: Batch) -> Cause:
        earlier = batch.earlier(signal_id)
        if earlier is not None:
            return earlier.as_cause()
        kept = self._store.by_id(signal_id)
        for seq, raw in kept:
            envelope = orjson.loads(raw)
            cause = cause_of(envelope, seq)
            if cause.source == batch.session or batch.was_delivered(cause, envelope):
                return cause
        if not kept and self._store.has_pruned():
            return forgotten(signal_id)  # taken at its word: what its emitter had to do cannot wait for it
        raise UnauthorisedError(f"The cause {signal_id} was neither delivered to nor emitted by {batch.session}.")

    # -- limits --------------------------------------------------------------------------------------

    def _limit(self, admitted: Admitted, causes: list[Cause], batch: Batch) -> None:
        if admitted.hops > self.max_hops:
            raise LoopError(
                f"{admitted.name} would be {admitted.hops} hops from its root; at most {self.max_hops} are carried. "
                f"The cycle: {self._path(causes[0], admitted.name)}.",
                hops=admitted.hops,
            )
        if causes:
            size, limit = self._story(admitted.correlation_id, batch)
            size += batch.grown(admitted.correlation_id)
            if size >= limit:
                raise LoopError(
                    f"The story {admitted.correlation_id} has {size:,} signals; its root's contract allows {limit:,}. "
                    f"The last steps: {self._path(causes[0], admitted.name)}."
                )

    def _path(self, cause: Cause | None, name: str) -> str:
        names = [name]
        while cause is not None and len(names) < self.max_hops:
            names.append(f"{cause.name} ({cause.source})")
            cause = self._parent(cause)
        return " → ".join(reversed(names))

    def _parent(self, cause: Cause) -> Cause | None:
        for _, raw in self._store.by_id(cause.id):
            parent = orjson.loads(raw).get("causation_id")
            for seq, found in self._store.by_id(parent) if parent else ():
                return cause_of(orjson.loads(found), seq)
        return None

    def _story(self, correlation_id: str, batch: Batch) -> list[int]:
        """How many signals of a story are journaled, and how many its root's contract allows."""
        found = self._stories.get(correlation_id)
        root = batch.earlier(correlation_id)
        if found is None and root is not None and root.fresh:
            return [0, root.contract.story_limit]
        if found is None:
            found = [self._store.story_size(correlation_id), self._story_limit(correlation_id)]
            self._remember(correlation_id, found)
        return found

    def _remember(self, correlation_id: str, story: list[int]) -> None:
        self._stories[correlation_id] = story
        if len(self._stories) > STORIES_REMEMBERED:
            self._stories.popitem(last=False)

    def _story_limit(self, correlation_id: str) -> int:
        for _, raw in self._store.by_id(correlation_id):
            name = orjson.loads(raw)["signal"]
            if name in self.catalogue:
                return self.catalogue[name].story_limit
        return max(contract.story_limit for contract in self.catalogue.values())  # the root is forgotten already

    def journaled(self, admitted: Admitted) -> None:
        """Count a signal in its story."""
        found = self._stories.get(admitted.correlation_id)
        if found is not None:
            found[0] += 1
        elif admitted.causation_id is None:
            self._remember(admitted.correlation_id, [1, admitted.contract.story_limit])


def cause_of(envelope: dict[str, Any], seq: int) -> Cause:
    """What is needed of a journaled envelope to follow from it."""
    return Cause(
        envelope["id"],
        envelope["signal"],
        envelope["source"],
        envelope["correlation_id"],
        envelope["hops"],
        tuple(envelope.get("taint", ())),
        seq,
    )


def forgotten(signal_id: str) -> Cause:
    """What stands for a cause that retention took: a story begins with it, as far as anybody knows."""
    return Cause(signal_id, "no longer kept", "", signal_id, 0, (FORGOTTEN,), 0)


def named_causes(envelope: dict[str, Any]) -> list[str]:
    """The causes that the emitter itself names."""
    return [name for name in (envelope.get("causation_id"), *envelope.get("also_caused_by", ())) if name]


def _digest(envelope: dict[str, Any], stated: list[str]) -> bytes:
    """What makes two emits of one id the same signal: what their emitter says, not what the bus adds to it."""
    content = [
        envelope["signal"],
        envelope["version"],
        stated,
        sorted(set(envelope["taint"])) if "taint" in envelope else [],
        envelope["facts"],
    ]
    return blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def _again(admitted: Admitted, batch: Batch) -> tuple[int, bytes] | None:
    earlier = batch.earlier(admitted.id)
    return (earlier.seq, earlier.digest) if earlier else None


def _repeated(admitted: Admitted, known: tuple[int, bytes]) -> Admitted:
    seq, digest = known
    if digest != admitted.digest:
        raise ConflictError(
            f"{admitted.source} has already emitted {admitted.id} with other content (seq {seq}). "
            "An id, or a key that it derives from, stands for one signal for ever."
        )
    admitted.seq, admitted.fresh = seq, False
    return admitted


def _complete(envelope: dict[str, Any], admitted: Admitted, causes: list[Cause], uid: int) -> bytes:
    """The whole envelope but for `seq`, which is put in front once it is known."""
    whole: dict[str, Any] = {
        "signal": admitted.name,
        "id": admitted.id,
        "correlation_id": admitted.correlation_id,
    }
    if causes:
        whole["causation_id"] = causes[0].id
        if len(causes) > 1:
            whole["also_caused_by"] = [cause.id for cause in causes[1:MAX_CAUSES]]
    whole["hops"] = admitted.hops
    whole["timestamp"] = envelope["timestamp"]
    whole["received_at"] = rfc3339_of_us(admitted.received_us)
    if "expires_at" in envelope:
        whole["expires_at"] = envelope["expires_at"]
    whole["source"] = admitted.source
    whole["host"] = envelope["host"]
    whole["peer_uid"] = uid
    whole["version"] = envelope["version"]
    if admitted.taint:
        whole["taint"] = admitted.taint
    whole["facts"] = admitted.facts
    return orjson.dumps(whole)


def numbered(raw: bytes, seq: int) -> bytes:
    """`raw` with its place in the total order in front."""
    return b'{"seq":%d,' % seq + raw[1:]


def expired(raw: bytes, now: float) -> bool:
    """Whether an envelope says that it is worthless by now (Unix seconds)."""
    if b'"expires_at":"' not in raw:
        return False
    expires = orjson.loads(raw).get("expires_at")
    return expires is not None and expires <= rfc3339(now)
