"""A straight line through points."""

from __future__ import annotations

from collections.abc import Sequence


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The least-squares slope of y over x, in y's unit per x's."""
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    return sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread
