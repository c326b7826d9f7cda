"""Restores a backup in copies of a home, and kills itself in each before another of its steps.

`restores.py HOME BACKUP INTO`: INTO/001 was killed before the first change of a file, INTO/002 before the second …
Prints the folders in that order, the last one finished. A step is what the interpreter's audit events tell of.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

from services.runtime.logs import configure  # noqa: F401 - as much as possible is imported before the copies are made
from signals.paths import Paths
from tools.ligand.backup import restore

CHANGES = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.chown", "os.chmod", "shutil.rmtree", "open"}
home, backup, into = map(Path, sys.argv[1:])


def die_before(step: int, within: Path) -> None:
    """Kill this process before the `step`-th change below `within`."""
    left = step

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event not in CHANGES or not str(arguments[0]).startswith(str(within)):
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


step, killed = 0, True
while killed:
    step += 1
    copy = into / f"{step:03d}"
    shutil.copytree(home, copy, ignore=shutil.ignore_patterns("*.sock", "*.log"))
    child = os.fork()
    if child == 0:
        paths = Paths.resolve(copy)
        die_before(step, paths.journal.parent)
        restore(paths, backup)
        os._exit(0)
    killed = os.waitpid(child, 0)[1] == signal.SIGKILL
    print(copy, flush=True)
