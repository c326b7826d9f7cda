"""The table and the picture in docs/benchmarks.md, from the JSON of a run of the benchmarks."""

from __future__ import annotations

import json
from pathlib import Path

from signals.errors import LigandError
from tools.bench.plot import svg
from tools.bench.report import Figure, cells, headings

BEGIN = "<!-- measured: made by `python -m tools.docs benchmarks` -->"
END = "<!-- end of measured -->"


class BenchmarksError(LigandError):
    """The file is not what `python -m tools.bench --json` writes, or the page has no place for it."""


def benchmarks(page: str, run: Path) -> tuple[str, str]:
    """(the page with the figures of `run` between its markers, their picture as SVG). Raises `BenchmarksError`."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchmarksError(f"docs/benchmarks.md needs the lines {BEGIN} and {END}, one after the other.")
    machine, figures = _figures(run)
    table = "\n".join([_line(headings()), _line(["---"] * len(headings())), *map(_line, map(cells, figures))])
    made = f"{before}{BEGIN}\n\n{machine}\n\n{table}\n\n{END}{after}"
    return made, svg(figures, machine)


def _figures(run: Path) -> tuple[str, list[Figure]]:
    try:
        document = json.loads(run.read_text(encoding="utf-8"))
        if document["quick"]:
            raise BenchmarksError(f"{run} is a quick run: its figures mean nothing.")
        return document["machine"], [Figure.from_json(one) for one in document["figures"]]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise BenchmarksError(f"{run}: not the JSON of a run of the benchmarks: {error!r}.") from error


def _line(texts: list[str]) -> str:
    return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"
