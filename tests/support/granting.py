"""What of a person's files a daemon sees, in the tests of grants: alice's files, and who looks at them."""

from __future__ import annotations

import json

from tests.support.installed import Installed, unit
from tests.support.systemd import Machine

FILE, NOTES = "/home/alice/project/module.py", "/home/alice/notes"
GRANTED = tuple(map(unit, ("investigator", "capability_integrator", "model_worker@research")))
"""The units that the tests grant something."""


def sees(machine: Machine, daemon: str, how: str, path: str) -> bool:
    """Whether a daemon's process could do that."""
    return as_daemon(machine, daemon, f'test {how} "{path}"', check=False)


def as_daemon(machine: Machine, daemon: str, what: str, *, check: bool = True) -> bool:
    """Have a shell do something in a daemon's view of the files, as its user; whether it could."""
    name = f"ligand-{daemon.replace('_', '-')}"
    enter = ("nsenter", "--target", str(machine.pid(unit(daemon))), "--mount")
    become = ("setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups", "--", "sh", "-ec", what)
    return bool(machine.run(*enter, *become, check=check).returncode == 0)


def granted(ligand: Installed) -> list[dict[str, str]]:
    """Each grant, as `ligand grants -o json` says it."""
    return [json.loads(line) for line in ligand.ligand("grants", "-o", "json").stdout.splitlines()]


def listed(ligand: Installed) -> list[tuple[str, str]]:
    """Path and state of each grant, as `ligand grants` says it."""
    found = granted(ligand)
    return [(one["path"], one.get("state", "open")) for one in found]


def alices(machine: Machine) -> Machine:
    """The machine, on which alice has a closed home with some files in it."""
    machine.run("chmod", "0700", "/home/alice")
    for path in (FILE, f"{NOTES}/old.txt", "/home/alice/secret.txt"):
        machine.run("sh", "-c", 'umask 077; mkdir -p "${0%/*}"; echo text > "$0"', path, user="alice")
    return machine
