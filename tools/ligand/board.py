"""`run/units.json`: what `ligand up` knows of each unit, for `ligand status`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from tools.ligand.service import Service


class Board:
    """Writes the file whole and atomically, once for all changes of one turn of the event loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._services: Sequence[Service] = ()
        self._due = False

    def watch(self, services: Sequence[Service]) -> None:
        """Set whose states are written."""
        self._services = services

    def changed(self) -> None:
        """Note that something changed; it is written soon."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._try_to_write)

    def _try_to_write(self) -> None:
        with suppress(OSError):  # a full disk, or a home that is gone; the next change writes all of it
            self.write()

    def write(self) -> None:
        """Write the states as they are now."""
        self._due = False
        content = {"pid": os.getpid(), "units": [entry(service) for service in self._services]}
        beside = self.path.with_name(f".{self.path.name}.new")
        beside.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        beside.replace(self.path)


def entry(service: Service) -> dict[str, Any]:
    """One unit as JSON: state, process, since when, how often restarted, and why it failed."""
    return {
        "unit": service.unit.name,
        "daemon": service.unit.daemon,
        "description": service.unit.description,
        "state": service.state.value,
        "pid": service.pid,
        "since": service.since,
        "status": service.status,
        "restarts": service.restarts,
        "last_end": service.end.words() if service.end else None,
        "failure": service.failure or None,
    }
