"""Real processes of a constellation in a home of its own: start, await readiness, kill, stop, look into the journal."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from services.runtime.manifest import packaged
from signals.emitter import Emitter
from signals.envelope import Signal, decode
from signals.journal import Journal
from signals.live import Subscription
from signals.paths import Paths

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60.0


def others(*kept: str) -> list[str]:
    """Ligand's own daemons but the bus and those that a test wants: what its bus is told to disable."""
    return sorted({path.parent.name for path in packaged()} - {"bus", *kept})


class NotifySocket:
    """A NOTIFY_SOCKET in the abstract namespace; remembers what was said on it."""

    def __init__(self) -> None:
        name = f"ligand-test-{uuid.uuid4().hex}"
        self.address = f"@{name}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{name}")
        self.said: list[str] = []

    def wait_for(self, word: str, timeout_s: float = READY_S) -> None:
        """Block until a message has the line `word`."""
        self.socket.settimeout(timeout_s)
        while True:
            message = self.socket.recv(8192).decode()
            self.said.append(message)
            if word in message.split("\n"):
                return

    def forget(self) -> None:
        """Leave out what was said up to now and not waited for."""
        self.socket.settimeout(0.0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.said.append(self.socket.recv(8192).decode())

    def close(self) -> None:
        self.socket.close()


@dataclass
class Running:
    """One process, its notifications and its log."""

    name: str
    process: subprocess.Popen[bytes]
    notify: NotifySocket
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def ready(self, timeout_s: float = READY_S) -> Running:
        """Wait for READY=1; shows the log when the process ends instead."""
        return self.heard("READY=1", timeout_s)

    def heard(self, word: str, timeout_s: float = READY_S) -> Running:
        """Wait for a notification; shows the log when the process ends instead."""
        deadline = time.monotonic() + timeout_s
        while True:
            ended = self.process.poll() is not None
            try:
                self.notify.wait_for(word, 0.05 if ended else 0.5)
            except TimeoutError as error:
                if ended or time.monotonic() > deadline:
                    raise AssertionError(f"{self.name} never said {word}:\n{self.tail()}") from error
            else:
                return self

    def kill(self) -> None:
        """SIGKILL, and reap."""
        self.process.kill()
        self.process.wait(60)
        self.notify.close()

    def stop(self, timeout_s: float = 60.0) -> int:
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(timeout_s)
        self.notify.close()
        return code

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def tail(self, size: int = 6000) -> str:
        return self.log.read_text(errors="replace")[-size:]


@dataclass
class Constellation:
    """A home with a bus and whatever daemons a test starts in it."""

    home: Path
    running: list[Running] = field(default_factory=list)

    @property
    def paths(self) -> Paths:
        return Paths.resolve(self.home)

    def config(self, daemon: str, content: Mapping[str, Any]) -> None:
        path = self.paths.config_of(daemon)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(dict(content)))

    def manifest(self, daemon: str, **fields: Any) -> Path:
        """A user's manifest in `daemons.d`."""
        path = self.paths.manifests / f"{daemon}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({"daemon": daemon, "description": f"{daemon} of a test", **fields}))
        return path

    def contract(self, name: str, properties: Mapping[str, Any], **own: Any) -> None:
        """A user's contract in `contracts.d` whose facts are all required."""
        self.paths.contracts.mkdir(parents=True, exist_ok=True)
        example = own.pop("example")
        document = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": name,
            "description": f"{name} of a test.",
            "type": "object",
            "properties": {key: {"description": key, **value} for key, value in properties.items()},
            "required": sorted(set(properties) - set(own.pop("optional", ()))),
            "additionalProperties": False,
            "examples": [example],
            "x-ligand": {
                "kind": "intent",
                "version": 1,
                "unconsumed": "a test decides",
                "counter_examples": [{"facts": {"unheard_of": 1}, "why": "no such fact"}],
                **own,
            },
        }
        (self.paths.contracts / f"{name}.json").write_text(json.dumps(document))

    def start(self, name: str, *command: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Running:
        """Start a process of the constellation; does not wait."""
        self.paths.ensure_own()
        notify = NotifySocket()
        log = self.home / f"{name}.log"
        whole = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "LIGAND_"))}
        whole |= {
            "LIGAND_HOME": str(self.home),
            "NOTIFY_SOCKET": notify.address,
            "PYTHONPATH": str(ROOT),
            **(env or {}),
        }
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, *command],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=whole,
                cwd=cwd,
            )
        running = Running(name, process, notify, log)
        self.running.append(running)
        return running

    def bus(self, **env: str) -> Running:
        """Start the bus and wait until it is ready."""
        return self.start("bus", "-m", "services.bus", env=env).ready()

    def daemon(self, name: str, *arguments: str, **env: str) -> Running:
        """Start one of Ligand's own daemons."""
        return self.start(name, "-m", f"services.{name}", *arguments, env=env)

    def script(self, name: str, source: Path | str, *arguments: str, **env: str) -> Running:
        """Start a daemon written for a test: a file, or its source text."""
        if isinstance(source, str):
            path = self.home / f"{name}.py"
            path.write_text(source)
        else:
            path = source
        return self.start(name, str(path), *arguments, env=env)

    def emitter(self, **options: Any) -> Emitter:
        return Emitter(self.paths.bus_socket, **options)

    def journal(self) -> Journal:
        return Journal(self.paths.journal)

    def signals(self, *names: str) -> list[Signal]:
        """Every journaled signal of these names, in order."""
        with self.journal() as journal:
            return [decode(raw) for _, raw in journal.walk(0, names or None)]

    def dead(self) -> list[dict[str, Any]]:
        with self.journal() as journal:
            return list(journal.dead())

    def wait_for(self, name: str, count: int = 1, timeout_s: float = READY_S, **facts: Any) -> list[Signal]:
        """Block until `count` signals of a name (with these facts) are journaled; woken by the mirror."""
        deadline = time.monotonic() + timeout_s
        with Subscription(self.paths.mirror_socket, (name,)) as woken:
            while True:
                found = [s for s in self.signals(name) if facts.items() <= s.facts.items()]
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    logs = "\n".join(f"--- {r.name}\n{r.tail(2000)}" for r in self.running)
                    raise AssertionError(f"{len(found)} of {count} {name} {facts} came.\n{logs}")
                woken.wait(min(left, 2.0))

    def close(self) -> None:
        """Stop everything, daemons before the bus."""
        for running in reversed(self.running):
            if running.process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.process.terminate()
                    running.process.wait(20)
                if running.process.poll() is None:
                    running.kill()
            running.notify.close()


@contextlib.contextmanager
def constellation(home: Path) -> Iterator[Constellation]:
    """A constellation that is gone at the end."""
    found = Constellation(home)
    try:
        yield found
    finally:
        found.close()
