"""Run by `OnFailure=`: emit Q_DAEMON_FAILED for a unit that systemd has given up or lost.

`python -m tools.ligand.tell_failure UNIT`; what happened is in `MONITOR_*` (systemd 251 and later), the rest is asked
for. Exit 1 with a message when the bus does not take it, so that the journal has it at least.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from signals.emitter import Emitter
from signals.errors import LigandError
from signals.paths import Paths
from tools.ligand.manager import Manager

WAIT_S = 45.0


def facts(unit: str, shown: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, Any]:
    """The facts of Q_DAEMON_FAILED, from what systemd says of the unit."""
    result = environ.get("MONITOR_SERVICE_RESULT") or shown.get("Result") or "unknown"
    status = environ.get("MONITOR_EXIT_STATUS") or shown.get("ExecMainStatus") or ""
    name, at, instance = unit.removeprefix("ligand-").removesuffix(".service").partition("@")
    found: dict[str, Any] = {"unit": unit, "result": result, "restarts": int(shown.get("NRestarts") or 0)}
    found["daemon"] = f"{name.replace('-', '_')}{at}{instance}"
    return {**found, "exit_status": status} if status else found


def main() -> None:
    """Tell of the unit that is named."""
    unit = sys.argv[1]
    try:
        shown = Manager(system=os.getuid() == 0).states([unit])[0]
        with Emitter(Paths.resolve().bus_socket, timeout_s=WAIT_S) as emitter:
            emitter.emit(emitter.signal("Q_DAEMON_FAILED", facts(unit, shown, os.environ)))
    except LigandError as error:
        print(f"{unit} has failed, and the bus could not be told: {error.message}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
