"""A small server with the OpenAI interface, over real HTTP, that does what a test tells it to.

Each request for an answer takes the next of `plans`, else `usual`; the worker's own tries take those of `trials`. It
notes what it was asked, and when an answer began and ended; a server of one slot answers one request at a time, in the
order in which they came.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.ports import held

WAIT_S = 60.0
PAUSE_S = 0.05
"""Between two pieces of an answer that does not end: often enough to be no silence, and cheap."""


@dataclass(frozen=True)
class Plan:
    """How one request is answered. `thinks` and `pieces` are streamed; then comes what `ends` says.

    `ends`: stop, length, content_filter (a finish_reason), cut (the connection), silent (a stream without an end),
    stall (nothing more until the other side goes), hold (until `go`, or the other side goes), dies (the connection, and
    the server with it), error (told in the stream). `late_s`: seconds between the greeting and the first piece.
    `goodbye`: whether the stream itself ends once the answer has. `whole`: it is no stream, though one was asked for.
    `kind`: what a stream calls itself.
    """

    pieces: tuple[str, ...] = ("Hello", " there", ".")
    ends: str = "stop"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "so it was told"
    usage: Mapping[str, int] | None = None
    no_choice: bool = False
    forever: bool = False
    thinks: tuple[str, ...] = ()
    late_s: float = 0.0
    goodbye: bool = True
    whole: bool = False
    kind: str = "text/event-stream"


def says(*pieces: str, **more: Any) -> Plan:
    return Plan(pieces=pieces, **more)


def fails(status: int, message: str = "so it was told", **headers: str) -> Plan:
    return Plan(status=status, message=message, headers={k.replace("_", "-"): v for k, v in headers.items()})


class ModelServer:
    """The server. `asked` are the bodies of requests, `events` what happened, in order."""

    def __init__(self, port: int, slots: int = 1 << 20) -> None:
        self.forget()
        self.slots = threading.Semaphore(slots)
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._http = _Server(("127.0.0.1", port), _Handler)
        self._http.model_server = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def forget(self) -> None:
        """Be as it was at the beginning, for another test."""
        self.plans: deque[Plan] = deque()
        self.trials: deque[Plan] = deque()
        self.usual = Plan()
        self.models = ["test-model"]
        self.models_status = 200
        self.is_silent = False
        """Whether it takes connections and answers nothing to who asks for its models."""
        self.drips = ""
        """Which part of its answer, `headers` or `body`, comes a byte now and then and never ends; empty for none."""
        self.garbage: bytes | None = None
        """What it answers whatever it is asked, as the wrong kind of server does."""
        self.headers: list[str] = []
        self.shapes: set[str] = {"json_schema", "json_object_schema", "json_object"}
        self.key: str | None = None
        self.embed: Callable[[str], list[float]] | None = None
        """What its `/embeddings` answers for a text; it has none where this is None."""
        self.asked: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.go = threading.Event()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def questions(self) -> list[dict[str, Any]]:
        """What was asked, probes aside."""
        return [body for body in self.asked if not is_probe(body)]

    def note(self, event: str) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def until(self, event: str, count: int = 1) -> None:
        """Block until something has happened so often."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.events.count(event) >= count, WAIT_S), (event, self.events)

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def die(self) -> None:
        """Answer nobody any more, as after a SIGKILL."""
        self._http.shutdown()
        self._http.socket.close()
        self.note("died")

    def close(self) -> None:
        self._stopping.set()
        self.go.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@contextlib.contextmanager
def model_server(port: int | None = None, **options: Any) -> Iterator[ModelServer]:
    """A server on a port that is its own until the end, also once it has died; or on one that the test holds."""
    with held() if port is None else contextlib.nullcontext(port) as its:
        server = ModelServer(its, **options)
        try:
            yield server
        finally:
            server.close()


def is_probe(body: Mapping[str, Any]) -> bool:
    return body["messages"][-1]["content"] in ("Say hello.", "Say hello as JSON.")


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # joined at the end, so that none outlives a test
    request_queue_size = 32
    model_server: ModelServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what a test wanted."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test knows."""

    @property
    def it(self) -> ModelServer:
        return self.server.model_server

    def do_GET(self) -> None:
        self.it.note("looked")
        self.it.headers.append(str(self.headers))
        if self.it.is_silent:
            self.it.go.wait(WAIT_S)
        if self._dripped() or self._refused():
            return
        if self.it.models_status != 200:
            self._say(self.it.models_status, {"error": {"message": "not now"}})
            return
        self._say(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in self.it.models]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._dripped():
            return
        if self.path.endswith("/embeddings"):
            self._embed(body["input"])
            return
        self.it.asked.append(body)
        self.it.headers.append(str(self.headers))
        if self._refused():
            return
        if is_probe(body):
            tried = body["max_tokens"] == 1 and self.it.trials
            self._play(self.it.trials.popleft() if tried else _probed(self.it.shapes, body))
            return
        self.it.note("asked")
        plan = self.it.plans.popleft() if self.it.plans else self.it.usual
        with self.it.slots:
            self._play(plan)
        self.it.note("answered")

    def _refused(self) -> bool:
        if self.it.garbage is not None:
            kind = "text/html" if self.it.garbage.startswith(b"<") else "application/json"
            self._say_bytes(200, self.it.garbage, {"Content-Type": kind})
            return True
        if self.it.key is None or self.headers.get("Authorization") == f"Bearer {self.it.key}":
            return False
        self._say(401, {"error": {"message": f"Incorrect key: {self.headers.get('Authorization')}"}})
        return True

    def _dripped(self) -> bool:
        if not self.it.drips:
            return False
        self.close_connection = True
        begun, more = {"headers": (b"X-More: ", b"a"), "body": (b"\r\n", b" ")}[self.it.drips]
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + begun)
            while not self.it.stopping:
                self.wfile.write(more)
                self.it.go.wait(0.02)
        except OSError:
            self.it.note("left")
        return True

    def _embed(self, texts: list[str]) -> None:
        self.it.note("embedded")
        if self.it.embed is None:
            self._say(503, {"error": {"message": "no embeddings"}})
            return
        rows = [{"index": nth, "embedding": self.it.embed(text)} for nth, text in enumerate(texts)]
        self._say(200, {"object": "list", "data": rows[::-1]})

    def _say(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        self._say_bytes(status, json.dumps(body).encode(), headers)

    def _say_bytes(self, status: int, raw: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        said = {"Content-Type": "application/json", "Content-Length": str(len(raw)), **(headers or {})}
        for name, value in said.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(raw)
        self.close_connection = True

    def _play(self, plan: Plan) -> None:
        if plan.status != 200:
            self._say(plan.status, {"error": {"message": plan.message}}, plan.headers)
            return
        if plan.whole:
            self._say_whole(plan)
            return
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", plan.kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            self._stream(plan)
        except OSError:
            self.it.note("left")

    def _say_whole(self, plan: Plan) -> None:
        if plan.ends == "error":
            self._say(200, {"error": {"message": plan.message}})
            return
        message = {"role": "assistant", "content": "".join(plan.pieces)}
        choices = [] if plan.no_choice else [{"index": 0, "message": message, "finish_reason": plan.ends}]
        self._say(200, {"object": "chat.completion", "model": "m", "choices": choices, "usage": plan.usage})

    def _stream(self, plan: Plan) -> None:
        if plan.late_s:
            self._event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
            self.it.go.wait(plan.late_s)
        for text in plan.thinks:
            self._event([{"index": 0, "delta": {"reasoning_content": text}, "finish_reason": None}])
        for text in plan.pieces:
            self._event([{"index": 0, "delta": {"content": text}, "finish_reason": None}])
        self.it.note("begun")
        while plan.forever and not self.it.stopping:
            self._event([{"index": 0, "delta": {"content": " on"}, "finish_reason": None}])
            self.it.go.wait(PAUSE_S)
        if plan.ends in ("stall", "hold"):
            while not self.it.go.is_set():
                self._chunk(b": still here\n\n")  # a comment, which only shows that the other side is there
                self.it.go.wait(PAUSE_S)
        if plan.ends == "dies":
            self.it.die()
        if plan.ends in ("cut", "dies"):
            return
        if plan.ends == "error":
            self._chunk(b"data: " + json.dumps({"error": {"message": plan.message}}).encode() + b"\n\n")
        elif plan.ends != "silent":
            reason = "stop" if plan.ends in ("stall", "hold") else plan.ends
            choice = {"index": 0, "delta": {}, "finish_reason": reason}
            self._event([] if plan.no_choice else [choice])
            if plan.usage is not None:
                self._event([], plan.usage)
            if not plan.goodbye:
                return
            self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, choices: list[Any], usage: Mapping[str, int] | None = None) -> None:
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": choices}
        self._chunk(b"data: " + json.dumps({**chunk, "usage": usage}).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()


def _probed(shapes: set[str], body: Mapping[str, Any]) -> Plan:
    """What a server that really does `shapes` answers to the question which finds out; another shape it refuses."""
    wanted = body.get("response_format")
    if wanted is None:
        return Plan()
    shape = "json_object_schema" if "schema" in wanted else wanted["type"]
    if f"ignores {shape}" in shapes:
        return says("Hello!" if shape == "json_object" else '{"hello": "you"}')
    if shape not in shapes:
        return fails(500, "unknown response_format")
    return says('{"hello": "you"}') if shape == "json_object" else says('{"colour": "ultraviolet"}')
