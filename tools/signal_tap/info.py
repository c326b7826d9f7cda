"""`signal-tap info`: what one signal means, what its facts are, and who has to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from signals.catalogue import Contract
from signals.errors import LigandError
from signals.journal import Journal
from signals.masking import mask
from tools.cli import home_option, told
from tools.signal_tap import options
from tools.signal_tap.fact_rows import fact_rows
from tools.signal_tap.options import Look
from tools.signal_tap.output import View
from tools.signal_tap.who import Roles, Who
from tools.text import clean, clean_lines


@click.command()
@click.argument("name", metavar="Q_X")
@options.dated
@home_option
@told
def info(look: Look, *, name: str, home: Path | None) -> None:
    """Show a signal's contract, an example, and who uses it.

    Needs no running bus.
    """
    view = View.of(home, look)
    contract = view.paint.catalogue[name]
    roles = Who.of(view.paths, view.paint.catalogue).roles(contract)
    count, latest = _kept(view, name)
    view.listed([_document(contract, roles, count, latest)], _page(view, contract, roles, count, latest))


def _kept(view: View, name: str) -> tuple[int | None, Mapping[str, Any] | None]:
    if not view.paths.journal.exists():
        return None, None
    with Journal(view.paths.journal) as journal:
        latest = journal.latest(name)
        return journal.counts(name), view.paint.masker.envelope(orjson.loads(latest)) if latest else None


def _document(contract: Contract, roles: Roles, count: int | None, latest: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "name": contract.name,
        "kind": contract.kind,
        "version": contract.version,
        "delivery": contract.delivery,
        "terminal": contract.terminal,
        "expects": asdict(contract.expects) if contract.expects else None,
        **asdict(roles),
        "kept": count,
        "last": latest,
        "contract": contract.schema,
    }


def _page(
    view: View, contract: Contract, roles: Roles, count: int | None, latest: Mapping[str, Any] | None
) -> RenderableType:
    facts = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("FACT", "TYPE", "", "DESCRIPTION"):
        facts.add_column(heading, overflow="fold")
    for row in fact_rows(contract.schema):
        facts.add_row(*map(clean, row))
    example = mask(contract.examples[0], contract.secrets) if contract.examples else None
    parts: list[RenderableType] = [
        Text(clean(contract.name), style=f"bold {view.paint.style(contract.name) or ''}".strip()),
        Text(clean_lines(contract.description)),
        Text(),
        _summary(view, contract, roles, count, latest),
    ]
    parts += [Text(), facts] if facts.row_count else []
    if example is not None:
        parts += [Text(), Text("Example", style="bold"), Text(clean(orjson.dumps(example).decode()), overflow="fold")]
    return Group(*parts)


def _summary(
    view: View, contract: Contract, roles: Roles, count: int | None, latest: Mapping[str, Any] | None
) -> Table:
    shown = Table(box=None, pad_edge=False, show_header=False)
    shown.add_column(style="bold", no_wrap=True)
    shown.add_column(overflow="fold")
    ends = ", ends its story" if contract.terminal else ""
    shown.add_row("kind", f"{contract.kind}, version {contract.version}, {contract.delivery}{ends}")
    if contract.expects:
        shown.add_row("expects", clean(_expects(contract)))
    for heading, names in asdict(roles).items():
        if names:
            shown.add_row(heading, clean(", ".join(names)))
    if not roles.consumers and contract.unconsumed:
        shown.add_row("consumers", f"none: {clean(contract.unconsumed)}")
    if count is not None:
        shown.add_row("kept", f"{count:,}")
    if latest:
        shown.add_row("last", f"#{latest['seq']} {view.paint.moment(latest['received_at'])} {clean(latest['source'])}")
    return shown


def _expects(contract: Contract) -> str:
    expects = contract.expects
    if expects is None:
        raise LigandError
    within = f"{expects.within_s:g} s" if expects.within_s is not None else f"the seconds in {expects.within_fact}"
    return f"{' or '.join(expects.answers)} within {within}, else {expects.timeout}"
