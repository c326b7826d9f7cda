"""The ratios of a run as a picture: a bar for each yardstick, on a logarithmic scale around 1."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10
from statistics import median

from tools.bench.report import Figure, shown

ROW, LABELS, BARS, MARGIN = 18, 430, 420, 24
TEXT = 'font-family="sans-serif" font-size="11"'


def svg(figures: Sequence[Figure], machine: str) -> str:
    """An SVG document about a run on that machine; figures without a ratio are left out."""
    title = f"Ligand beside what else there is, medians and spread; {machine}"
    compared = [figure for figure in figures if figure.ratios]
    reach = max((abs(log10(value)) for figure in compared for value in figure.ratios), default=1.0) or 1.0
    height = 2 * MARGIN + ROW * (len(compared) + 1)
    rows = "\n".join(_row(figure, n, reach) for n, figure in enumerate(compared))
    middle = _x(1.0, reach)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABELS + BARS + 150}" height="{height}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="8" y="16" {TEXT} font-weight="bold">{escape(title)}</text>\n{rows}\n'
        f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{MARGIN}" y2="{height - MARGIN}" stroke="#444"/>\n'
        f'<text x="{middle + 4:.1f}" y="{height - 8}" {TEXT}>'
        f"as the yardstick; to the right the figure is larger</text>\n"
        "</svg>\n"
    )


def _x(ratio: float, reach: float) -> float:
    return LABELS + BARS / 2 * (1 + log10(ratio) / reach)


def _row(figure: Figure, n: int, reach: float) -> str:
    y = MARGIN + ROW * n
    low, high = (_x(bound(figure.ratios), reach) for bound in (min, max))
    one, value = _x(1.0, reach), median(figure.ratios)
    start, end = sorted((one, _x(value, reach)))
    fill = {None: "#8aa", True: "#4a4", False: "#c55"}[figure.met]
    label = escape(f"{figure.first.of} ÷ {figure.name}")
    return (
        f'<text x="{LABELS - 6}" y="{y + 12}" text-anchor="end" {TEXT}>{label}</text>'
        f'<rect x="{start:.1f}" y="{y + 3}" width="{end - start:.1f}" height="{ROW - 7}" fill="{fill}"/>'
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 8}" y2="{y + 8}" stroke="black"/>'
        f'<text x="{LABELS + BARS + 8}" y="{y + 12}" {TEXT}>× {shown(value)}</text>'
    )
