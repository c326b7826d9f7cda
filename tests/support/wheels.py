"""Everything that an installation downloads, fetched once for each lock and kept beside the Python of the tests.

The installations of the tests take it from there: the same pins and hashes, without asking an index each time. One of
them (`test_systemd_user`) goes to the index, as a person's does.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from tests.support.systemd import PYTHON, ROOT

LOCKS = [ROOT / name for name in ("requirements-build.lock", "requirements.lock")]


@lru_cache(maxsize=1)
def offline() -> Mapping[str, str]:
    """The environment in which pip takes packages from that folder alone."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(_wheels())}


def _wheels() -> Path:
    made_of = b"\0".join([os.fsencode(PYTHON.resolve()), *(lock.read_bytes() for lock in LOCKS)])
    folder = Path(sys.prefix) / "wheels" / hashlib.sha256(made_of).hexdigest()[:16]
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two workers one downloads
        if not folder.is_dir():
            _download(folder)
    return folder


def _download(folder: Path) -> None:
    """With the pip and for the Python of an installation: another version would need other files."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        subprocess.run([PYTHON, "-m", "venv", f"{place}/venv"], check=True, capture_output=True)
        download = [f"{place}/venv/bin/python", "-m", "pip", "--quiet", "download", "--no-deps", "--require-hashes"]
        for lock in LOCKS:
            subprocess.run([*download, "--dest", f"{place}/files", "--requirement", str(lock)], check=True)
        shutil.move(f"{place}/files", folder)
