"""`ligand new-daemon`: a daemon that runs, with its test, for its author to fill in."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from services.runtime.manifest import load_all
from signals.catalogue import Catalogue
from signals.errors import ConfigError, UsageError
from signals.paths import Paths
from tools.cli import bus_listens, home_option, paths_of, told
from tools.ligand.listing import Form, output_option, say_json
from tools.ligand.scaffold.files import Files, in_clone, of_a_person
from tools.ligand.scaffold.plan import Plan, plan


@click.command("new-daemon")
@click.argument("name")
@click.option("--consumes", metavar="Q_NAME", multiple=True, help="What it hears; repeatable.")
@click.option("--emits", metavar="Q_NAME", multiple=True, help="What it says; repeatable.")
@click.option("--own", is_flag=True, help="Among your own daemons, even in a clone of Ligand.")
@click.option("--dry-run", is_flag=True, help="Only say which files would be written.")
@output_option
@home_option
@told
def new_daemon(
    *,
    name: str,
    consumes: tuple[str, ...],
    emits: tuple[str, ...],
    own: bool,
    dry_run: bool,
    form: Form,
    home: Path | None,
) -> None:
    """Write a daemon called NAME that runs and passes its test.

    What it decides is yours to fill in.

    In a clone of Ligand: a folder in services/, a unit, tests, and contracts for signals that do not exist yet.
    Elsewhere, or with --own: a script, its manifest, test and unit, and contracts, in the configuration folder.
    Without --consumes and --emits it hears Q_NAME_WANTED and answers with Q_NAME_DONE.

    \b
      ligand new-daemon tea_maker --consumes Q_TEA_WANTED --emits Q_TEA_READY
    """
    root = None if own else clone_around(Path.cwd())
    paths = paths_of(home)
    if root is None:
        found = plan(name, consumes, emits, [*load_all(paths.manifests)], Catalogue.load([paths.contracts]))
        files = of_a_person(found, paths)
    else:
        taken = [path.parent.name for path in (root / "services").glob("*/manifest.yaml")]
        found = plan(name, consumes, emits, taken, Catalogue.load())
        files = in_clone(found, root)
    fresh = {file for file in files if not file.exists()}
    _check(files, fresh, found)
    if not dry_run:
        write(files)
        _tidy([file for file in files if file.suffix == ".py"])
    if form == "json":
        say_json({"file": str(file), "is": "new" if file in fresh else "changed"} for file in files)
        return
    for file in files:
        click.echo(f"{'new    ' if file in fresh else 'changed'} {file}")
    if not dry_run:
        click.echo("\n".join(_next_steps(found, root, paths)))


def clone_around(folder: Path) -> Path | None:
    """The clone of Ligand that a folder lies in, if it does."""
    for each in (folder, *folder.parents):
        if (each / "services" / "runtime" / "daemon.py").is_file() and (each / "signals" / "contracts").is_dir():
            return each if (each / "pyproject.toml").is_file() else None
    return None


def _check(files: Files, fresh: set[Path], found: Plan) -> None:
    """Raise `UsageError` rather than write over what a person has."""
    for file in files:
        if file not in fresh and (found.name in file.name or found.dashed in file.name or file.suffix == ".json"):
            raise UsageError(f"{file} is there already. Choose another name, or remove it.")


def write(files: Files) -> None:
    """Write each file whole. Raises `ConfigError`."""
    for file, text in files.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            beside = file.with_name(f".{file.name}.new")
            beside.write_text(text, encoding="utf-8")
            beside.replace(file)
        except OSError as error:
            raise ConfigError(f"Cannot write {file}: {error.strerror}. Check who may write there.") from error


def _tidy(files: list[Path]) -> None:
    """Into the project's format, where its formatter is installed."""
    if find_spec("ruff") is not None:
        command = [sys.executable, "-m", "ruff", "format", "--quiet", "--no-cache", *map(str, files)]
        subprocess.run(command, check=False)


def _next_steps(found: Plan, root: Path | None, paths: Paths) -> list[str]:
    lines = ["", "Next:"]
    if root is None:
        lines += [
            f"  python {paths.manifests / f'test_{found.name}.py'}   # passes as it stands",
            f"  edit {paths.manifests / f'{found.name}.py'}",
            f"  {_restart(paths)}   # runs it",
        ]
    else:
        lines += [
            f"  python -m pytest tests/unit/{found.name} tests/live/{found.name}   # passes as it stands",
            f"  edit services/{found.name}/logic.py",
            "  make docs   # signals.md, asyncapi.yaml and the graph in README.md",
        ]
    if found.consumes:
        lines += [f"  signal-tap emit {found.consumes[0]} {_example(found)}   # tries it"]
    return lines


def _restart(paths: Paths) -> str:
    where = f" --home {paths.home}" if paths.home else ""
    return f"ligand down{where}; ligand up{where}" if bus_listens(paths) else f"ligand up{where}"


def _example(found: Plan) -> str:
    sample = found.sample(found.consumes[0])
    texts = all(isinstance(value, str) and value.isalnum() for value in sample.values())
    return " ".join(f"{key}={value}" for key, value in sample.items()) if texts else "--stdin"
