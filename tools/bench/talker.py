"""A stand-in for a model server: it streams the same words, each after a known time, and notes how long it took."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

MODEL = "stand-in"


class Talker(ThreadingHTTPServer):
    """Answers every question with `pieces`, `pause_s` before each. `took` are the seconds of each answer, in order."""

    def __init__(self, pieces: Sequence[str], pause_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pieces = pieces
        self.pause_s = pause_s
        self.took: list[float] = []

    @property
    def url(self) -> str:
        """Its address, as a model worker wants it."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def talking(pieces: Sequence[str], pause_s: float) -> Iterator[Talker]:
    """A talker in a thread of its own, gone at the end."""
    talker = Talker(pieces, pause_s)
    thread = Thread(target=talker.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield talker
    finally:
        talker.shutdown()
        talker.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Talker

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the figures say it."""

    def do_GET(self) -> None:
        self._begin("application/json")
        self.wfile.write(json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode())

    def do_POST(self) -> None:
        began = time.monotonic()
        self.rfile.read(int(self.headers["Content-Length"]))
        self._begin("text/event-stream")
        for text in self.server.pieces:
            time.sleep(self.server.pause_s)
            self._tell({"content": text}, None)
        self.server.took.append(time.monotonic() - began)
        self._tell({}, "stop")
        self.wfile.write(b"data: [DONE]\n\n")

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _tell(self, delta: Mapping[str, str], reason: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": MODEL, "choices": [choice]}
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
