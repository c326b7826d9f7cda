"""Hears what others say about the constellation, has the checks look, and tells what begins, worsens or ends."""

from __future__ import annotations

import importlib
import pkgutil

from services.advisory_monitor import checks, hearing
from services.advisory_monitor.board import Board
from services.advisory_monitor.seen import Check
from services.runtime import Daemon

daemon = Daemon("advisory_monitor")
hearing.register(daemon)


class _Desk:
    """What holds while the daemon runs."""

    board: Board | None = None
    begun: Board | None = None


desk = _Desk()


def build() -> dict[str, Check]:
    """Every check that the configuration enables and gives something to look at, made anew."""
    names = [found.name for found in pkgutil.iter_modules(checks.__path__)]
    modules = {name: importlib.import_module(f"{checks.__name__}.{name}") for name in sorted(names)}
    wanted = {name: module for name, module in modules.items() if daemon.config[name]["enabled"]}
    made = {name: module.make(daemon.config[name], daemon.paths) for name, module in wanted.items()}
    return {name: check for name, check in made.items() if check is not None}


@daemon.on_start
async def start() -> None:
    """Make the checks; they begin once the daemon is ready."""
    desk.board = Board(daemon, build(), daemon.config)
    daemon.status("looking for the first time")


@daemon.on_reload
async def reload() -> None:
    """Take a new configuration whole, or keep the old one; what is being looked at is thrown away."""
    fresh, old = Board(daemon, build(), daemon.config), desk.board
    desk.board = fresh
    if old is not None:
        old.close()


@daemon.on_stop
async def stop() -> None:
    """Give back what the checks hold."""
    if desk.board is not None:
        desk.board.close()


@daemon.every(0)
async def watch() -> None:
    """One turn of the board that holds now."""
    board = desk.board
    if board is not None and board is not desk.begun and await board.has_ended_others():
        desk.begun = board
    if board is not None:
        await board.turn()
