"""What ZeroMQ itself takes there and back on a unix socket: `python -m tools.bench.echo SOCKET` sends all back."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import zmq

from tools.bench import rivals
from tools.bench.home import ROOT


def round_trips(per_s: int, seconds: float) -> list[float]:
    """Milliseconds of each round trip at a steady rate, one at a time where the rate leaves room for it."""
    with tempfile.TemporaryDirectory(prefix="ligand-bench-") as folder:
        path = f"{folder}/echo.sock"
        server = subprocess.Popen([sys.executable, "-m", "tools.bench.echo", path], cwd=ROOT)
        context = zmq.Context()
        client = context.socket(zmq.DEALER)
        try:
            client.connect(f"ipc://{path}")
            client.send(b"")
            client.recv()
            return _paced(client, per_s, int(per_s * seconds))
        finally:
            client.close(0)
            context.term()
            server.kill()
            server.wait()


def _paced(client: zmq.Socket[bytes], per_s: int, count: int) -> list[float]:
    took, due, message = [], time.monotonic(), rivals.PAYLOAD.encode()
    for _ in range(count):
        due += 1 / per_s
        time.sleep(max(0.0, due - time.monotonic()))
        began = time.perf_counter()
        client.send(message)
        client.recv()
        took.append(1000 * (time.perf_counter() - began))
    return took


def serve(path: Path) -> None:
    """Send back what comes, until killed."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    socket = context.socket(zmq.ROUTER)
    socket.bind(f"ipc://{path}")
    while True:
        socket.send_multipart(socket.recv_multipart())


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
