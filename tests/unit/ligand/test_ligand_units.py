"""From unit files to what is run, in which order."""

from __future__ import annotations

import io
import math
import signal
import sys
from pathlib import Path

import pytest

from services.runtime.manifest import load_all
from signals.paths import Paths
from tools.ligand.console import Console
from tools.ligand.instances import listed
from tools.ligand.rules import End, Result, StartLimit, judge, starts_again
from tools.ligand.selection import select
from tools.ligand.unit_syntax import UnitError
from tools.ligand.units import Unit, load
from tools.ligand.up import environment, here, packaged_units


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_the_packaged_units_are_understood() -> None:
    """`ligand up` runs what systemd would run."""
    units = {unit.daemon: unit for unit in select(packaged_units())}
    assert {"bus", "intent_router", "investigator", "capability_integrator"} <= set(units)
    for daemon, unit in units.items():
        assert unit.argv == ("/opt/ligand/venv/bin/python", "-m", f"services.{daemon}")
        assert (unit.notifies, unit.restart, unit.watchdog_s, unit.stop_s) == (True, "always", 30, 20)
        assert unit.prevent == {78}
        assert unit.limit_interval_s == 0
        assert here(unit).argv[0] == sys.executable
    assert next(iter(units)) == "bus"


def test_drop_ins_change_and_reset(tmp_path: Path) -> None:
    """What a person changes with `systemctl edit` counts here too."""
    file = write(
        tmp_path, "ligand-a.service",
        "[Unit]\nAfter=x.service\nAfter=y.service z.service\n[Service]\nExecStart=/bin/one\nWatchdogSec=30\n"
        "RestartPreventExitStatus=78\nRestartPreventExitStatus=5 SIGUSR1\nEnvironment=A=1 'B=2 3'\n",
    )  # fmt: skip
    dropped = tmp_path / "ligand-a.service.d"
    write(dropped, "10.conf", "[Unit]\nAfter=\nAfter=w.service\n")
    write(dropped, "15.conf", "[Service]\nExecStart=\nExecStart=/bin/two %n\n")
    write(dropped, "20.conf", "[Service]\nWatchdogSec=5min\nEnvironment=A=9\nTimeoutStopSec=infinity\n")
    write(dropped, "ignored.txt", "nonsense")
    unit = load(file)
    assert unit.argv == ("/bin/two", "ligand-a.service")
    assert unit.after == ("w.service",)
    assert unit.watchdog_s == 300
    assert unit.stop_s == unit.abort_s == math.inf
    assert unit.prevent == {78, 5, -signal.SIGUSR1}
    assert dict(unit.environment) == {"A": "9", "B": "2 3"}


def test_templates_take_their_instance(tmp_path: Path) -> None:
    """Two model workers run from one unit, each with its own drop-in."""
    write(tmp_path, "ligand-model-worker@.service", "[Service]\nExecStart=/bin/w %i\n")
    write(tmp_path / "ligand-model-worker@big.service.d", "a.conf", "[Service]\nRestartSec=9\n")
    write(tmp_path, "ligand-bus.service", "[Service]\nExecStart=/bin/b\n")
    assert [unit.daemon for unit in select(tmp_path)] == ["bus"]
    big, small = select(tmp_path, ["model_worker@big", "model_worker@small"])
    assert (big.argv, big.restart_s, big.daemon) == (("/bin/w", "big"), 9, "model_worker@big")
    assert (small.argv, small.restart_s) == (("/bin/w", "small"), 0.1)
    both = select(tmp_path, instances=["model_worker@big", "stranger@of-whom-there-is-no-template"])
    assert [unit.daemon for unit in both] == ["bus", "model_worker@big"]


def test_the_usual_instances_run_unless_the_bus_lists_others(tmp_path: Path) -> None:
    """`ligand up` starts just the instances that the bus takes; another one would be refused again and again."""
    paths = Paths.resolve(tmp_path)

    def instances() -> list[str]:
        return [one.daemon for one in listed(load_all(paths.manifests).values(), paths.config)]

    assert instances() == ["model_worker@primary", "model_worker@research"]
    for bus, left in (
        ("instances: {model_worker: [primary]}", ["model_worker@primary"]),
        ("disable: [model_worker]", []),
    ):
        write(paths.config, "bus.yaml", bus)
        assert instances() == left


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "exactly one ExecStart"),
        ("ExecStart=relative", "absolute path"),
        ("ExecStart=/bin/a ; /bin/b", "one plain command"),
        ("ExecStart=+/bin/a", "one plain command"),
        ("ExecStart=/bin/a %z", "%z is not supported"),
        ("ExecStart=/bin/a\nType=forking", "Type=forking is not supported"),
        ("ExecStart=/bin/a\nRestart=sometimes", "Restart=sometimes is not supported"),
        ("ExecStart=/bin/a\nWatchdogSec=soon", "WatchdogSec"),
        ("ExecStart=/bin/a\nKillSignal=SIGNONE", "no such signal"),
        ("ExecStart=/bin/a\nEnvironment=nothing", "NAME=value"),
    ],
)
def test_what_cannot_be_honoured_is_refused(tmp_path: Path, line: str, words: str) -> None:
    """A unit is run as it says or not at all."""
    file = write(tmp_path, "ligand-a.service", f"[Service]\n{line}\n")
    with pytest.raises(UnitError, match=words):
        load(file)


def test_a_circle_is_named(tmp_path: Path) -> None:
    """Nobody waits for ever for each other."""
    for one, other in (("a", "b"), ("b", "a")):
        text = f"[Unit]\nAfter=ligand-{other}.service\n[Service]\nExecStart=/bin/x\n"
        write(tmp_path, f"ligand-{one}.service", text)
    with pytest.raises(UnitError, match=r"ligand-a.service after ligand-b.service|b.service after ligand-a"):
        select(tmp_path)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    """A wrong --units is not an empty constellation."""
    with pytest.raises(UnitError, match="no units"):
        select(tmp_path)


@pytest.mark.parametrize(
    ("restart", "again"),
    [
        ("no", set()),
        ("always", set(Result)),
        ("on-failure", set(Result) - {Result.SUCCESS}),
        ("on-success", {Result.SUCCESS}),
        ("on-abnormal", {Result.SIGNAL, Result.TIMEOUT, Result.WATCHDOG}),
        ("on-watchdog", {Result.WATCHDOG}),
        ("on-abort", {Result.SIGNAL}),
    ],
)
def test_restart_follows_systemds_table(restart: str, again: set[Result]) -> None:
    """The same unit is kept up the same way with and without systemd."""
    unit = Unit(name="x", daemon="x", description="", argv=("/x",), restart=restart, prevent=frozenset({78}))
    assert {result for result in Result if starts_again(unit, End(1, result))} == again
    assert not any(starts_again(unit, End(78, result)) for result in Result)


def test_ends_are_judged_as_systemd_does() -> None:
    """A signal that asks to end is a clean end, a crash is not."""
    ends = {0: Result.SUCCESS, -signal.SIGTERM: Result.SUCCESS, 1: Result.EXIT, -9: Result.SIGNAL}
    assert {status: judge(status, was_ready=True, cause=None).result for status in ends} == ends
    assert judge(0, was_ready=False, cause=None).result is Result.PROTOCOL
    assert judge(-6, was_ready=True, cause=Result.WATCHDOG).result is Result.WATCHDOG


def test_the_start_limit_slides() -> None:
    """Three starts a minute are allowed for ever, four at once are not."""
    limit = StartLimit(10, 3)
    assert [limit.allows(now) for now in (0, 1, 2, 3, 10, 10.5)] == [True, True, True, False, True, False]
    unlimited = StartLimit(0, 1)
    assert all(unlimited.allows(0) for _ in range(9))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "coloured"),
    [(Terminal(), {}, True), (Terminal(), {"NO_COLOR": "1"}, False), (io.StringIO(), {}, False)],
)
def test_colours_only_on_a_terminal(stream: io.StringIO, environ: dict[str, str], coloured: bool) -> None:
    """A log kept in a file is plain text, and names stand in one column."""
    console = Console(stream, ["bus", "intent_router"], lambda: None, environ)
    console.line("bus", "hello\x1b[31m")
    console.line("intent_router", "there")
    first, second = stream.getvalue().splitlines()
    assert ("\x1b" in first) is coloured
    assert first.index("|") == second.index("|")
    assert first.endswith(r"hello\x1b[31m")


def test_children_do_not_inherit_a_service_manager() -> None:
    """A daemon under `ligand up` that runs as a service itself reports to `ligand up`."""
    given = {"NOTIFY_SOCKET": "/x", "STATE_DIRECTORY": "/y", "PATH": "/bin", "PYTHONPATH": "/mine"}
    got = environment(given, Path("/home/x"))
    assert "NOTIFY_SOCKET" not in got
    assert "STATE_DIRECTORY" not in got
    assert (got["PATH"], got["LIGAND_HOME"]) == ("/bin", "/home/x")
    assert got["PYTHONPATH"].endswith(":/mine")
    assert "LIGAND_HOME" not in environment({}, None)
