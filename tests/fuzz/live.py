"""The doors of a running constellation: its two sockets, and the drop folder."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import orjson
import zmq

from services.bus.store import PAGE_CACHE_KIB
from services.intent_router.folder import is_temporary
from signals import wire
from signals.catalogue import Catalogue
from signals.envelope import encode
from signals.errors import LigandError, refusal
from signals.journal import Journal
from signals.live import Subscription
from tests.fuzz.door import TAKEN, Door
from tests.fuzz.mutator import ODD_BYTES
from tests.fuzz.pure import EXAMPLES, signals_of
from tests.support.constellation import Constellation
from tests.support.raw import Raw

KINDS: list[type[LigandError]] = [LigandError, *LigandError.__subclasses__()]
FAMILY = {kind.code for kind in KINDS}
CUT = b"\x1e"
"""What separates the frames of one message in an input."""


class _Live(Door):
    """A door of a bus that runs in a home of its own, whose page cache of 16 MiB fills with the journal."""

    may_grow_kib = Door.may_grow_kib + PAGE_CACHE_KIB

    def __init__(self, folder: Path) -> None:
        self.home = Constellation(folder)
        self.home.paths.ensure()
        self.home.config("bus", {"quota": {"roots_per_s": 0}})
        self.home.manifest("eater", consumes=["Q_INTENT_READY"], emits=["Q_INTENT_READY"], in_flight=8)
        self.bus = self.home.bus()
        self.raw = Raw(self.home.paths)

    def pid(self) -> int:
        return self.bus.pid

    def settle(self) -> None:
        """The same bus still answers a person who asks properly."""
        with Raw(self.home.paths) as person:
            assert person.query("status")["pid"] == self.bus.pid

    def close(self) -> None:
        self.raw.__exit__(None, None, None)
        code = self.bus.stop()
        self.home.close()
        if code != 0:
            raise AssertionError(f"the bus ended with {code}:\n{self.bus.tail()}")


class BusSocket(_Live):
    """Messages of any count of frames; what is sent back is an answer or a refusal of our family."""

    name = "bus"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.raw.attach("eater")

    def seeds(self) -> Sequence[bytes]:
        raws = [encode(signal) for signal in signals_of(Catalogue.load())]
        attach = {"protocol": wire.PROTOCOL, "daemon": "eater", "lanes": {"": 8}, "in_hand": [["", 1]]}
        settle = {"lane": "", "seq": 1, "verdict": "ack", "put": {"count": 1}, "error": "x", "retry_in": 1}
        whats = ("status", "consumers", "pause", "resume", "dead", "dead.replay", "dead.drop", "prune", "end")
        return [
            *(CUT.join((wire.EMIT, b"{}", raw)) for raw in raws),
            CUT.join((wire.EMIT, b'{"attached":true,"put":{"n":1}}', *raws[:3])),
            CUT.join((wire.ATTACH, orjson.dumps(attach))),
            *(
                CUT.join((wire.SETTLE, orjson.dumps({**settle, "verdict": verdict}), raws[0]))
                for verdict in (wire.ACK, wire.NAK, wire.REJECT, wire.UNAVAILABLE, wire.RETURN)
            ),
            CUT.join((wire.ASK, b'{"lane":"","seq":1}', raws[0])),
            CUT.join((wire.MANY, b'[["emit",1,{},2],["settle",2,{"lane":"","seq":1},1],["query",3,{},0]]', *raws[:3])),
            CUT.join((wire.LIVE, *raws[:2])),
            *(CUT.join((op, b"{}")) for op in (wire.BEAT, wire.DETACH)),
            *(CUT.join((wire.QUERY, orjson.dumps({"what": what, "daemon": "eater"}))) for what in whats),
            CUT.join((wire.QUERY, b'{"what":"dead.drop","dead_letter_id":1}')),
        ]

    def take(self, raw: bytes) -> str:
        """The answer to one message; what wants none is followed by a question that does."""
        op, *rest = raw.split(CUT)
        self.raw.send(op, b"f", *rest)
        self.raw.send(wire.QUERY, b"end", b'{"what":"end"}')
        answer = None
        while (frames := self.raw.receive())[1] != b"end":
            if frames[1] == b"f":
                assert answer is None, f"answered twice: {answer} {frames}"
                answer = frames
        if answer is None:
            return "taken without an answer"
        body = orjson.loads(answer[2])
        if answer[0] == wire.NO:
            assert body["code"] in FAMILY, body
            raise refusal(**body)
        assert answer[0] == wire.OK, answer
        return TAKEN


class RawBytes(_Live):
    """Bytes that need not be ZeroMQ at all, on both sockets; the first byte says on which."""

    name = "zmtp"
    GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\0NULL" + b"\0" * 48
    READY = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x06DEALER"

    def seeds(self) -> Sequence[bytes]:
        emit = b"\x01\x04emit\x01\x011\x00\x02{}"
        v1 = b"\x01\0\x02\0x"
        return [self.GREETING, self.GREETING + self.READY, self.GREETING + self.READY + emit, v1, *ODD_BYTES[:4]]

    def take(self, raw: bytes) -> str:
        paths = self.home.paths
        path = paths.mirror_socket if len(raw) % 2 else paths.bus_socket
        with socket.socket(socket.AF_UNIX) as peer, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.connect(str(path))
            peer.sendall(raw[:4096])
        return TAKEN


class Mirror(_Live):
    """Subscriptions: any bytes a subscriber may send to the mirror."""

    name = "mirror"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._socket = self.raw.context.socket(zmq.XSUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(f"ipc://{self.home.paths.mirror_socket}")

    def seeds(self) -> Sequence[bytes]:
        return [b"\x01", b"\x00", b"\x01Q_INTENT_READY", b"\x00Q_INTENT_READY", b"\x01_beacon", b"\x02", b""]

    def take(self, raw: bytes) -> str:
        self._socket.send(raw, zmq.NOBLOCK)
        while self._socket.poll(0):
            self._socket.recv_multipart()
        return TAKEN

    def settle(self) -> None:
        """A proper subscriber still hears the beacon."""
        super().settle()
        with Subscription(self.home.paths.mirror_socket) as proper:
            assert proper.wait(60.0), "the mirror is silent"

    def close(self) -> None:
        self._socket.close()
        super().close()


class DropFolder(_Live):
    """Names and contents of files, in the folder of a running router: each is moved away and answered or refused.

    The first line is the name, the rest the content.
    """

    name = "drops"
    AT_ONCE = 100
    ENDS = ("Q_INTENT_READY", "Q_INTENT_REJECTED")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.router = self.home.daemon("intent_router").ready()
        self._put = self._nth = 0

    def pid(self) -> int:
        return self.router.pid

    def seeds(self) -> Sequence[bytes]:
        names = (b"ask.json", b"ask.txt", b"ask.md", b"ask", b"a b\xff.json", b"-rf.json", b"ask.json.gz")
        return [name + b"\n" + file.read_bytes() for name in names for file in sorted(EXAMPLES.iterdir())]

    def take(self, raw: bytes) -> str:
        name, _, content = raw.partition(b"\n")
        name = b"%d_" % self._nth + name.replace(b"/", b"_").replace(b"\0", b"_")[:200]
        self._nth += 1
        folder = str(self.home.paths.intents).encode()
        with open(folder + b"/.fresh", "wb") as file:
            file.write(content)
        os.rename(folder + b"/.fresh", os.path.join(folder, name))
        if is_temporary(os.fsdecode(name)):
            return "left alone: the name of a file that is not finished"
        self._put += 1
        if self._put % self.AT_ONCE == 0:
            self._await()
        return TAKEN

    def _await(self) -> None:
        """Until each file put so far was routed or refused, and none twice."""
        deadline = time.monotonic() + 60.0
        with Journal(self.home.paths.journal) as journal:
            while (found := sum(journal.names().get(name, 0) for name in self.ENDS)) < self._put:
                assert time.monotonic() < deadline, f"{found:,} of {self._put:,} files: {self.router.tail()}"
                time.sleep(0.01)
        assert found == self._put, f"{found:,} ends for {self._put:,} files"

    def settle(self) -> None:
        super().settle()
        self._await()
        assert self.router.process.poll() is None, self.router.tail()

    def close(self) -> None:
        assert self.router.stop() == 0
        super().close()


LIVE: tuple[type[_Live], ...] = (BusSocket, RawBytes, Mirror, DropFolder)
