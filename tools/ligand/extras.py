"""What sensors need beside an environment, each extra in a folder of its own; see `services.runtime.extras`.

`ligand install --with NAME` puts one into every version from then on; `python -m tools.ligand.extras NAME` into the
environment that it runs in, a clone's or one of pip's. The sensor that waits for it goes on by itself.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

import click

from services.runtime.extras import EXTRAS, NAMES, folder_of, lock_of
from tools.ligand.changing import told
from tools.ligand.environment import Source
from tools.ligand.layout import InstallError
from tools.ligand.steps import Steps, run, run_tied

NOTHING = "nothing"
MADE_OF = ".made-of"
"""In the folder: a digest of the lock and the Python that it was made from."""


def wanted(before: Iterable[str], asked: Collection[str]) -> tuple[str, ...]:
    """What a person wants from now on: what they wanted before and ask for now; with `NOTHING` only the latter."""
    return tuple(sorted({*asked, *(() if NOTHING in asked else before)} - {NOTHING}))


def bring(environment: Path, steps: Steps, source: Source, names: Collection[str]) -> list[str]:
    """Have these extras in an environment, and no others; those that were there and changed. Raises `InstallError`."""
    changed = []
    for name in NAMES:
        folder = folder_of(name, environment)
        was_there = folder.is_dir()
        if name not in names:
            steps.remove_tree(folder)
        elif not was_there or not _is_made_of(folder, _made_of(environment, source.lock(lock_of(name)))):
            steps.do(f"install the extra {name} into {folder}", lambda: make(folder, source))  # noqa: B023 - done at once
        else:
            continue
        if was_there:
            changed.append(name)
    return changed


def make(folder: Path, source: Source) -> None:
    """Put an extra into `folder`; at its place stands a whole one or none. Raises `InstallError`.

    Where a version beside it has the same, that is linked file by file instead of fetched once more.
    """
    environment, name = folder.parent.parent, folder.name
    lock = source.lock(lock_of(name))
    made_of = _made_of(environment, lock)
    beside = (one for one in environment.parent.glob(f"*/extras/{name}") if one != folder)
    same = next((one for one in beside if _is_made_of(one, made_of)), None)
    fresh = folder.with_name(f".{name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    folder.parent.mkdir(mode=0o755, exist_ok=True)
    try:
        if same is not None:
            shutil.copytree(same, fresh, symlinks=True, copy_function=os.link)
        else:
            _fetch(fresh, environment, lock)
            (fresh / MADE_OF).write_text(made_of, encoding="utf-8")
    except (InstallError, OSError, KeyboardInterrupt):
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _fetch(fresh: Path, environment: Path, lock: str) -> None:
    fresh.mkdir(mode=0o755)
    file = fresh / "requirements.lock"
    file.write_text(lock, encoding="utf-8")
    pip = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "install", "--require-hashes")
    what = ("--no-deps", "--only-binary", ":all:", "--target", str(fresh), "--requirement", str(file))
    try:
        run_tied(environment / "bin" / "python", *pip, *what)
    except InstallError as error:
        name = fresh.name.split(".")[1]
        raise InstallError(
            f"{error.message}\nThe extra {name} could not be fetched, and nothing else was changed. "
            f"Which machines it is for: {EXTRAS[name].docs}. To do without: --with nothing, and --with what you want."
        ) from error


def _is_made_of(folder: Path, digest: str) -> bool:
    try:
        return (folder / MADE_OF).read_text(encoding="utf-8") == digest
    except FileNotFoundError:
        return False


def _made_of(environment: Path, lock: str) -> str:
    show = "import sys, sysconfig; print(sys.implementation.cache_tag, sysconfig.get_platform())"
    python = run([str(environment / "bin" / "python"), "-I", "-c", show])
    return hashlib.sha256(f"{python}{lock}".encode()).hexdigest()


@click.command()
@click.argument("names", nargs=-1, required=True, type=click.Choice(NAMES))
def main(names: tuple[str, ...]) -> None:
    """Put extras into the environment that this runs in, anew where they are there already."""
    with told(), Source.of(None) as source:
        for name in names:
            make(folder_of(name, Path(sys.prefix)), source)


if __name__ == "__main__":
    main()
