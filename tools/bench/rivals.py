"""What else a person could pick, started for one round in a folder of its own: servers, and the programs that use them.

The servers are Debian's; the clients live in an environment that `make bench` makes from a lock of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.bench.home import ROOT, BenchError

PYTHON = ROOT / ".venv-bench" / "bin" / "python"
PEERS = Path(__file__).parent / "peers"
PAYLOAD = "x" * 450
"""What each message of others carries: as many bytes as a signal has, between what is emitted and what is delivered."""
SERVERS = ("nats-server", "redis-server", "mosquitto")
START_S, RUN_S = 20.0, 300.0


def missing() -> str | None:
    """Why the yardsticks cannot be measured here, None when they can."""
    if not PYTHON.exists():
        return "their clients are not there: make bench sets them up"
    absent = [name for name in SERVERS if _program(name) is None]
    return f"{', '.join(absent)} not found: tools/install-debian-packages bench" if absent else None


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextmanager
def jetstream(folder: Path) -> Iterator[str]:
    """A NATS server that keeps streams in files; the port."""
    port = _free_port()
    command = ["nats-server", "-js", "-sd", str(folder / "jetstream"), "-a", "127.0.0.1", "-p", str(port)]
    with _serving(folder, command, lambda: _answers(socket.AF_INET, ("127.0.0.1", port))):
        yield str(port)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis server that syncs each write; the path of its socket."""
    path = folder / "redis.sock"
    store = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--dir", str(folder), *store]
    with _serving(folder, command, lambda: _answers(socket.AF_UNIX, str(path))):
        yield str(path)


@contextmanager
def mosquitto(folder: Path) -> Iterator[str]:
    """An MQTT broker with persistence as it is by default; the port."""
    port, store = _free_port(), folder / "mosquitto"
    store.mkdir(mode=0o777, exist_ok=True)
    store.chmod(0o777)  # the broker changes to a user of its own
    folder.chmod(0o755)
    lines = (
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence true",
        f"persistence_location {store}/",
        "max_inflight_messages 0",
        "max_queued_messages 0",
    )
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    command = ["mosquitto", "-c", str(folder / "mosquitto.conf")]
    with _serving(folder, command, lambda: _answers(socket.AF_INET, ("127.0.0.1", port))):
        yield str(port)


@contextmanager
def _serving(folder: Path, command: Sequence[str], answers: Callable[[], bool]) -> Iterator[None]:
    program = _program(command[0])
    if program is None:
        raise BenchError(f"{command[0]} is not installed: tools/install-debian-packages bench")
    log_path = folder / f"{command[0]}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen([program, *command[1:]], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while not answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{command[0]} did not start:\n{log_path.read_text()[-1000:]}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _answers(family: socket.AddressFamily, address: Any) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(address) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Peer:
    """A program of `peers/`. It ends with its last line, one JSON object; one that waits for others says `ready`."""

    def __init__(self, program: str, *arguments: object, python: Path = PYTHON) -> None:
        command = [str(python), str(PEERS / f"{program}.py"), *map(str, arguments)]
        self._name = f"{program} {arguments[0]}"
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ready(self) -> Peer:
        """Wait until it says so."""
        if self._process.stdout is None or self._process.stdout.readline() != "ready\n":
            self.kill()
            raise BenchError(f"{self._name} did not get ready: {self._process.communicate()[1][-1000:]}")
        return self

    def result(self) -> dict[str, float]:
        """What it measured."""
        try:
            told, wrong = self._process.communicate(timeout=RUN_S)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise BenchError(f"{self._name} has not ended within {RUN_S:g} s.") from error
        if self._process.returncode:
            raise BenchError(f"{self._name} failed: {wrong[-1000:]}")
        found: dict[str, float] = json.loads(told.splitlines()[-1])
        return found

    def kill(self) -> None:
        """End it now."""
        self._process.kill()


def rate(results: Sequence[dict[str, float]]) -> float:
    """All that several programs did together, a second from the first beginning to the last end."""
    seconds = max(one["ended"] for one in results) - min(one["began"] for one in results)
    return sum(one["count"] for one in results) / seconds


def together(program: str, *arguments: object, times: int = 1) -> float:
    """The rate of so many of one program at once."""
    peers = [Peer(program, *arguments) for _ in range(times)]
    return rate([peer.result() for peer in peers])
