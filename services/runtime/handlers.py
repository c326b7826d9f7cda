"""The handlers of a daemon: registered by decorators, held against the manifest, found for each delivery."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from services.runtime.manifest import Manifest
from signals.errors import ManifestError

GIVEN = ("signal", "emit", "ask", "put")
Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Handler:
    """A function for a name or glob, in one lane or in all; it gets the parameters it names."""

    pattern: str
    lane: str | None
    function: Function
    takes: tuple[str, ...]
    in_thread: bool


class Handlers:
    """What a daemon's code says it hears."""

    def __init__(self) -> None:
        self._found: list[Handler] = []
        self._cache: dict[tuple[str, str], Handler] = {}
        self.live: dict[str, Function] = {}

    def add(self, pattern: str, lane: str | None, function: Function) -> None:
        """Register a handler. Raises `ManifestError` for parameters that nobody can give."""
        takes = tuple(inspect.signature(function).parameters)
        unknown = [name for name in takes if name not in GIVEN]
        in_thread = not inspect.iscoroutinefunction(function)
        where = f"The handler {function.__name__} for {pattern}"
        if unknown:
            raise ManifestError(f"{where} takes {unknown[0]!r}; a handler can take {', '.join(GIVEN)}.")
        if in_thread and "ask" in takes:
            raise ManifestError(f"{where} asks; make it `async def`.")
        if any(h.pattern == pattern and h.lane == lane for h in self._found):
            raise ManifestError(f"{where} is the second one.")
        self._found.append(Handler(pattern, lane, function, takes, in_thread))

    def add_live(self, name: str, function: Function) -> None:
        """Register a plain function for a live signal. Raises `ManifestError` for a coroutine, which nobody awaits."""
        if inspect.iscoroutinefunction(function):
            raise ManifestError(f"The live handler {function.__name__} for {name} is `async def`; make it `def`.")
        self.live[name] = function

    def check(self, manifest: Manifest) -> None:
        """Raise `ManifestError` where code and manifest disagree."""
        consumed = {line.signal for line in manifest.consumes}
        handled = {handler.pattern for handler in self._found}
        self._same(manifest, "consumes", consumed, handled, "@daemon.on")
        self._same(manifest, "listens", set(manifest.listens), set(self.live), "@daemon.on_live")
        for handler in self._found:
            if handler.lane is not None and handler.lane not in manifest.lanes:
                raise ManifestError(f"{manifest.origin}: has no lane {handler.lane!r}, which a handler names.")

    @staticmethod
    def _same(manifest: Manifest, key: str, listed: set[str], coded: set[str], how: str) -> None:
        for name in sorted(listed - coded):
            raise ManifestError(f"{manifest.origin}: {key} {name}, but no {how}({name!r}) handles it.")
        for name in sorted(coded - listed):
            raise ManifestError(f"{how}({name!r}) is in the code, but {manifest.origin} does not list it under {key}.")

    def find(self, name: str, lane: str) -> Handler:
        """The handler for a delivery: the most particular one. Raises `ManifestError` when there is none."""
        found = self._cache.get((name, lane))
        if found is None:
            fits = [h for h in self._found if fnmatchcase(name, h.pattern) and h.lane in (None, lane)]
            if not fits:
                raise ManifestError(f"No handler takes {name} in the lane {lane or 'main'!r}.")
            found = self._cache[name, lane] = max(
                fits, key=lambda h: (h.lane is not None, h.pattern == name, len(h.pattern))
            )
        return found
