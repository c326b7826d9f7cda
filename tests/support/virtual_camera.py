"""A camera with an address: motion JPEG over real HTTP, at an even pace, that shows what a test wants."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.ports import held

FPS = 15.0
BOUNDARY = "frame"


class VirtualCamera:
    """Shows one picture, or several in turn, until it is given others. It can stall, and be unplugged and plugged in
    again.
    """

    def __init__(self, port: int, picture: bytes, *others: bytes, fps: float = FPS) -> None:
        self.pictures = (picture, *others)
        self.fps = fps
        self.stalled = False
        self.sent = 0
        self._changed = threading.Condition()
        self._port = port
        self.plug()

    @property
    def picture(self) -> bytes:
        """The one that is shown next."""
        return self.pictures[self.sent % len(self.pictures)]

    @picture.setter
    def picture(self, picture: bytes) -> None:
        self.pictures = (picture,)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/camera"

    def plug(self) -> None:
        """Listen, on the same port as before."""
        self.plugged = True
        self._http = _Server(("127.0.0.1", self._port), _Handler)
        self._http.camera = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """End every connection, and take no more."""
        if self.plugged:
            self.plugged = False
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()

    def wait_watched(self, timeout_s: float = 30.0) -> None:
        """Block until somebody gets pictures."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.sent > 0, timeout_s), "nobody watches the camera"

    def stream(self, out: Any) -> None:
        """Send pictures, each at its time; one that comes too late is left out."""
        due = time.monotonic()
        while self.plugged:
            due = max(due + 1 / self.fps, time.monotonic() - 1 / self.fps)
            time.sleep(max(0.0, due - time.monotonic()))  # the pace of a camera
            if not self.stalled:
                picture = self.picture
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                out.write(head.encode() + picture + b"\r\n")
                out.flush()
                with self._changed:
                    self.sent += 1
                    self._changed.notify_all()


class _Server(ThreadingHTTPServer):
    camera: VirtualCamera
    allow_reuse_address = True


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.end_headers()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            self.server.camera.stream(self.wfile)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def virtual_camera(picture: bytes, *others: bytes, fps: float = FPS) -> Iterator[VirtualCamera]:
    """A camera that is gone at the end; until then its port is its own, unplugged or not."""
    with held() as port:
        camera = VirtualCamera(port, picture, *others, fps=fps)
        try:
            yield camera
        finally:
            camera.unplug()
