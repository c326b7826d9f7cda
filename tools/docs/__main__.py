"""Make the generated documents, or with `--check` only say which are not current."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tools.cli import NOTHING, OK, run, told
from tools.docs.pages import made

ROOT = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a document is not current.")
@told
def docs(*, check: bool) -> int:
    """Make docs/signals.md, docs/asyncapi.yaml and the graph in README.md from contracts and manifests."""
    stale = [path for path, text in made(ROOT).items() if not path.exists() or path.read_text() != text]
    for path in stale:
        click.echo(f"{'not current' if check else 'made'}: {path.relative_to(ROOT)}")
    if check:
        return NOTHING if stale else OK
    for path, text in made(ROOT).items():
        path.write_text(text)
    return OK


if __name__ == "__main__":
    sys.exit(run(docs, "docs"))
