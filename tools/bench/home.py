"""A temporary home with a bus of its own, and the processes that a benchmark measures."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from services.runtime.manifest import packaged
from signals.errors import LigandError
from signals.journal import Journal
from signals.paths import Paths

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60.0
PAD = "x" * 200
"""What each signal of a benchmark carries, beside a number."""


class BenchError(LigandError):
    """The benchmark could not be run to its end."""


class Home:
    """The constellation of one benchmark: no packaged daemon but those named, no quota of roots."""

    def __init__(self, folder: Path, daemons: Sequence[str] = ()) -> None:
        self.folder = folder
        self.paths = Paths.resolve(folder)
        self.paths.ensure()
        self._daemons = daemons
        self._running: list[subprocess.Popen[bytes]] = []

    def contract(self, name: str) -> None:
        """A contract of the benchmark's own: a number and padding."""
        self.paths.contracts.mkdir(exist_ok=True)
        facts = {
            "n": {"type": "integer", "description": "A count."},
            "pad": {"type": "string", "description": "Ballast."},
        }
        document = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": name,
            "description": f"{name} of a benchmark.",
            "type": "object",
            "properties": facts,
            "required": ["n", "pad"],
            "additionalProperties": False,
            "examples": [{"n": 1, "pad": ""}],
            "x-ligand": {
                "kind": "intent",
                "version": 1,
                "unconsumed": "the benchmark counts it",
                "counter_examples": [{"facts": {"n": "one", "pad": ""}, "why": "a number is no text"}],
            },
        }
        (self.paths.contracts / f"{name}.json").write_text(json.dumps(document))

    def manifest(self, daemon: str, **fields: Any) -> None:
        """A manifest of the benchmark's own."""
        self.paths.manifests.mkdir(exist_ok=True)
        document = {"daemon": daemon, "description": f"{daemon} of a benchmark", **fields}
        (self.paths.manifests / f"{daemon}.yaml").write_text(yaml.safe_dump(document))

    def bus(self, **config: Any) -> subprocess.Popen[bytes]:
        """Start the bus, with more configuration where given; it is ready when this returns."""
        rooms = {path.parent.name for path in packaged()}
        config |= {"quota": {"roots_per_s": 0}, "disable": sorted(rooms - {"bus", *self._daemons})}
        self.paths.config_of("bus").write_text(yaml.safe_dump(config))
        return self.start("bus", "-m", "services.bus")

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a Python process of this constellation and wait until it says that it is ready."""
        with _notifications() as (notify, address), (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(address),
            )
            self._running.append(process)
            if not _is_ready(notify, process):
                raise BenchError(f"{name} did not get ready:\n{(self.folder / f'{name}.log').read_text()[-2000:]}")
        return process

    def _environment(self, notify: str) -> Mapping[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "LIGAND_"))}
        return {**kept, "LIGAND_HOME": str(self.folder), "NOTIFY_SOCKET": notify, "PYTHONPATH": str(ROOT)}

    def wait(self, done: Callable[[Journal], bool], timeout_s: float) -> None:
        """Look into the journal, which costs the bus nothing, until `done`. Raises `BenchError`."""
        deadline = time.monotonic() + timeout_s
        with Journal(self.paths.journal) as journal:
            while not done(journal):
                if time.monotonic() > deadline:
                    raise BenchError(f"Not done within {timeout_s:g} s; the journal holds {journal.names()}.")
                time.sleep(0.02)

    def cpu_s(self) -> list[float]:
        """CPU seconds that each process has used so far, the bus first, all threads included."""
        return [cpu_s(process.pid) for process in self._running]

    def wait_settled(self, daemon: str, last: int, timeout_s: float) -> None:
        """Until a daemon has settled all up to the signal `last`. Raises `BenchError`."""

        def is_there(journal: Journal) -> bool:
            return all(row.cursor >= last for row in journal.consumers() if row.consumer == daemon)

        self.wait(is_there, timeout_s)

    def head(self) -> int:
        """How many signals were journaled so far."""
        with Journal(self.paths.journal) as journal:
            return journal.head()

    def close(self) -> None:
        """End what runs, the bus last."""
        while self._running:
            process = self._running.pop()
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def opened(within: Path, daemons: Sequence[str] = ()) -> Iterator[Home]:
    """A home that is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="ligand-bench-", dir=within) as folder:
        home = Home(Path(folder), daemons)
        try:
            yield home
        finally:
            home.close()


@contextmanager
def _notifications() -> Iterator[tuple[socket.socket, str]]:
    name = f"ligand-bench-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(f"\0{name}")
        notify.settimeout(0.5)
        yield notify, f"@{name}"


def _is_ready(notify: socket.socket, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if "READY=1" in notify.recv(8192).decode().split("\n"):
                return True
        except TimeoutError:
            continue
    return False


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used so far, all its threads included: to the nanosecond where the kernel counts
    so, else to its tick."""
    try:
        tasks = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    except OSError:
        tasks = []
    if tasks:
        return sum(int(task.split()[0]) for task in tasks) / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
