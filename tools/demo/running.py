"""`ligand up` as a subprocess in a home of its own: started, ready, and stopped without a trace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signals.errors import BusUnreachableError, LigandError
from signals.live import Subscription
from signals.paths import Paths
from tools.cli import ask_bus
from tools.ligand.process import TRAMPOLINE

ROOT = Path(__file__).resolve().parents[2]
READY_S = 30.0
STOP_S = 25.0


class NotReadyError(LigandError):
    """The constellation did not become ready."""


@contextmanager
def home(keep: bool) -> Iterator[Paths]:
    """A temporary home; removed at the end, unless it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix="ligand-demo-"))
    paths = Paths.resolve(folder)
    try:
        yield paths
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(paths.run, ignore_errors=True)  # elsewhere, when the home's own path was too long


@contextmanager
def constellation(paths: Paths) -> Iterator[subprocess.Popen[bytes]]:
    """`ligand up` in the foreground of its own session, its log in `up.log`; ends when this process does."""
    log = log_of(paths)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    up = [sys.executable, "-m", "tools.ligand", "up", "--home", str(paths.home)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(TRAMPOLINE), str(os.getpid()), *up],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)


def log_of(paths: Paths) -> Path:
    """Where `ligand up` writes."""
    return Path(str(paths.home)) / "up.log"


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask it to end, and see to it; its exit status."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


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
