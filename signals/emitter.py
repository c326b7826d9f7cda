"""A plain synchronous way to emit and to query, for scripts and for people. Needs no event loop and no session."""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import zmq

from signals import wire
from signals.catalogue import Catalogue
from signals.envelope import Signal, encode, rfc3339
from signals.errors import BusUnreachableError, LigandError, refusal
from signals.ids import uuid7
from signals.paths import endpoint

SEND_AGAIN_S = 1.0
RECONNECT_MS = 50


def person() -> str:
    """The name under which the present user emits."""
    try:
        return "person@" + pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"person@{os.getuid()}"


class Emitter:
    """A connection for requests without a session. Use it in one thread, and close it or use it with `with`."""

    def __init__(
        self,
        bus_socket: Path,
        source: str | None = None,
        timeout_s: float = 5.0,
        catalogue: Catalogue | None = None,
    ) -> None:
        self.source = source or person()
        self._path = bus_socket
        self._address = endpoint(bus_socket)
        self._timeout_s = timeout_s
        self._catalogue = catalogue
        self._context = zmq.Context()
        self._socket = self._connect()
        self._last = 0

    def _connect(self) -> zmq.Socket[bytes]:
        found = self._context.socket(zmq.DEALER)
        found.setsockopt(zmq.LINGER, 0)
        found.setsockopt(zmq.SNDHWM, 0)
        found.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        found.connect(self._address)
        return found

    def __enter__(self) -> Emitter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
        self._context.term()

    def signal(self, name: str, facts: Mapping[str, Any], **fields: Any) -> Signal:
        """A new root signal of this source. Raises `SchemaError` when the facts do not fit, if there is a catalogue."""
        version = 1
        if self._catalogue is not None:
            contract = self._catalogue[name]
            contract.check(dict(facts))
            version = contract.version
        fields = {"id": uuid7(), "timestamp": rfc3339(time.time()), "version": version, **fields}
        return Signal(
            signal=name,
            source=self.source,
            host=socket.gethostname() or "localhost",
            facts=dict(facts),
            **fields,
        )

    def emit(self, *signals: Signal) -> list[int]:
        """Emit a batch, all or none; each `seq` once it is on disk. Raises what the bus refuses with.

        Without an answer it is sent again under the same ids until the time-out: `BusUnreachableError`.
        """
        found: list[int] = self._call(wire.EMIT, b"{}", [encode(signal) for signal in signals])
        return found

    def query(self, what: str, **fields: Any) -> Any:
        """Ask the bus something, or to do something."""
        return self._call(wire.QUERY, orjson.dumps({"what": what, **fields}), [])

    def _call(self, op: bytes, header: bytes, raws: Sequence[bytes]) -> Any:
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return self._once(op, header, raws, deadline)
            except LigandError as error:
                wait = float(error.fields.get("retry_after_s", 0.0)) if error.code == "quota" else 0.0
                if not wait or time.monotonic() + wait > deadline:
                    raise
                time.sleep(wait)

    def _once(self, op: bytes, header: bytes, raws: Sequence[bytes], deadline: float) -> Any:
        self._last += 1
        frames = [op, b"%d" % self._last, header, *raws]
        self._socket.send_multipart(frames)
        while (left := deadline - time.monotonic()) > 0:
            if self._socket.poll(int(min(left, SEND_AGAIN_S) * 1000) + 1):
                kind, answered, body = self._socket.recv_multipart()[:3]
                if answered == frames[1]:
                    found = orjson.loads(body)
                    if kind == wire.NO:
                        raise refusal(**found)
                    return found
            elif op == wire.EMIT:  # the bus may have been restarted; the same ids are the same signals
                self._socket.close()
                self._socket = self._connect()
                self._socket.send_multipart(frames)
        raise BusUnreachableError(
            f"No bus answers at {self._path} within {self._timeout_s:g} s. "
            "Start it: `ligand up`, or `systemctl start ligand-bus`."
        )
