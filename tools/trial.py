"""Trying daemons on a real bus in a home that is thrown away: `with trial(config, "greeter") as bus: …`."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.runtime.manifest import load_all
from signals.catalogue import Catalogue
from signals.emitter import Emitter
from signals.envelope import Signal, decode
from signals.errors import BusUnreachableError, LigandError
from signals.journal import Journal
from signals.live import Subscription
from signals.paths import Paths
from tools import tied
from tools.cli import ask_bus

OWN = ("contracts.d", "daemons.d", "units.d")
READY_S = 30.0
STOP_S = 25.0


class TrialError(LigandError):
    """The trial did not go as expected."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A bus and the daemons that are tried, in a home of their own."""

    paths: Paths
    log: Path

    def emit(self, name: str, facts: Mapping[str, Any] | None = None, **named: Any) -> Signal:
        """Emit a signal as a person would; on disk when it returns. Raises what the bus refuses with."""
        catalogue = Catalogue.load([self.paths.contracts])
        with Emitter(self.paths.bus_socket, catalogue=catalogue) as emitter:
            signal = emitter.signal(name, {**(facts or {}), **named})
            emitter.emit(signal)
        return signal

    def wait_for(self, name: str, *, because: Signal | None = None, timeout_s: float = READY_S) -> Signal:
        """The first signal of a name, of the story that `because` began if given. Raises `TrialError`."""
        deadline = time.monotonic() + timeout_s
        with Subscription(self.paths.mirror_socket, (name,)) as woken:
            while (left := deadline - time.monotonic()) > 0:
                for signal in self.signals(name):
                    if because is None or signal.correlation_id == because.id:
                        return signal
                woken.wait(min(left, 1.0))
        raise TrialError(f"No {name} came within {timeout_s:g} s.\n{self.told()}")

    def signals(self, *names: str) -> list[Signal]:
        """What is journaled of these names (or at all), in order."""
        with Journal(self.paths.journal) as journal:
            return [decode(raw) for _, raw in journal.walk(0, names or None)]

    def told(self) -> str:
        """The end of what bus and daemons logged, and the dead letters."""
        with Journal(self.paths.journal) as journal:
            dead = [f"dead letter: {letter['reason']}: {letter['error']}" for letter in journal.dead()]
        return "\n".join([self.log.read_text(errors="backslashreplace")[-4000:], *dead])


@contextmanager
def trial(config: Path | None, *daemons: str) -> Iterator[Trial]:
    """A bus with these daemons, ready; `config` is the folder whose contracts, manifests and units are tried.

    Raises `TrialError`, with what they logged, when one of them does not become ready.
    """
    home = Path(tempfile.mkdtemp(prefix="ligand-trial-"))
    paths = Paths.resolve(home)
    try:
        _furnish(paths, config, daemons)
        log = home / "up.log"
        process = _start(paths, daemons, log)
        try:
            found = Trial(paths, log)
            _await_ready(found, process, daemons)
            yield found
        finally:
            tied.stop(process, STOP_S)
    finally:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(paths.run, ignore_errors=True)


def _furnish(paths: Paths, config: Path | None, daemons: tuple[str, ...]) -> None:
    paths.ensure()
    for name in OWN if config is not None else ():
        if (Path(str(config)) / name).is_dir():
            shutil.copytree(Path(str(config)) / name, paths.config / name)
    others = sorted(set(load_all(paths.manifests)) - {"bus", *(name.partition("@")[0] for name in daemons)})
    instances: dict[str, list[str]] = {}
    for daemon, at, instance in (name.partition("@") for name in daemons):
        if at:
            instances.setdefault(daemon, []).append(instance)
    paths.config_of("bus").write_text(yaml.safe_dump({"disable": others, "instances": instances}))


def _start(paths: Paths, daemons: tuple[str, ...], log: Path) -> subprocess.Popen[bytes]:
    """`ligand up`, tied to the life of this process."""
    chosen = [word for name in ("bus", *daemons) for word in ("--only", name)]
    with log.open("wb") as out:
        return tied.start("tools.ligand", "up", "--home", str(paths.home), *chosen, out=out)


def _await_ready(found: Trial, process: subprocess.Popen[bytes], daemons: tuple[str, ...]) -> None:
    deadline = time.monotonic() + READY_S
    with Subscription(found.paths.mirror_socket) as mirror:
        while time.monotonic() < deadline and process.poll() is None:
            mirror.wait(0.5)
            if _all_ready(found.paths, daemons):
                return
    said = found.log.read_text(errors="backslashreplace")[-4000:]
    raise TrialError(f"{', '.join(daemons)} did not become ready. What was logged:\n{said}")


def _all_ready(paths: Paths, daemons: tuple[str, ...]) -> bool:
    try:
        ready = {daemon["daemon"] for daemon in ask_bus(paths, "status")["daemons"] if daemon["ready"]}
    except BusUnreachableError:
        return False
    return set(daemons) <= ready
