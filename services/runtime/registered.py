"""What a daemon's author has registered: handlers, periodic tasks, and what to run at its start, reload and end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from services.runtime.handlers import Function, Handlers

F = TypeVar("F", bound=Callable[..., Any])


class Registered:
    """The decorators of a daemon. They run nothing by themselves."""

    def __init__(self) -> None:
        self._handlers = Handlers()
        self._periodic: list[tuple[float, Function]] = []
        self._starts: list[Function] = []
        self._stops: list[Function] = []
        self._reloads: list[Function] = []
        self._checks: list[Callable[[], object]] = []

    def on(self, signal: str, *, lane: str | None = None) -> Callable[[F], F]:
        """Handle a signal (or a glob, as the manifest lists it), in all lanes or in one."""

        def register(function: F) -> F:
            self._handlers.add(signal, lane, function)
            return function

        return register

    def on_live(self, signal: str) -> Callable[[F], F]:
        """Hear a live signal: `def heard(signal)`; it may be missed."""

        def register(function: F) -> F:
            self._handlers.add_live(signal, function)
            return function

        return register

    def every(self, seconds: float) -> Callable[[F], F]:
        """Run `async def tick()` again and again, the first time at once, then `seconds` after each end."""

        def register(function: F) -> F:
            self._periodic.append((seconds, function))
            return function

        return register

    def on_start(self, function: F) -> F:
        """Run `async def start()` once attached, before READY. It is cancelled when the daemon is told to stop."""
        self._starts.append(function)
        return function

    def on_stop(self, function: F) -> F:
        """Run `async def stop()` when nothing is being handled any more, for a few seconds at most.

        Also where `on_start` was refused or cut short; not where it never began.
        """
        self._stops.append(function)
        return function

    def on_reload(self, function: F) -> F:
        """Run `async def reload()` when a new configuration is in place."""
        self._reloads.append(function)
        return function

    def on_check(self, function: F) -> F:
        """Look at the files that the manifest lists under `files`: `def check()`, which raises `ConfigError`.

        What is wrong with several files is raised as a group. Run by `ligand config check` in a process of its own:
        `config`, `paths`, `manifest` and `catalogue` are there.
        """
        self._checks.append(function)
        return function
