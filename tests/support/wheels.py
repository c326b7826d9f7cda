"""Everything that an installation downloads, fetched once for each lock and kept beside the Python of the tests.

The installations of the tests take it from there: the same pins and hashes, without asking an index each time. Most
take it as an environment that has it all already (`tests.support.quick`), since to unpack and compile it takes a dozen
seconds each time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from tests.support.systemd import PYTHON, ROOT

LOCKS = [ROOT / name for name in ("requirements-build.lock", "requirements.lock")]


@lru_cache(maxsize=1)
def offline() -> Mapping[str, str]:
    """The environment in which pip takes packages from that folder alone."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(_packages() / "files")}


def unpacked() -> Path:
    """An environment with all packages that an installation needs, and those that build it; not with Ligand."""
    return _packages() / "venv"


@lru_cache(maxsize=1)
def _packages() -> Path:
    made_of = b"\0".join([os.fsencode(PYTHON.resolve()), *(lock.read_bytes() for lock in LOCKS)])
    folder = Path(sys.prefix) / "wheels" / hashlib.sha256(made_of).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two workers one downloads
        if not (folder / "complete").exists():
            _fill(folder)
            (folder / "complete").touch()
    return folder


def _fill(folder: Path) -> None:
    """With the pip and for the Python of an installation: another version would need other files."""
    subprocess.run([PYTHON, "-m", "venv", "--clear", folder / "venv"], check=True, capture_output=True)
    pip: list[str | Path] = [folder / "venv" / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for lock in LOCKS:
        how: list[str | Path] = ["--require-hashes", "--requirement", lock]
        subprocess.run([*pip, "download", "--no-deps", "--dest", folder / "files", *how], check=True)
        here: list[str | Path] = ["--no-index", "--find-links", folder / "files", "--no-build-isolation"]
        subprocess.run([*pip, "install", *here, *how], check=True)
