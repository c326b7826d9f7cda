"""`ligand up` as a subprocess in a home of its own: started, ready, and stopped without a trace."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from signals.errors import BusUnreachableError, LigandError
from signals.live import Subscription
from signals.paths import Paths
from tools import tied
from tools.cli import ask_bus

READY_S = 30.0
STOP_S = 25.0
REMOVE_S = 5.0
_ENDS = (signal.SIGINT, signal.SIGTERM)


class NotReadyError(LigandError):
    """The constellation did not become ready."""


@contextmanager
def held() -> Iterator[None]:
    """Ctrl-C and SIGTERM that come meanwhile act afterwards, so that what is being made is known and can be undone."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for missed in came:
            signal.raise_signal(missed)


@contextmanager
def home(keep: bool) -> Iterator[Paths]:
    """A temporary home; removed at the end, unless it is to be kept."""
    folder: Path | None = None
    try:
        with held():
            folder = Path(tempfile.mkdtemp(prefix="ligand-demo-"))
        yield Paths.resolve(folder)
    finally:
        if folder is not None and not keep:
            remove(folder)
            remove(Paths.resolve(folder).run)  # elsewhere, when the home's own path was too long


def remove(folder: Path) -> None:
    """Remove a folder, also when a process that was just killed still writes its last there."""
    deadline = time.monotonic() + REMOVE_S
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05 if folder.exists() else 0)


@contextmanager
def constellation(paths: Paths) -> Iterator[subprocess.Popen[bytes]]:
    """`ligand up` in a session of its own, its log in `up.log`; it is stopped at the end, and ends when we die."""
    process: subprocess.Popen[bytes] | None = None
    try:
        with held(), log_of(paths).open("wb") as out:
            process = start(paths, out)
        yield process
    finally:
        if process is not None:
            stop(process)


def start(paths: Paths, out: BinaryIO) -> subprocess.Popen[bytes]:
    """Start `ligand up`."""
    return tied.start("tools.ligand", "up", "--home", str(paths.home), out=out)


def log_of(paths: Paths) -> Path:
    """Where `ligand up` writes."""
    return Path(str(paths.home)) / "up.log"


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask it to end, and see to it; its exit status."""
    return tied.stop(process, STOP_S)


def await_ready(paths: Paths, process: subprocess.Popen[bytes]) -> list[str]:
    """Wait until every enabled daemon is ready, woken by the bus itself; their names. Raises `NotReadyError`."""
    deadline = time.monotonic() + READY_S
    with Subscription(paths.mirror_socket) as mirror:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            if mirror.wait(0.5) and (ready := _all_ready(paths)):
                return ready
    said = log_of(paths).read_text(errors="backslashreplace")[-3000:]
    raise NotReadyError(f"The constellation did not become ready. What it said last:\n{said}")


def _all_ready(paths: Paths) -> list[str]:
    try:
        daemons = ask_bus(paths, "status")["daemons"]
    except BusUnreachableError:
        return []
    return [daemon["daemon"] for daemon in daemons] if all(daemon["ready"] for daemon in daemons) else []
