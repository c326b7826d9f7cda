"""A daemon's connection to the bus: attach, emit, consume with credit, settle, ask. For asyncio.

Requests are sent again, under the same ids, until the bus answers: after its restart nothing is lost and nothing
doubled. What the daemon has in hand it keeps through such a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import zmq

from signals import wire
from signals.delivery import Delivery, Receiver
from signals.envelope import Signal, decode, encode
from signals.errors import BusUnreachableError, FencedError, LateError, LigandError, OversizeError, refusal
from signals.link import Link

RETRIED = frozenset({"quota"})
AGAIN = b"again "
"""Instead of a number, before the id of a request whose answer was awaited when the bus went away."""
TOGETHER_AT_MOST = 64
TOGETHER_SIGNALS = 500
TOGETHER_BYTES = 256 * 1024
"""Requests in one message, their signals, and the bytes of their headers. The bus takes more."""


@dataclass(slots=True)
class _Request:
    frames: list[bytes]
    done: Callable[[Any, LigandError | None], None]
    held: tuple[str, int] | None = None


class Client:
    """One session. Callbacks of `receiver` run in the event loop and must not block."""

    def __init__(
        self,
        daemon: str,
        socket: Path,
        receiver: Receiver,
        *,
        lanes: Mapping[str, int],
        version: str = "",
        context: zmq.Context[Any] | None = None,
    ) -> None:
        self.daemon = daemon
        self.state: dict[str, Any] = {}
        self.epoch: str | None = None
        self.held: dict[tuple[str, int], Delivery] = {}
        self._path = socket
        self._receiver = receiver
        self._lanes = dict(lanes)
        self._version = version
        self._context = context or zmq.Context.instance()
        self._link: Link | None = None
        self._requests: dict[bytes, _Request] = {}
        self._last = 0
        self._unsent: list[list[bytes]] = []
        self._standing: dict[str, list[bytes]] = {}
        self._answers: dict[str, asyncio.Future[Signal]] = {}
        self._first: asyncio.Future[None] | None = None
        self._attached = False
        self._attach_sent = False
        self._many = False
        self._over = False

    # -- life ----------------------------------------------------------------------------------------

    async def attach(self, timeout_s: float | None = None) -> None:
        """Attach; waits for the bus. Raises what the bus refuses with, `BusUnreachableError` after `timeout_s`."""
        self._first = asyncio.get_running_loop().create_future()
        self._connect()
        try:
            async with asyncio.timeout(timeout_s):
                await self._first
        except TimeoutError as error:
            self._close()
            raise BusUnreachableError(
                f"No bus answers at {self._path}. Start it: `ligand up`, or `systemctl start ligand-bus`."
            ) from error

    @property
    def is_attached(self) -> bool:
        """Whether the bus knows this session just now."""
        return self._attached

    async def detach(self) -> None:
        """Give everything in hand back, and end the session."""
        if self._attached:
            await self._call(wire.DETACH, b"{}")
        self._close()

    def _close(self) -> None:
        self._over, self._attached = True, False
        if self._link is not None:
            self._link.close()
        for future in self._answers.values():
            future.cancel()

    def _connect(self) -> None:
        self._link = Link(self._context, self._path, self._on_message, self._on_down)
        self._send_attach()

    def _send_attach(self) -> None:
        if self._attach_sent or self._link is None or self._over:
            return
        self._attached, self._attach_sent = False, True
        header = {
            "protocol": wire.PROTOCOL,
            "daemon": self.daemon,
            "version": self._version,
            "lanes": self._lanes,
            "in_hand": [[*key, held.generation, held.id] for key, held in self.held.items()],
            "many": True,
        }
        self._link.send([wire.ATTACH, b"attach", orjson.dumps(header)])

    def _on_down(self) -> None:
        was = self._attached
        self._attached = self._attach_sent = False
        if self._over:
            return
        if was:
            self._receiver.detached()
        self._connect()

    def _on_attached(self, body: dict[str, Any]) -> None:
        self._attached, self._attach_sent = True, False
        self._many = body.get("many") is True
        self.epoch, self.state = body["epoch"], body["state"]
        for lane, seq in body["settled"]:
            self._forget(lane, seq, None)
        for lane, seq in body["late"]:
            self._forget(lane, seq, LateError())
        for frames in self._standing.values():
            self._link_send(frames)
        self._unsent = [request.frames for request in self._requests.values()]
        self._send_unsent()
        if self._first is not None and not self._first.done():
            self._first.set_result(None)
        self._receiver.attached()

    def _forget(self, lane: str, seq: int, error: LigandError | None) -> None:
        """The bus is done with a signal that was in hand here: a settle on the way has been done, or came too late."""
        for number, request in list(self._requests.items()):
            if request.held == (lane, seq):
                del self._requests[number]
                request.done({}, error)
        if self.held.pop((lane, seq), None) is not None:
            self._receiver.withdrawn(lane, seq)

    def _on_refused_attach(self, error: LigandError) -> None:
        self._attach_sent = False
        if self._first is not None and not self._first.done():
            self._first.set_exception(error)
            self._close()
        else:
            self._end(error)

    def _end(self, error: LigandError) -> None:
        if not self._over:
            self._close()
            self._receiver.ended(error)

    # -- messages ------------------------------------------------------------------------------------

    def _on_message(self, frames: list[bytes]) -> None:
        kind = frames[0]
        if kind == wire.DELIVER:
            self._on_deliver(frames)
        elif kind == wire.OKS:
            for answered, body in orjson.loads(frames[2]):
                self._on_ok(b"%d" % answered, body)
        elif kind in (wire.OK, wire.NO):
            self._on_reply(frames)
        elif kind == wire.ANSWER:
            self._on_answer(frames)
        elif kind == wire.LIVE:
            self._receiver.heard(frames[2])
        elif kind == wire.CANCEL:
            header = orjson.loads(frames[2])
            self._forget(header["lane"], header["seq"], LateError())
        elif kind == wire.FENCED:
            self._end(FencedError(orjson.loads(frames[2]).get("message")))

    def _on_deliver(self, frames: list[bytes]) -> None:
        found = orjson.loads(frames[2])
        for header, raw in zip(found if type(found) is list else [found], frames[3:], strict=True):
            delivery = Delivery(raw=raw, **header)
            key = (delivery.lane, delivery.seq)
            if key not in self.held:
                self.held[key] = delivery
                self._receiver.delivered(delivery)

    def _on_reply(self, frames: list[bytes]) -> None:
        kind, number, body = frames[0], frames[1], orjson.loads(frames[2])
        if kind == wire.NO:
            self._on_refusal(number, refusal(**body))
        elif number == b"attach":
            self._on_attached(body)
        else:
            self._on_ok(number, body)

    def _on_ok(self, number: bytes, body: Any) -> None:
        request = self._requests.pop(number, None)
        if request is not None:
            if request.held is not None:
                self.held.pop(request.held, None)
            request.done(body, None)

    def _on_refusal(self, number: bytes, error: LigandError) -> None:
        if number == b"attach":
            self._on_refused_attach(error)
        elif error.code == "unknown_session":
            self._attached = False
            self._send_attach()
        elif number.startswith(AGAIN):
            self._on_refused_again(number.removeprefix(AGAIN).decode(), error)
        elif number in self._requests and error.code in RETRIED:
            asyncio.get_running_loop().call_later(error.fields.get("retry_after_s", 1.0), self._again, number)
        elif (request := self._requests.pop(number, None)) is not None:
            request.done({}, error)

    def _on_refused_again(self, request_id: str, error: LigandError) -> None:
        """No answer will come: the bus that came back goes by other contracts or manifests."""
        future = self._answers.get(request_id)
        if future is not None and not future.done():
            future.set_exception(error)

    def _again(self, number: bytes) -> None:
        request = self._requests.get(number)
        if request is not None and self._attached:
            self._link_send(request.frames)

    def _on_answer(self, frames: list[bytes]) -> None:
        future = self._answers.pop(orjson.loads(frames[2])["id"], None)
        if future is not None and not future.done():
            future.set_result(decode(frames[3]))

    # -- requests ------------------------------------------------------------------------------------

    def _request(
        self,
        op: bytes,
        header: bytes,
        raws: Sequence[bytes],
        done: Callable[[Any, LigandError | None], None],
        held: tuple[str, int] | None = None,
    ) -> None:
        self._last += 1
        number = b"%d" % self._last
        frames = [op, number, header, *raws]
        if len(header) > wire.MAX_FRAME_BYTES:
            raise OversizeError(f"State and errors of {len(header):,} bytes cannot be sent to the bus; keep a file.")
        self._requests[number] = _Request(frames, done, held)
        if not self._attached:
            return
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send_unsent)
        self._unsent.append(frames)

    def _send_unsent(self) -> None:
        """Send what this turn of the event loop asks for, several requests in a message."""
        unsent, self._unsent = self._unsent, []
        if not self._attached:
            return  # all of it is sent again once it is
        for message in _messages(unsent) if self._many else unsent:
            self._link_send(message)

    def _link_send(self, frames: list[bytes]) -> None:
        if self._link is not None and not self._link.closed:
            self._link.send(frames)

    async def _call(self, op: bytes, header: bytes, raws: Sequence[bytes] = ()) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._request(op, header, raws, _into(future))
        return await future

    async def emit(self, signals: Sequence[Signal], put: Mapping[str, Any] | None = None) -> list[int]:
        """Emit a batch, all or none; returns each `seq` once it is on disk. Raises what the bus refuses with.

        A `QuotaError` is waited out; `PressureError` is raised, for the caller knows what can wait.
        """
        header = orjson.dumps({"attached": True, "put": put}) if put else b'{"attached":true}'
        found: list[int] = await self._call(wire.EMIT, header, [encode(signal) for signal in signals])
        return found

    def settle(
        self,
        delivery: Delivery,
        done: Callable[[Any, LigandError | None], None],
        verdict: str = wire.ACK,
        signals: Sequence[Signal] = (),
        **fields: Any,
    ) -> None:
        """Settle a signal in hand with what it leads to; `done(_, error)` is called with the bus's answer."""
        header = {"lane": delivery.lane, "seq": delivery.seq, "verdict": verdict, **fields}
        raws = [encode(signal) for signal in signals]
        self._request(wire.SETTLE, orjson.dumps(header), raws, done, (delivery.lane, delivery.seq))

    async def ask(self, delivery: Delivery, request: Signal) -> Signal:
        """Emit `request` now, and wait for its answer. Raises `ConflictError` when its id stands for another one."""
        future = self._answers.get(request.id)
        if future is None:
            future = self._answers[request.id] = asyncio.get_running_loop().create_future()
        header = orjson.dumps({"lane": delivery.lane, "seq": delivery.seq})
        raw = encode(request)
        try:
            await self._call(wire.ASK, header, [raw])
            self._standing[request.id] = [wire.ASK, AGAIN + request.id.encode(), header, raw]
            return await future
        finally:
            self._standing.pop(request.id, None)
            self._answers.pop(request.id, None)

    async def query(self, what: str, **fields: Any) -> Any:
        """Ask the bus how it fares."""
        return await self._call(wire.QUERY, orjson.dumps({"what": what, **fields}))

    def emit_live(self, signals: Sequence[Signal]) -> None:
        """Send live signals; nobody answers, and while the bus is away they are gone."""
        if self._attached:
            self._link_send([wire.LIVE, b"", *(encode(signal) for signal in signals)])

    def beat(self, *, stopping: bool = False) -> None:
        """Tell the bus that this session is alive."""
        if self._attached:
            self._link_send([wire.BEAT, b"beat", b'{"stopping":true}' if stopping else b"{}"])


def _messages(requests: Sequence[list[bytes]]) -> Iterator[list[bytes]]:
    """The requests as messages, in their order; those that can go together, together."""
    together: list[list[bytes]] = []
    signals = size = 0
    for frames in requests:
        signals, size = signals + len(frames) - 3, size + len(frames[2])
        fits = len(together) < TOGETHER_AT_MOST and signals <= TOGETHER_SIGNALS and size <= TOGETHER_BYTES
        if not fits or frames[0] not in wire.TOGETHER:
            yield from _joined(together)
            together, signals, size = [], len(frames) - 3, len(frames[2])
        together.append(frames)
        if frames[0] not in wire.TOGETHER:
            yield together.pop()
    yield from _joined(together)


def _joined(requests: Sequence[list[bytes]]) -> Iterator[list[bytes]]:
    if len(requests) == 1:
        yield requests[0]
    elif requests:
        heads = [b'["%s",%s,%s,%d]' % (op, number, header, len(raws)) for op, number, header, *raws in requests]
        yield [wire.MANY, b"", b"[%s]" % b",".join(heads), *(raw for frames in requests for raw in frames[3:])]


def _into(future: asyncio.Future[Any]) -> Callable[[Any, LigandError | None], None]:
    def done(body: Any, error: LigandError | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(body)
        else:
            future.set_exception(error)

    return done
