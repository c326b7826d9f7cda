"""The engines of sensors beside an environment, each in a folder of its own; see `services.runtime.extras`.

`ligand install --with gaze` puts one into the version in use; an upgrade takes it along. In a clone `make senses` runs
`python -m tools.ligand.extras gaze`. The daemon that waits for it goes on by itself.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from services.runtime.extras import folder_of, installed, lock_of
from tools.ligand.environment import Source
from tools.ligand.layout import InstallError, Layout
from tools.ligand.steps import Steps, run, run_tied

MADE_OF = ".made-of"
"""In the folder: a digest of the lock and the Python that it was made from."""


def in_use(layout: Layout) -> dict[str, Path]:
    """The engines of the versions that are kept, the present one last: an upgrade that was killed forgets none."""
    kept = sorted(layout.versions.glob("*")) if layout.versions.is_dir() else []
    return {name: folder_of(name, version) for version in [*kept, layout.link.resolve()] for name in installed(version)}


def bring(layout: Layout, steps: Steps, source: Source, before: dict[str, Path], asked: Iterable[str]) -> None:
    """Have the version in use what was asked for and what the one before had. Raises `InstallError`."""
    for name in dict.fromkeys([*before, *asked]):
        folder = folder_of(name, layout.link)
        if not folder.is_dir() or (not steps.dry and not _is_current(folder, layout.link, source.lock(lock_of(name)))):
            old = before.get(name)
            steps.do(f"install the engine of {name}_sensor into {folder}", lambda: make(folder, source, old))  # noqa: B023 - done at once


def make(folder: Path, source: Source, old: Path | None = None) -> None:
    """Put an engine into `folder`; at its place stands a whole one or none. Raises `InstallError`.

    `old`, where it was made from the same, is linked file by file instead of fetched once more.
    """
    environment, name, lock = folder.parent.parent, folder.name, source.lock(lock_of(folder.name))
    fresh = folder.with_name(f".{name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    folder.parent.mkdir(mode=0o755, exist_ok=True)
    try:
        if old is not None and _is_current(old, environment, lock):
            shutil.copytree(old, fresh, symlinks=True, copy_function=os.link)
        else:
            _fetch(fresh, environment, lock)
    except (InstallError, OSError, KeyboardInterrupt):
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _fetch(fresh: Path, environment: Path, lock: str) -> None:
    fresh.mkdir(mode=0o755)
    (fresh / "requirements.lock").write_text(lock, encoding="utf-8")
    pip = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "install", "--require-hashes")
    what = (
        "--no-deps",
        "--only-binary",
        ":all:",
        "--target",
        str(fresh),
        "--requirement",
        f"{fresh}/requirements.lock",
    )
    try:
        run_tied(environment / "bin" / "python", *pip, *what)
    except InstallError as error:
        raise InstallError(
            f"{error.message}\nThe rest of Ligand is not touched. Which machines have this engine: docs/gaze.md."
        ) from error
    (fresh / MADE_OF).write_text(_made_of(environment, lock), encoding="utf-8")


def _is_current(folder: Path, environment: Path, lock: str) -> bool:
    try:
        return (folder / MADE_OF).read_text(encoding="utf-8") == _made_of(environment, lock)
    except FileNotFoundError:
        return False


def _made_of(environment: Path, lock: str) -> str:
    show = "import sys, sysconfig; print(sys.implementation.cache_tag, sysconfig.get_platform())"
    python = run([str(environment / "bin" / "python"), "-I", "-c", show])
    return hashlib.sha256(f"{python}{lock}".encode()).hexdigest()


if __name__ == "__main__":
    with Source.of(None) as tree:
        try:
            make(folder_of(sys.argv[1]), tree)
        except InstallError as problem:
            sys.exit(problem.message)
