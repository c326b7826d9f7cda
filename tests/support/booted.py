"""A booted systemd for a test, or the reason why there is none: a skip on a person's machine, a failure in CI."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from tests.support.required import lacking
from tests.support.systemd import Machine, machine, missing


def booted(folder: Path, *, limits_memory: bool = False) -> AbstractContextManager[Machine]:
    """A booted systemd; skips the test, or fails it in CI, where there cannot be one."""
    why = missing()
    if why:
        lacking(f"no systemd can be booted here: {why}")
    return machine(folder, limits_memory=limits_memory)
