"""The steps of an installation: each is said, and done unless it is a dry run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from signals.files import sync
from tools.ligand.layout import InstallError
from tools.tied import tied

LAST_LINES = 15


class Steps:
    """Says every step through `say`. A dry run changes nothing; later steps find what earlier ones would do."""

    def __init__(self, say: Callable[[str], None], *, dry: bool = False) -> None:
        self.dry = dry
        self._say = say
        self._would: dict[Path, str | Path | None] = {}

    def note(self, text: str) -> None:
        """Say something that changes nothing."""
        try:
            self._say(text)
        except OSError:  # nobody reads any more, or there is no room behind it: a change is not left half done for that
            self._say = _unheard

    def do(self, what: str, action: Callable[[], object]) -> None:
        """Say and do one step."""
        self.note(f"would {what}" if self.dry else what)
        if not self.dry:
            action()

    def folder(self, path: Path, mode: int = 0o755) -> None:
        """Make a folder that is not there yet."""
        if not path.is_dir() and path not in self._would:
            self.do(f"make {path}", lambda: path.mkdir(mode=mode, parents=True))
            self._leaves(path, path)

    def write(self, path: Path, text: str, mode: int = 0o644) -> bool:
        """Write a file whole, if it says something else; whether it did."""
        if self.text(path) == text:
            return False
        self.do(f"write {path}", lambda: write_whole(path, text, mode))
        self._leaves(path, text)
        return True

    def text(self, path: Path) -> str | Path | None:
        """What a file says, or would by now; None when it is not there."""
        return self._would[path] if path in self._would else _content(path)

    def link(self, path: Path, target: Path) -> None:
        """Make `path` a link to `target`, in one step where there is one already. Raises `InstallError`."""
        if path.is_symlink() and path.readlink() == target:
            return
        if path.exists() and not path.is_symlink():
            raise InstallError(f"{path} is there already and is no link. Move it away, then install again.")
        self.do(f"link {path} to {target}", lambda: link_whole(path, target))

    def remove(self, path: Path) -> None:
        """Remove a file or a link; nothing happens when it is not there."""
        there = self._would[path] is not None if path in self._would else path.is_symlink() or path.exists()
        if there:
            self.do(f"remove {path}", path.unlink)
            self._leaves(path, None)

    def _leaves(self, path: Path, content: str | Path | None) -> None:
        if self.dry:
            self._would[path] = content

    def remove_tree(self, path: Path) -> None:
        """Remove a folder and all in it; nothing happens when it is not there. Of a link it is said that it stays."""
        if path.is_symlink():
            self.note(f"{path} is a link to {path.readlink()}: it stays, and what it leads to; remove them yourself")
        elif path.is_dir():
            self.do(f"remove {path} and all in it", lambda: _remove_tree(path))
            if path.is_mount():
                self.note(f"{path} itself stays, since something is mounted there")

    def remove_folder(self, path: Path) -> None:
        """Remove a folder if it is empty."""
        if path.is_dir() and (self.dry or not any(path.iterdir())):
            self.do(f"remove {path} if it is empty", lambda: _rmdir(path))

    def run(self, *argv: str, what: str = "") -> None:
        """Run a program. Raises `InstallError` with the end of what it said."""
        self.do(what or f"run {' '.join(argv)}", lambda: run(argv))


def remove_files(steps: Steps, files: Iterable[str]) -> None:
    """Remove files of an installation, what a kill left beside them, and drop-ins' folders that are empty then."""
    for file in map(Path, files):
        steps.remove(file)
        if not beside(file).is_dir():
            steps.remove(beside(file))
        if file.parent.name.endswith((".service.d", ".slice.d", ".target.d")):
            steps.remove_folder(file.parent)


def run(argv: Sequence[str], environ: Mapping[str, str] | None = None, pass_fds: Sequence[int] = ()) -> str:
    """What a program prints. Raises `InstallError` with the end of what it said.

    Where this process finds its modules is kept from it: another version must find its own.
    """
    given = os.environ if environ is None else environ
    clean = {key: value for key, value in given.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env=clean,
            errors="replace",
            cwd="/",
            pass_fds=pass_fds,
        )
    except OSError as error:
        raise InstallError(f"Cannot run {argv[0]}: {error.strerror}.") from error
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-LAST_LINES:])
        raise InstallError(f"`{' '.join(argv)}` ended with {done.returncode}:\n{said}")
    return done.stdout


def run_tied(python: Path, *arguments: str) -> str:
    """Like `run`, for a Python; it is killed when this process ends, however it ends. Raises `InstallError`."""
    return run(tied([str(python), *arguments], str(python)))


def beside(path: Path) -> Path:
    """The name under which a file or link is made before it takes its place."""
    return path.with_name(f".{path.name}.new")


def write_whole(path: Path, text: str, mode: int) -> None:
    """Write a file so that nobody ever sees half of it. Raises `OSError` that names it."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = beside(path)
    with suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    fresh.replace(path)
    sync(path.parent)


def link_whole(path: Path, target: Path) -> None:
    """Make or change a link in one step."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = beside(path)
    with suppress(FileNotFoundError):
        fresh.unlink()
    fresh.symlink_to(target)
    fresh.replace(path)


def _unheard(_: str) -> None:
    """Say nothing."""


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _remove_tree(path: Path) -> None:
    """Not with shutil.rmtree, which before Python 3.13 does not get to the end of a thousand nested folders."""
    whole = sorted(path.iterdir()) if path.is_mount() else [path]
    run(["rm", "--recursive", "--force", "--", *map(str, whole)])


def _rmdir(path: Path) -> None:
    with suppress(OSError):  # somebody put something into it meanwhile: it stays
        path.rmdir()
