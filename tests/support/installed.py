"""Ligand installed as a person installs it, on a machine of its own: drop intents, look into the journal, emit."""

from __future__ import annotations

import compileall
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from subprocess import CompletedProcess
from typing import Any

from services.runtime.manifest import Manifest, packaged
from tests.support.required import lacking
from tests.support.systemd import PYTHON as SYSTEMS_PYTHON
from tests.support.systemd import ROOT, Machine, environment
from tests.support.wheels import offline, unpacked

NAMES = sorted(name for file in packaged() for name in Manifest.load(file).sessions({}))
DAEMONS = ("bus", *(name for name in NAMES if name != "bus"))
PYTHON = "/opt/ligand/venv/bin/python"
INTENTS = "/var/lib/ligand/intents"
INSTALL_S = 600.0
ENDS = ("Q_MODULE_INTEGRATED", "Q_INTEGRATION_SKIPPED", "Q_INTEGRATION_FAILED", "Q_INVESTIGATION_FAILED")

_READ = """
import json, sys
from pathlib import Path
from signals.journal import Journal
with Journal(Path("/var/lib/ligand/bus/journal.db")) as journal:
    for seq, raw in journal.walk(0, sys.argv[1:] or None):
        print(raw.decode())
"""
ATTACH = """
import asyncio, sys
from pathlib import Path
from signals.client import Client
from signals.errors import LigandError
class Nobody:
    def __getattr__(self, name):
        return lambda *arguments: print("ended" if name == "ended" else name, *arguments, flush=True)
async def main():
    client = Client(sys.argv[1], Path("/run/ligand/bus.sock"), Nobody(), lanes={"": 1}, version="0")
    try:
        async with asyncio.timeout(60):
            await client.attach()
        print("attached")
    except LigandError as error:
        print(error.code)
    except TimeoutError:
        print("no answer")
asyncio.run(main())
"""
"""Attach as the daemon that is named, as whoever runs it: prints `attached`, or the code of the refusal."""
EMIT = """
import json, sys
from signals.emitter import Emitter
from signals.errors import LigandError
from signals.paths import Paths
asked = json.load(sys.stdin)
with Emitter(Paths.resolve().bus_socket, asked["source"], timeout_s=asked.get("patience_s", 60.0)) as emitter:
    try:
        print("seq", emitter.emit(emitter.signal(asked["signal"], asked["facts"]))[0])
    except LigandError as error:
        print(error.code, error.message)
"""


_AROUND = "from tests.support.loaded import around, main; around({before!r}, ''); main()"
LISTING = ("find", "/etc", "/opt", "/usr/local", "/var/lib", "/run", "/home", "-not", "-path", "/run/log/*")


def traces(machine: Machine) -> set[str]:
    """Everything on the machine that has Ligand's name."""
    return {path for path in machine.out(*LISTING).splitlines() if "ligand" in path.lower()}


def unit(daemon: str) -> str:
    return f"ligand-{daemon.replace('_', '-')}.service"


def needs_same_python(extra: str) -> None:
    """Skip the test, or fail it in CI, where an extra that is here is not for the Python of an installation."""
    show = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    done = subprocess.run([SYSTEMS_PYTHON, "-c", show], capture_output=True, text=True, check=True)
    if done.stdout.strip() != f"{sys.version_info.major}.{sys.version_info.minor}":
        lacking(f"the extra {extra} here is not for {SYSTEMS_PYTHON}")


def question(module: str) -> dict[str, Any]:
    data = {"question": f"What does the {module} module do?", "evidence": [f"module:{module}"]}
    return {"type": "discover.module", "id": f"discover.module.{module}", "data": data}


def _environ() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **offline()}


@lru_cache(maxsize=1)
def _compiled() -> None:
    """Compile the source tree, where that was not done: inside it is read-only, so each command would do it again."""
    for folder in ("signals", "services", "tools"):
        compileall.compile_dir(ROOT / folder, quiet=1)


def _program(*, pip: bool = False) -> tuple[str, ...]:
    _compiled()
    if pip:
        return (sys.executable, "-m", "tools.ligand")
    return (sys.executable, "-m", "tests.support.quick", str(unpacked()))


class Loaded:
    """A process on a machine that has Ligand's commands loaded, and runs one after the other: see `loaded`."""

    def __init__(self, machine: Machine) -> None:
        _compiled()
        self._machine = machine
        command = machine.command(sys.executable, "-m", "tests.support.loaded", str(unpacked()))
        environ, pipe = environment(None, _environ()), subprocess.PIPE
        self._process = subprocess.Popen(command, env=environ, text=True, stdin=pipe, stdout=pipe)

    def ask(self, **request: Any) -> dict[str, Any]:
        """What it answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "the process that has the commands loaded has ended"
        return dict(json.loads(answer))

    def run(
        self, what: Mapping[str, Any], *, check: bool = True, text: str = "", user: str | None = None
    ) -> CompletedProcess[str]:
        """Run a command and wait for it; what it said is part of the error when it fails."""
        found = self.ask(text=text, user=user, **what)
        done = CompletedProcess([str(what)], found["code"], found["out"], found["error"])
        if check and done.returncode:
            said = f"{done.stdout}\n{done.stderr}\n{self._machine.tail()}"
            raise AssertionError(f"{what}: exit {done.returncode}\n{said}")
        return done

    def close(self) -> None:
        """Have it end."""
        self._process.communicate()


@dataclass(frozen=True)
class Installed:
    """The commands of a person on that machine; by a process that has them loaded, where there is one."""

    machine: Machine
    interpreter: str = PYTHON
    loaded: Loaded | None = None

    def ligand(
        self,
        *arguments: str,
        check: bool = True,
        pip: bool = False,
        before: str = "",
        after: str = "",
        killed_before: int | str | None = None,
        killed_after: str | None = None,
    ) -> CompletedProcess[str]:
        """`ligand ...` from the source tree, as root.

        `pip`: an installation is made with pip, as a person's is. The rest is for a command that is loaded: a shell
        does that before and after each access control list that is set; killed before that step, counted from 0 or
        named by how it begins, or after the one that begins so.
        """
        if self.loaded is not None and not pip:
            kills = {"killed_before": killed_before, "killed_after": killed_after}
            what = {"ligand": arguments, "before": before, "after": after, **kills}
            return self.loaded.run(what, check=check)
        assert not before
        assert not after
        assert killed_before is None
        assert killed_after is None
        command = (*_program(pip=pip), *arguments)
        return self.machine.run(*command, check=check, timeout_s=INSTALL_S, environ=_environ())

    def begin(self, *arguments: str, pip: bool = False, before: str = "") -> subprocess.Popen[bytes]:
        """The same, begun; who calls it waits for it."""
        program = (sys.executable, "-c", _AROUND.format(before=before)) if before else _program(pip=pip)
        command = self.machine.command(*program, *arguments)
        environ = environment(None, _environ())
        return subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def python(self, code: str, *arguments: str, user: str | None = None, text: str = "") -> str:
        """What a Python program that uses Ligand prints, run as that user."""
        if self.loaded is not None:
            return self.loaded.run({"python": [code, *arguments]}, user=user, text=text).stdout.strip()
        return self.machine.run(self.interpreter, "-c", code, *arguments, user=user, text=text).stdout.strip()

    def signals(self, *names: str) -> list[dict[str, Any]]:
        """Every journaled signal of these names, in order."""
        if self.loaded is not None:
            return [json.loads(line) for line in self.loaded.ask(signals=names)["signals"]]
        return [json.loads(line) for line in self.python(_READ, *names).splitlines()]

    def emit(
        self, signal: str, facts: Mapping[str, Any], source: str, user: str | None = None, patience_s: float = 60.0
    ) -> str:
        """What becomes of an emit: `seq N`, or the code and the words of the refusal."""
        asked = json.dumps({"signal": signal, "facts": dict(facts), "source": source, "patience_s": patience_s})
        return self.python(EMIT, text=asked, user=user)

    def drop(self, name: str, module: str, user: str | None = "alice") -> None:
        """Drop an intent as a person does: written under a hidden name, then renamed."""
        place = 'umask 022; cat > "$0/.$1" && mv "$0/.$1" "$0/$1.json"'
        self.machine.run("sh", "-c", place, INTENTS, name, text=json.dumps(question(module)), user=user)

    def ready(self, *daemons: str) -> None:
        """Wait until these run and are ready; all unless named."""
        units = [*map(unit, daemons or DAEMONS)]

        def all_run() -> bool:
            return set(self.machine.shown(units, "SubState")) == {"running"}

        self.machine.until(f"{', '.join(units)} are ready", all_run)

    def kill(self, daemon: str, signal: str = "KILL") -> None:
        """Send a signal to the main process of a daemon, which is running."""
        self.machine.until(f"{daemon} has a process", lambda: self._tell(daemon, signal))

    def _tell(self, daemon: str, signal: str) -> bool:
        pid = self.machine.pid(unit(daemon))
        return pid > 0 and not self.machine.run("kill", f"-{signal}", str(pid), check=False).returncode

    def restarts(self, daemon: str) -> int:
        return int(self.machine.show(unit(daemon), "NRestarts"))

    def ended(self, stories: int) -> list[dict[str, Any]]:
        """Wait until so many stories have ended; what ended them."""
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            found[:] = self.signals(*ENDS)
            return len({one["correlation_id"] for one in found}) >= stories

        self.machine.until(f"{stories} stories have ended", enough)
        return found
