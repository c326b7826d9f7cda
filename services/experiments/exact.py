"""JSON from outside that says one thing to every reader: no name twice, and names that are text."""

from __future__ import annotations

from typing import Any


def single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `object_pairs_hook`: an object whose names differ. Raises `ValueError`."""
    built = dict(pairs)
    if len(built) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    "".join(built).encode()  # half of a surrogate pair is no text that could be told on
    return built
