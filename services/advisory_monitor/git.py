"""git, asked so that nothing a repository holds is run: no hooks, no filters, no monitor, no fetch, no index written.

What reads the files themselves, and would run filters, does so without the repository's settings. Which settings can
run a program: git-config(1), `core.fsmonitor`, `core.hooksPath`, `filter.*.clean`, `log.showSignature`, lazy fetching
of a partial clone. Only plumbing that signs and pages nothing is used.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from types import MappingProxyType

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
_PLAIN = (
    r"core\.(autocrlf|eol|filemode|ignorecase|symlinks|trustctime|checkstat|precomposeunicode)",
    r"core\.repositoryformatversion",
    r"extensions\.objectformat",
)
"""Settings that decide when a file counts as changed; their values are single words, and name no program."""
_WORD = re.compile(r"[A-Za-z0-9]{1,16}")


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
        wanted = [part for name in ("info/attributes", "index", "objects") for part in ("--git-path", name)]
        is_bare, *places = self._run("rev-parse", "--is-bare-repository", *wanted).removesuffix("\n").split("\n")
        if is_bare == "true":
            return 0
        if len(places) != len(wanted) // 2:
            raise NotReadable(f"The name of {self.path} has a line break in it.", "Rename it.")
        with tempfile.TemporaryDirectory(prefix="ligand-git-") as folder:
            environ = self._apart(Path(folder), *((self.path / place).absolute() for place in places))
            told = self._run(
                "status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all", "--no-renames",
                environ=environ,
            )  # fmt: skip
        return told.count("\0")

    def _apart(self, private: Path, attributes: Path, index: Path, objects: Path) -> dict[str, str]:
        """An environment in which git knows a repository's files, index and objects, and no setting of it but `_PLAIN`.

        So no program that a setting names can be run, whatever is written there meanwhile.
        """
        for folder in ("objects", "refs", "info"):
            (private / folder).mkdir()
        commit = self._run("rev-parse", "-q", "--verify", "HEAD", allowed=(0, 1)).strip()
        (private / "HEAD").write_text(f"{commit or 'ref: refs/heads/unborn'}\n")
        settings = self._run("config", "--null", "--get-regexp", f"^({'|'.join(_PLAIN)})$", allowed=(0, 1))
        lines = [f"[{section}]\n\t{key} = {value}\n" for (section, _, key), value in _sound(settings)]
        (private / "config").write_text("".join(lines))
        if attributes.is_file() and attributes.stat().st_size <= MAX_OUTPUT:
            (private / "info" / "attributes").write_bytes(attributes.read_bytes())
        for part in index.parent.glob("sharedindex.*"):
            (private / part.name).symlink_to(part)
        return {
            "GIT_DIR": str(private),
            "GIT_INDEX_FILE": str(index),
            "GIT_OBJECT_DIRECTORY": str(objects),
            "GIT_WORK_TREE": self._run("rev-parse", "--show-toplevel").removesuffix("\n"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def _run(
        self, *arguments: str, allowed: Sequence[int] = (0,), environ: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        done = self._call(arguments, environ)
        if done.returncode in allowed:
            return done.stdout[:MAX_OUTPUT].decode("utf-8", "replace")
        raise self._refused(done.stderr.decode("utf-8", "replace").strip())

    def _code(self, *arguments: str) -> int:
        return self._call(arguments, {}).returncode

    def _call(self, arguments: Sequence[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
        settings = [part for one in _NEVER for part in ("-c", one)]
        command = [self._git, "--no-pager", "--no-optional-locks", *settings, "-C", str(self.path), *arguments]
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env={**_environment(), **environ},
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            hint = "See whether its disk answers, or take it out of repositories.paths in advisory_monitor.yaml."
            raise NotReadable(f"git has not come back from {self.path} within {SECONDS:g} s.", hint) from error

    def _refused(self, said: str) -> NotReadable:
        if "dubious ownership" in said:
            hint = f"Let it be read: `git config --system --add safe.directory {quote(str(self.path))}`."
            return NotReadable(f"{self.path} belongs to somebody else, and git will not read it.", hint)
        first = said.split("\n", maxsplit=1)[0][:300] or "no reason given"
        hint = (
            f"See that {self.path} is a repository; under systemd: "
            f"`ligand grant advisory_monitor {quote(str(self.path))} --read`."
        )
        return NotReadable(f"git cannot read {self.path}: {first}", hint)


def _sound(settings: str) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Each setting's name in parts, and its value, as `git config --null` lists them: where one stands twice, both."""
    for setting in settings.split("\0"):
        name, _, value = setting.partition("\n")
        if _WORD.fullmatch(value):
            yield name.partition("."), value


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
