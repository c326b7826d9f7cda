"""Processes that cannot outlive the one which started them, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parents[1]
TRAMPOLINE = Path(__file__).with_name("trampoline.py")


def tied(argv: Sequence[str], python: str = sys.executable) -> list[str]:
    """The command that becomes `argv`, killed by the kernel when the thread that started it has ended."""
    return [python, "-I", "-S", str(TRAMPOLINE), str(os.getpid()), *argv]


def start(
    module: str, *arguments: str, out: BinaryIO, environ: Mapping[str, str] = os.environ
) -> subprocess.Popen[bytes]:
    """Run one of Ligand's own modules, tied, in a session of its own; all that it says goes to `out`."""
    python_path = os.pathsep.join(filter(None, [str(ROOT), environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        tied([sys.executable, "-m", module, *arguments]),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        env={**environ, "PYTHONPATH": python_path},
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], within_s: float) -> int:
    """Ask it to end, and see to it; its exit status."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
