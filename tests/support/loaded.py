"""`python -m tests.support.loaded UNPACKED`, inside a machine: has Ligand's commands loaded, and forks for each.

A request is one line of JSON on standard input, its answer one on standard output. Each command is a process of its own
with its own standard files, as always; only what it would import first, for half a second, is there already.
"""

from __future__ import annotations

import itertools
import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import signals.client
import signals.emitter
import signals.live  # noqa: F401
import tools.ligand.doctor
import tools.ligand.grants
import tools.ligand.install
import tools.ligand.status  # noqa: F401
from signals.journal import Journal
from tests.support import quick
from tools.ligand.__main__ import main
from tools.ligand.steps import Steps

JOURNAL = Path("/var/lib/ligand/bus/journal.db")


def around(before: str, after: str) -> None:
    """Have a shell do that before and after each access control list that is set."""
    plain = os.setxattr

    def setxattr(*arguments: Any) -> None:
        subprocess.run(["sh", "-c", before], check=False)
        plain(*arguments)
        subprocess.run(["sh", "-c", after], check=False)

    vars(os)["setxattr"] = setxattr


def killed_before(step: int | str | None, after: str | None) -> None:
    """Have the command killed before its n-th step, counted from 0, or before or after the one that begins so."""
    plain, count = Steps.do, itertools.count()

    def do(steps: Steps, what: str, action: Callable[[], object]) -> None:
        if next(count) == step or (isinstance(step, str) and what.startswith(step)):
            os.kill(os.getpid(), signal.SIGKILL)
        plain(steps, what, action)
        if after is not None and what.startswith(after):
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(Steps, "do", do)  # noqa: B010 - a type checker lets no method be put in another's place


def ligand(asked: dict[str, Any]) -> None:
    """`ligand …`."""
    if asked["before"] or asked["after"]:
        around(asked["before"], asked["after"])
    killed_before(asked["killed_before"], asked["killed_after"])
    sys.argv = ["ligand", *asked["ligand"]]
    main()


def python(asked: dict[str, Any]) -> None:
    """`python -c CODE …`."""
    code, *sys.argv[1:] = asked["python"]
    exec(compile(code, "a test", "exec"), {"__name__": "__main__"})


def journaled(names: list[str]) -> list[str]:
    """Every journaled signal of these names, in order, as JSON; all without names."""
    with Journal(JOURNAL) as journal:
        return [raw.decode() for _, raw in journal.walk(0, names or None)]


def forked(asked: dict[str, Any]) -> dict[str, Any]:
    """How a command ended, and what it said."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        given.write(asked["text"].encode())
        given.seek(0)
        child = os.fork()
        if child == 0:
            _become(asked, given, out, error)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = {"out": out, "error": error}
        return {"code": code, **{name: _text(file) for name, file in said.items()}}


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _become(asked: dict[str, Any], *files: IO[bytes]) -> None:
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file.fileno(), number)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
        if asked["user"]:
            account = pwd.getpwnam(asked["user"])
            os.initgroups(account.pw_name, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        (ligand if "ligand" in asked else python)(asked)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - as an interpreter does
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    """Answer one request after the other until standard input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        answer = {"signals": journaled(asked["signals"])} if "signals" in asked else forked(asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    quick.begin(Path(sys.argv[1]))
    serve()
