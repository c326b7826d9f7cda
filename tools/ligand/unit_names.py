"""The unit of a daemon, and the daemon of a unit: `model_worker@primary` is `ligand-model-worker@primary.service`."""

from __future__ import annotations

PREFIX, SUFFIX = "ligand-", ".service"
TARGET = "ligand.target"
HELPERS = ("ligand-tell-failure", "ligand-note-failure")
"""How units that are no daemons begin."""


def unit_of(daemon: str) -> str:
    """The unit of a daemon or of an instance; an instance's name stays as it is."""
    name, at, instance = daemon.partition("@")
    return f"{PREFIX}{name.replace('_', '-')}{at}{instance}{SUFFIX}"


def daemon_of(unit: str) -> str:
    """The daemon or the instance that a unit runs."""
    name, at, instance = unit.removeprefix(PREFIX).removesuffix(SUFFIX).partition("@")
    return f"{name.replace('-', '_')}{at}{instance}"
