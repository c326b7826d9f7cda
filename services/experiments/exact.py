"""JSON from outside that says one thing to every reader: no name twice, and texts that can be told on."""

from __future__ import annotations

from typing import Any


def single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `object_pairs_hook`: an object whose names differ, of whole characters. Raises `ValueError`."""
    built = dict(pairs)
    if len(built) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    texts = [*built, *(value for value in built.values() if isinstance(value, str))]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise ValueError("a text in it has half a character (a surrogate without its pair)") from error
    return built
