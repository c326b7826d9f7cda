"""git, asked so that nothing a repository holds is run: no hooks, no filters, no monitor, no fetch, no index written.

Which settings can run a program: git-config(1), `core.fsmonitor`, `core.hooksPath`, `filter.*.clean`,
`log.showSignature`, lazy fetching of a partial clone. Only plumbing that signs and pages nothing is used.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from services.advisory_monitor.seen import CheckFailed

SECONDS = 20.0
MAX_OUTPUT = 4 << 20
_NEVER = (
    "core.fsmonitor=",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.sshCommand=false",
    "core.askPass=false",
    "log.showSignature=false",
    "submodule.recurse=false",
)
_FILTERS = r"^filter\..*\.(clean|smudge|process|required)$"


class NoGit(Exception):
    """git is not on this machine."""


class NotReadable(Exception):
    """A repository that git will not read; the message says why."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Repository:
    """A folder with a repository in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found = shutil.which("git")
        if found is None:
            raise NoGit("repositories cannot be watched: there is no git; install it")
        self._git = found
        self._filters: list[str] = []

    def refs(self) -> dict[str, tuple[str, str, str]]:
        """Branch -> commit, subject, author. Raises `NotReadable`."""
        form = "%(refname)%00%(objectname)%00%(contents:subject)%00%(authorname)"
        lines = self._run("for-each-ref", f"--format={form}", "refs/heads").split("\n")
        rows = (line.split("\0") for line in lines if line.count("\0") >= 3)
        return {row[0]: (row[1], row[2], row[3]) for row in rows}

    def head(self) -> str:
        """What is checked out: a branch in full, or a commit."""
        return (
            self._run("symbolic-ref", "-q", "HEAD", allowed=(0, 1)).strip()
            or self._run("rev-parse", "-q", "--verify", "HEAD").strip()
        )

    def added(self, old: str, new: str) -> int | None:
        """How many commits `new` has on top of `old`; None when it does not stand on it."""
        if self._code("merge-base", "--is-ancestor", old, new) != 0:
            return None
        return int(self._run("rev-list", "--count", f"{old}..{new}"))

    def changed_files(self) -> int:
        """Tracked files that differ from what is committed."""
        names = self._run("config", "-z", "--name-only", "--get-regexp", _FILTERS, allowed=(0, 1)).split("\0")[:-1]
        if cannot := next((name for name in names if "=" in name), None):  # `-c` takes what follows for the value
            hint = "Rename that filter, or take the repository out of `paths`."
            raise NotReadable(f"{self.path} has a setting that cannot be switched off: {cannot[:100]!r}.", hint)
        self._filters = [f"{name}={'false' if name.endswith('required') else ''}" for name in names]
        if self._run("rev-parse", "--is-bare-repository").strip() == "true":
            return 0
        told = self._run(
            "status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all", "--no-renames"
        )
        return told.count("\0")

    def _run(self, *arguments: str, allowed: Sequence[int] = (0,)) -> str:
        done = self._call(arguments)
        if done.returncode in allowed:
            return done.stdout[:MAX_OUTPUT].decode("utf-8", "replace")
        raise self._refused(done.stderr.decode("utf-8", "replace").strip())

    def _code(self, *arguments: str) -> int:
        return self._call(arguments).returncode

    def _call(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        settings = [part for one in (*_NEVER, *self._filters) for part in ("-c", one)]
        command = [self._git, "--no-pager", "--no-optional-locks", *settings, "-C", str(self.path), *arguments]
        try:
            return subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, env=_environment(), timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise CheckFailed(f"git has not come back from {self.path} within {SECONDS:g} s.") from error

    def _refused(self, said: str) -> NotReadable:
        if "dubious ownership" in said:
            hint = f"Let it be read: `git config --system --add safe.directory {self.path}`."
            return NotReadable(f"{self.path} belongs to somebody else, and git will not read it.", hint)
        first = said.split("\n", maxsplit=1)[0][:300] or "no reason given"
        hint = (
            f"See that {self.path} is a repository; under systemd: `ligand grant advisory_monitor {self.path} --read`."
        )
        return NotReadable(f"git cannot read {self.path}: {first}", hint)


def _environment() -> dict[str, str]:
    """Nothing of git's own from outside, no question, no other language, no protocol."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "SSH_"))}
    return kept | {
        "LC_ALL": "C.UTF-8",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_CONFIG_COUNT": "0",
    }
