"""Files that only their daemon can judge: it does so itself, in a process of its own (`--check-config`)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from services.runtime.checking import FLAG
from services.runtime.exits import EXIT_CONFIG
from services.runtime.manifest import Manifest, packaged
from signals.paths import Paths

LONGEST_S = 60.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Told:
    """What a daemon said of a file; `line` counts from 1, 0 where there is none."""

    file: str
    line: int
    message: str


def there(manifest: Manifest, config: Path) -> list[Path]:
    """Those of a daemon's own files that a person has written."""
    listed = (_in_folder(config / name) if name.endswith("/") else [config / name] for name in manifest.files)
    return [path for paths in listed for path in paths if path.exists()]


def _in_folder(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.yaml") if not path.name.startswith("."))


def needed(manifest: Manifest) -> Manifest:
    """The same daemon without the folders: what lies in one is refused for itself, and the daemon runs all the same."""
    return replace(manifest, files=tuple(name for name in manifest.files if not name.endswith("/")))


def judged(manifest: Manifest, paths: Paths) -> Iterator[Told]:
    """What the daemon says of its own files. Nothing is run for one that is not part of this installation."""
    files = there(manifest, paths.config)
    if not files or manifest.origin not in map(str, packaged()):
        return
    command = [sys.executable, "-m", f"services.{manifest.daemon}", FLAG]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=_environment(paths, manifest.daemon),
            timeout=LONGEST_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        yield Told(str(files[0]), 0, f"{manifest.daemon} did not judge it within {LONGEST_S:.0f} s.")
        return
    if done.returncode not in (0, EXIT_CONFIG):
        last = done.stderr.decode(errors="backslashreplace").strip().rpartition("\n")[2]
        yield Told(str(files[0]), 0, f"{manifest.daemon} could not judge it: {last or f'status {done.returncode}'}.")
    for line in done.stdout.splitlines():
        yield Told(**orjson.loads(line))


def _environment(paths: Paths, daemon: str) -> Mapping[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "LIGAND_HOME"}
    python_path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    return kept | {
        "STATE_DIRECTORY": str(paths.state_of(daemon)),
        "CONFIGURATION_DIRECTORY": str(paths.config),
        "RUNTIME_DIRECTORY": str(paths.run),
        "PYTHONPATH": python_path,
    }
