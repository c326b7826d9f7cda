"""The service manager, asked and told through `systemctl` and `journalctl`."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tools.ligand.layout import InstallError
from tools.ligand.rules import MEANINGS
from tools.ligand.steps import run
from tools.ligand.unit_names import HELPERS

SETTLED_S = 3.0
POLL_S = 0.3
_PROPERTIES = (
    "Id,ActiveState,SubState,NRestarts,Result,ExecMainStatus,StatusText,InvocationID,ActiveEnterTimestampMonotonic"
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A unit that did not become ready, or did not stay so."""

    unit: str
    why: str

    def __str__(self) -> str:
        return f"{self.unit}: {self.why}"


class Manager:
    """systemd as PID 1, or as a user's manager."""

    def __init__(self, *, system: bool) -> None:
        self._scope = "--system" if system else "--user"

    def systemctl(self, *arguments: str) -> str:
        """Run systemctl. Raises `InstallError` with what it said."""
        return run(["systemctl", self._scope, "--no-pager", *arguments])

    def version(self) -> int:
        """systemd's version. Raises `InstallError` when there is none."""
        first = run(["systemctl", "--version"]).split("\n", 1)[0]
        found = re.match(r"systemd (\d+)", first)
        if found is None:
            raise InstallError(f"systemctl does not say its version, but {first!r}.")
        return int(found[1])

    def require(self) -> None:
        """Raise `InstallError` unless a manager answers."""
        try:
            self.systemctl("show", "--property=Version")
        except InstallError as error:
            hint = "" if self._scope == "--system" else " Log in as that user first, or run: loginctl enable-linger"
            raise InstallError(f"No systemd answers here.{hint} Without it use `ligand up`.\n{error}") from error

    def enabled(self) -> list[str]:
        """Ligand's services that start with the target, instances among them."""
        wanted = self.systemctl("show", "--value", "--property=Wants", "ligand.target").split()
        return sorted(unit for unit in wanted if unit.startswith("ligand-") and unit.endswith(".service"))

    def needs_reload(self) -> bool:
        """Whether it goes by unit files that are others by now, as a killed installation leaves it."""
        return "yes" in self.systemctl("show", "--value", "--property=NeedDaemonReload", "ligand*").split()

    def running(self) -> list[str]:
        """Ligand's services that run or are about to, instances and a person's own daemons among them."""
        return self._in_state("active", "activating", "reloading")

    def runs(self, unit: str) -> bool:
        """Whether it can be stopped; one that is not there neither runs nor can."""
        return self.systemctl("show", "--value", "--property=ActiveState", unit).strip() not in ("inactive", "failed")

    def failed(self) -> list[str]:
        """Those that systemd has given up."""
        return self._in_state("failed")

    def forget(self, units: Sequence[str]) -> None:
        """Set the failures and restarts of these back to none; units that are gone meanwhile have none."""
        for unit in units:
            with suppress(InstallError):
                self.systemctl("reset-failed", unit)

    def _in_state(self, *states: str) -> list[str]:
        found = json.loads(self.systemctl("list-units", "--all", "--output=json", "ligand-*.service"))
        return [one["unit"] for one in found if one["active"] in states and not one["unit"].startswith(HELPERS)]

    def settle(self, units: Sequence[str], timeout_s: float, *, restarted: bool = True) -> list[Trouble]:
        """Wait until all are ready and stay so for three seconds; what is wrong with those that are not.

        Unless they are `restarted`, which may not have begun yet, what has been ready before counts.
        """
        deadline = time.monotonic() + timeout_s
        since: float | None = None
        # what restarted before, perhaps weeks ago, is no sign against what is starting now
        before = {state["Id"]: int(state["NRestarts"]) for state in self.states(units)}
        while True:
            states = self.states(units)
            again = {state["Id"]: int(state["NRestarts"]) - before[state["Id"]] for state in states}
            broken = [state for state in states if state["ActiveState"] == "failed" or again[state["Id"]] > 1]
            waiting = [state for state in states if (state["ActiveState"], state["SubState"]) != ("active", "running")]
            now = time.monotonic()
            since = None if waiting else since or (now if restarted else min(now, _last_ready(states)))
            if broken or (waiting and now > deadline):
                return [Trouble(state["Id"], self._why(state)) for state in broken or waiting]
            if since is not None and now - since >= SETTLED_S:
                return []
            time.sleep(POLL_S)  # systemd tells a change by D-Bus only, which would be one more dependency

    def states(self, units: Iterable[str]) -> list[dict[str, str]]:
        """Some properties of each unit."""
        blocks = self.systemctl("show", f"--property={_PROPERTIES}", *units).strip().split("\n\n")
        return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]

    def _why(self, state: Mapping[str, str]) -> str:
        words = {"0": "it ended", **{str(status): meaning for status, meaning in MEANINGS.items()}}
        said = words.get(state["ExecMainStatus"], f"exit status {state['ExecMainStatus']}")
        if state["ActiveState"] == "activating" and state["SubState"] == "start":
            said = f"not ready in time ({state['StatusText'] or 'it said nothing'})"
        return f"{state['Result']}, {said}\n{self._last_lines(state['Id'])}".rstrip()

    def _last_lines(self, unit: str) -> str:
        command = ["journalctl", "--no-pager", "--quiet", "--output=cat", "--lines=4"]
        field = "--unit" if self._scope == "--system" else "--user-unit"
        done = subprocess.run([*command, f"{field}={unit}"], capture_output=True, text=True, check=False)
        return "\n".join(f"    {line[:400]}" for line in done.stdout.splitlines())


def _last_ready(states: Iterable[Mapping[str, str]]) -> float:
    """Since when the last of these is ready, in seconds of the monotonic clock."""
    return max((int(state["ActiveEnterTimestampMonotonic"]) / 1e6 for state in states), default=0.0)
