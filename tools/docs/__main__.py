"""Make the generated documents, or with `--check` only say which are not current."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tools.cli import NOTHING, OK, run, told
from tools.docs.benchmarks import benchmarks as measured
from tools.docs.pages import made
from tools.docs.pictures import draw_all

ROOT = Path(__file__).resolve().parents[2]


PICTURES = ROOT / "docs" / "pictures"


@click.group(invoke_without_command=True)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a document is not current.")
@click.pass_context
@told
def docs(context: click.Context, *, check: bool) -> int:
    """Make docs/signals.md, docs/asyncapi.yaml and the graph in README.md from contracts and manifests."""
    if context.invoked_subcommand is not None:
        return OK
    stale = [path for path, text in made(ROOT).items() if not path.exists() or path.read_text() != text]
    for path in stale:
        click.echo(f"{'not current' if check else 'made'}: {path.relative_to(ROOT)}")
    if check:
        return NOTHING if stale else OK
    for path, text in made(ROOT).items():
        path.write_text(text)
    return OK


@docs.command()
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=PICTURES,
    help="Where they are written [default: docs/pictures].",
)
@told
def pictures(*, folder: Path) -> int:
    """Draw what `signal-tap top`, `signal-tap trace` and `ligand status` show, from a constellation that runs."""
    drawn = draw_all()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in drawn.items():
        (folder / name).write_text(text, encoding="utf-8")
        click.echo(f"drawn: {name}")
    return OK


@docs.command()
@click.argument("run_json", metavar="RUN.json", type=click.Path(path_type=Path, dir_okay=False))
@told
def benchmarks(*, run_json: Path) -> int:
    """Put the figures of `make bench` into docs/benchmarks.md, and draw them."""
    page = ROOT / "docs" / "benchmarks.md"
    text, drawn = measured(page.read_text(encoding="utf-8"), run_json)
    page.write_text(text, encoding="utf-8")
    (PICTURES / "bench.svg").write_text(drawn, encoding="utf-8")
    click.echo("made: docs/benchmarks.md, docs/pictures/bench.svg")
    return OK


if __name__ == "__main__":
    sys.exit(run(docs, "docs"))
