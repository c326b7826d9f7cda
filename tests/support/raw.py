"""A client of the bus that says whatever a test wants, well-behaved or not: a DEALER and `signals.wire`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import orjson
import zmq

from signals import wire
from signals.envelope import Signal, decode, encode, rfc3339
from signals.errors import LigandError, refusal
from signals.ids import uuid7
from signals.paths import Paths

WAIT_S = 60.0


@dataclass(frozen=True)
class Given:
    """A signal that the bus gave: the header it came with, and itself."""

    header: dict[str, Any]
    signal: Signal

    @property
    def seq(self) -> int:
        return int(self.header["seq"])

    @property
    def lane(self) -> str:
        return str(self.header["lane"])


class Raw:
    """One connection. `call` waits for the answer and keeps what the bus pushes meanwhile."""

    def __init__(self, paths: Paths, *, routing_id: bytes | None = None, receive_at_most: int = 0) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, receive_at_most)
        if routing_id is not None:
            self.socket.setsockopt(zmq.ROUTING_ID, routing_id)
        self.socket.connect(f"ipc://{paths.bus_socket}")
        self.daemon = "person@root"
        self.pushed: list[list[bytes]] = []
        self.state: dict[str, Any] = {}
        self._last = 0

    def __enter__(self) -> Raw:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close(linger=0)
        self.context.term()

    # -- frames --------------------------------------------------------------------------------------

    def send(self, *frames: bytes) -> None:
        self.socket.send_multipart(list(frames))

    def receive(self, timeout_s: float = WAIT_S) -> list[bytes]:
        """The next message, whatever it is."""
        if not self.socket.poll(int(timeout_s * 1000)):
            raise AssertionError(f"The bus said nothing to {self.daemon} for {timeout_s} s.")
        return self.socket.recv_multipart()

    def call(self, op: bytes, header: Mapping[str, Any] | bytes, *raws: bytes) -> Any:
        """The body of the answer; raises what the bus refuses with."""
        self._last += 1
        number = b"%d" % self._last
        self.send(op, number, header if isinstance(header, bytes) else orjson.dumps(header), *raws)
        while True:
            frames = self.receive()
            if frames[0] not in (wire.OK, wire.NO):
                self.pushed.append(frames)
            elif frames[1] == number:
                body = orjson.loads(frames[2])
                if frames[0] == wire.NO:
                    raise refusal(**body)
                return body

    def refusal_of(self, op: bytes, header: Mapping[str, Any] | bytes, *raws: bytes) -> str | None:
        """The code with which the bus refuses a request; None when it takes it."""
        try:
            self.call(op, header, *raws)
        except LigandError as error:
            return error.code
        return None

    # -- what a client does --------------------------------------------------------------------------

    def attach(self, daemon: str, lanes: Mapping[str, int] | None = None, in_hand: Sequence[Any] = ()) -> Any:
        self.daemon = daemon
        header = {"protocol": wire.PROTOCOL, "daemon": daemon, "version": "test", "in_hand": list(in_hand)}
        if lanes is not None:
            header["lanes"] = dict(lanes)
        body = self.call(wire.ATTACH, header)
        self.state = body["state"]
        return body

    def detach(self) -> None:
        self.call(wire.DETACH, {})

    def make(self, name: str, facts: Mapping[str, Any], **fields: Any) -> Signal:
        fields = {"id": uuid7(), "timestamp": rfc3339(time.time()), "version": 1, "source": self.daemon, **fields}
        return Signal(signal=name, host="here", facts=dict(facts), **fields)

    def emit(self, *signals: Signal, put: Mapping[str, Any] | None = None) -> list[int]:
        header: dict[str, Any] = {} if self.daemon.startswith("person@") else {"attached": True}
        if put:
            header["put"] = put
        found: list[int] = self.call(wire.EMIT, header, *(encode(signal) for signal in signals))
        return found

    def settle(self, given: Given, *signals: Signal, verdict: str = wire.ACK, **fields: Any) -> None:
        header = {"lane": given.lane, "seq": given.seq, "verdict": verdict, **fields}
        self.call(wire.SETTLE, header, *(encode(signal) for signal in signals))

    def ask(self, given: Given, request: Signal) -> Any:
        return self.call(wire.ASK, {"lane": given.lane, "seq": given.seq}, encode(request))

    def query(self, what: str, **fields: Any) -> Any:
        return self.call(wire.QUERY, {"what": what, **fields})

    # -- what the bus says by itself -----------------------------------------------------------------

    def push(self, kind: bytes, timeout_s: float = WAIT_S) -> list[bytes]:
        """The next push of a kind; others are kept."""
        for index, frames in enumerate(self.pushed):
            if frames[0] == kind:
                return self.pushed.pop(index)
        deadline = time.monotonic() + timeout_s
        while True:
            frames = self.receive(max(deadline - time.monotonic(), 0.0))
            if frames[0] == kind:
                return frames
            self.pushed.append(frames)

    def given(self, timeout_s: float = WAIT_S) -> Given:
        """The next signal that is delivered."""
        frames = self.push(wire.DELIVER, timeout_s)
        return Given(orjson.loads(frames[2]), decode(frames[3]))

    def answer(self, timeout_s: float = WAIT_S) -> Signal:
        """The next answer to something asked."""
        return decode(self.push(wire.ANSWER, timeout_s)[3])

    def drain(self) -> None:
        """Settle what earlier tests left."""
        while not self.nothing():
            self.settle(self.given())

    def nothing(self, kind: bytes = wire.DELIVER) -> bool:
        """Whether the bus, having had the occasion, pushed nothing of a kind: two whole turns have passed."""
        self.query("status")
        self.query("status")
        return not any(frames[0] == kind for frames in self.pushed)


@contextlib.contextmanager
def attached(paths: Paths, daemon: str, **options: Any) -> Iterator[Raw]:
    """A raw client attached as `daemon`; detached at the end, so that the next test finds nothing in hand."""
    with Raw(paths) as client:
        client.attach(daemon, **options)
        yield client
        with contextlib.suppress(LigandError):
            client.detach()
