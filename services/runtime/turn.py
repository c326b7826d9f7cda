"""One handling of one signal: what its handler emits, asks and puts, until all of it is settled as one step."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import orjson

from signals.catalogue import Catalogue
from signals.delivery import Delivery
from signals.envelope import MAX_CAUSES, Signal, rfc3339
from signals.errors import ConflictError, LigandError, ManifestError, SchemaError
from signals.ids import derive, keyed, uuid7

MAX_GENERATIONS = 100


class Reject(LigandError):
    """The handler will never be able to handle this signal."""

    code = "rejected"


class Unavailable(LigandError):
    """Something the handler needs is not there just now; the lane pauses, and no attempt is counted."""

    code = "unavailable"

    def __init__(self, message: str | None = None, *, retry_in: float = 30.0) -> None:
        super().__init__(message, retry_in=retry_in)

    @property
    def retry_in(self) -> float:
        """Seconds until the lane goes on."""
        return float(self.fields["retry_in"])


class Maker:
    """Makes the signals of one daemon: contract checked, source, host and time filled in."""

    def __init__(self, source: str, host: str, catalogue: Catalogue, may_emit: frozenset[str]) -> None:
        self.source = source
        self._host = host
        self._catalogue = catalogue
        self._may_emit = may_emit

    def make(
        self,
        name: str,
        facts: Mapping[str, Any] | None,
        named: Mapping[str, Any],
        signal_id: str,
        *,
        because: Iterable[Signal] = (),
        taint: Iterable[str] = (),
        expires_at: str | None = None,
    ) -> Signal:
        """A signal ready to be sent. Raises `SchemaError`, or `ManifestError` when the manifest does not list it."""
        if name not in self._may_emit:
            raise ManifestError(f"{self.source}'s manifest does not list {name} under emits or asks.")
        contract = self._catalogue[name]
        whole = {**facts, **named} if facts else dict(named)
        if not contract.is_valid(whole):
            contract.check(whole)
        causes = tuple(dict.fromkeys(cause.id for cause in because))
        if len(causes) > MAX_CAUSES:
            raise SchemaError(
                f"{name} would follow from {len(causes):,} signals; one names at most {MAX_CAUSES}. Name in `because` "
                "those that matter most, or emit several signals, each with its own part of the causes.",
                path="$.also_caused_by",
                expected=f"at most {MAX_CAUSES - 1}",
            )
        return Signal(
            signal=name,
            id=signal_id,
            timestamp=rfc3339(time.time()),
            source=self.source,
            host=self._host,
            version=contract.version,
            facts=whole,
            causation_id=causes[0] if causes else None,
            also_caused_by=causes[1:],
            expires_at=expires_at,
            taint=tuple(sorted(taint)),
        )


class Turn:
    """What a handler is given besides its signal."""

    def __init__(
        self,
        maker: Maker,
        delivery: Delivery,
        signal: Signal,
        send_ask: Callable[[Delivery, Signal], Awaitable[Signal]],
        *,
        warn: Callable[..., None],
        patience_s: float,
    ) -> None:
        self.delivery = delivery
        self.signal = signal
        self.emitted: list[Signal] = []
        self.puts: dict[str, Any] = {}
        self.answers: list[Signal] = []
        self._maker = maker
        self._send_ask = send_ask
        self._warn = warn
        self._patience_s = patience_s
        self._counts: dict[str, int] = {}

    def emit(
        self,
        name: str,
        facts: Mapping[str, Any] | None = None,
        /,
        *,
        because: Iterable[Signal] = (),
        taint: Iterable[str] = (),
        expires_at: str | None = None,
        **named: Any,
    ) -> Signal:
        """Emit a signal when this one is settled, in the same step; its id is the same at each repetition.

        It follows from this one, from the answers got meanwhile, and from `because`, 65 at most.
        """
        causes = self._causes(because)
        found = self._maker.make(
            name, facts, named, self._next_id(name), because=causes, taint=taint, expires_at=expires_at
        )
        self.emitted.append(found)
        return found

    def put(self, key: str, value: Any) -> None:
        """Keep a small value (JSON, up to 1 MiB) as it is now, in the same step; None forgets it.

        Read it in `daemon.state`. Raises `SchemaError` for what JSON cannot hold.
        """
        try:
            kept = orjson.loads(orjson.dumps({key: value}))
        except TypeError as error:
            raise SchemaError(f"{key!r} cannot be kept as JSON: {error}", path=key, expected="JSON") from error
        if value is not None and kept[key] is None:  # what is not a number in JSON's sense would be forgotten
            raise SchemaError(f"{key!r} cannot be kept as JSON: {value}", path=key, expected="JSON")
        self.puts |= kept

    async def ask(
        self,
        name: str,
        facts: Mapping[str, Any] | None = None,
        /,
        *,
        taint: Iterable[str] = (),
        expires_at: str | None = None,
        **named: Any,
    ) -> Signal:
        """Emit a request at once, and wait for the first answer its contract declares.

        After a crash the request is recognised and its recorded answer returned. Where another request stands
        under its id, or a failure that was recorded before `Unavailable`, it is asked anew. Unless told otherwise
        the request expires when this handler's time is over: nobody would hear its answer.
        """
        expires_at = expires_at or rfc3339(time.time() + self._patience_s)
        nth = self._nth(name)
        for generation in range(self.delivery.generation, self.delivery.generation + MAX_GENERATIONS):
            request_id = derive(self.signal.id, self._maker.source, generation, name, nth)
            request = self._maker.make(
                name, facts, named, request_id, because=self._causes(), taint=taint, expires_at=expires_at
            )
            try:
                answer = await self._send_ask(self.delivery, request)
            except ConflictError as error:
                if not error.fields.get("stale"):
                    self._warn("asked_otherwise", request=name, error=error.message)
                continue
            self.answers.append(answer)
            return answer
        raise ConflictError(
            f"{name} was asked in {MAX_GENERATIONS} ways for one signal; the handler is not repeatable."
        )

    def _causes(self, because: Iterable[Signal] = ()) -> list[Signal]:
        """What is named as causes; of the answers, all of which the bus knows, those for which there is room."""
        named = [self.signal, *because]
        return [*named, *self.answers[: max(0, MAX_CAUSES - len(named))]]

    def _nth(self, name: str) -> int:
        nth = self._counts.get(name, 0)
        self._counts[name] = nth + 1
        return nth

    def _next_id(self, name: str) -> str:
        return derive(self.signal.id, self._maker.source, self.delivery.generation, name, self._nth(name))


class Batch:
    """Signals emitted together outside handlers, all or none."""

    def __init__(self, maker: Maker) -> None:
        self.signals: list[Signal] = []
        self._maker = maker

    def emit(
        self,
        name: str,
        facts: Mapping[str, Any] | None = None,
        /,
        *,
        key: str | None = None,
        because: Iterable[Signal] = (),
        taint: Iterable[str] = (),
        expires_at: str | None = None,
        **named: Any,
    ) -> Signal:
        """Add a signal. With `key`, its id is always the same for this daemon, so that a repeated one is one."""
        signal_id = keyed(self._maker.source, key) if key is not None else uuid7()
        found = self._maker.make(name, facts, named, signal_id, because=because, taint=taint, expires_at=expires_at)
        self.signals.append(found)
        return found
