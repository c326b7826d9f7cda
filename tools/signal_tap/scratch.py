"""A bus of its own for a recording: in a home that no daemon has, with the contracts of the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import yaml

from services.runtime.manifest import packaged
from signals.catalogue import Catalogue
from signals.emitter import Emitter
from signals.errors import BusUnreachableError, LigandError, UsageError
from signals.paths import Paths
from tools import tied
from tools.signal_tap.masked import of_recordings

READY_S = 30.0
STOP_S = 20.0
MOST_HOPS = 1000


class NotReadyError(LigandError):
    """The scratch bus did not start."""


@contextmanager
def home(kept: Path | None) -> Iterator[Paths]:
    """A temporary home that is gone at the end; or `kept`, which must be new or empty. Raises `UsageError`."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="ligand-play-", ignore_cleanup_errors=True) as folder:
            paths = Paths.resolve(Path(folder))
            try:
                yield paths
            finally:
                shutil.rmtree(paths.run, ignore_errors=True)  # elsewhere, when the home's own path was too long
        return
    try:
        kept.mkdir(parents=True, exist_ok=True)
        taken = any(kept.iterdir())
    except OSError as error:
        raise UsageError(f"Cannot use {kept} as a home: {error.strerror}.") from error
    if taken:
        raise UsageError(f"{kept} is not empty. A recording is played into a home of its own.")
    yield Paths.resolve(kept)


def prepare(paths: Paths, catalogue: Catalogue) -> None:
    """Contracts as in the catalogue but that masks fit too, and a bus without daemons, quota and loop limits."""
    paths.ensure()
    paths.contracts.mkdir(exist_ok=True)
    own = Catalogue.load()
    for (name, version), contract in of_recordings(catalogue).versions.items():
        if name not in own:
            file = f"{name}.json" if version == 1 else f"{name}.{version}.json"
            (paths.contracts / file).write_bytes(orjson.dumps(contract.schema))
    rooms = sorted({path.parent.name for path in packaged()} - {"bus"})
    config = {"quota": {"roots_per_s": 0}, "disable": rooms, "max_hops": MOST_HOPS}
    paths.config_of("bus").write_text(yaml.safe_dump(config), encoding="utf-8")


@contextmanager
def bus(paths: Paths) -> Iterator[None]:
    """The bus of that home, for as long as it is needed; it ends with us. Raises `NotReadyError`."""
    log = paths.state / "bus.log"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LIGAND_", "NOTIFY_"))}
    with log.open("wb") as out:
        process = tied.start("services.bus", out=out, environ={**kept, "LIGAND_HOME": str(paths.home)})
    try:
        _await(paths, process, log)
        yield
    finally:
        tied.stop(process, STOP_S)


def _await(paths: Paths, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with Emitter(paths.bus_socket, timeout_s=0.5) as emitter:
                emitter.query("status")
        except BusUnreachableError:
            continue
        return
    said = log.read_text(errors="backslashreplace")[-2000:]
    raise NotReadyError(f"The scratch bus in {paths.home} did not start. It said:\n{said}")
