"""The units are what systemd accepts, and as closed as their manifests promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.required import program
from tools.ligand.layout import Layout
from tools.ligand.unit_files import rendered
from tools.ligand.unit_syntax import parse

ROOT = Path(__file__).resolve().parents[2]
SERVICES = sorted((ROOT / "systemd").glob("ligand-*.service"))
UNITS = [unit for unit in SERVICES if " -m services." in unit.read_text()]
HELPERS = [unit for unit in SERVICES if unit not in UNITS]
each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)


def daemon_of(unit: Path) -> str:
    return unit.stem.removeprefix("ligand-").removesuffix("@").replace("-", "_")


def bound(unit: Path) -> float:
    """The exposure that the daemon's manifest allows."""
    manifest = ROOT / "services" / daemon_of(unit) / "manifest.yaml"
    if manifest.exists():
        stated = (yaml.safe_load(manifest.read_text()).get("unit") or {}).get("exposure")
        if stated is not None:
            return float(stated)
    return 0.8 if daemon_of(unit) == "bus" else 0.7


def values(unit: Path, key: str) -> list[str]:
    return [entry.value for entry in parse(unit.read_text(), str(unit)) if entry.key == key]


@each_unit
def test_the_unit_is_no_more_open_than_its_manifest_says(unit: Path) -> None:
    """A daemon that is taken over can do little on the person's machine."""
    limit = round(bound(unit) * 10)  # systemd-analyze counts in tenths
    command = [
        program("systemd-analyze"),
        "security",
        "--offline=true",
        "--no-pager",
        f"--threshold={limit}",
        str(unit),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", HELPERS, ids=lambda unit: unit.stem)
def test_what_tells_of_failures_is_closed_too(unit: Path) -> None:
    """The two units that run as root can do no more than keep a note and speak to the bus."""
    command = [program("systemd-analyze"), "security", "--offline=true", "--no-pager", "--threshold=15", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {unit.stem for unit in HELPERS} == {"ligand-note-failure@", "ligand-tell-failure"}


@each_unit
def test_a_failure_is_told(unit: Path) -> None:
    """A daemon that crashes, or that systemd gives up, does not go in silence."""
    assert values(unit, "OnFailure") == ["ligand-note-failure@%n.service"]
    assert [line.split()[1:4] for line in values(unit, "ExecStopPost")] == [["-I", "-m", "tools.ligand.note_failure"]]


@each_unit
def test_no_daemon_is_wide_open(unit: Path) -> None:
    """No manifest allows more than 1.5, and one that needs nothing but the bus no more than 0.7."""
    manifest = yaml.safe_load((ROOT / "services" / daemon_of(unit) / "manifest.yaml").read_text()).get("unit", {})
    needs_more = manifest.get("network") or manifest.get("devices") or daemon_of(unit) == "bus"
    assert bound(unit) <= (1.5 if needs_more else 0.7)
    assert values(unit, "MemoryMax") == [manifest["memory_max"]]
    assert (values(unit, "PrivateNetwork") == ["yes"]) is not bool(manifest.get("network"))
    assert (values(unit, "PrivateDevices") == ["yes"]) is not bool(manifest.get("devices"))


def test_systemd_accepts_all_of_it(tmp_path: Path) -> None:
    """No key is misspelt and thereby silently without effect, nor one of those that this systemd is new enough for."""
    analyze = program("systemd-analyze")
    said = subprocess.run([analyze, "--version"], capture_output=True, text=True, check=True).stdout
    for name, text in rendered(ROOT / "systemd", Layout.for_system(), int(said.split()[1])).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("/opt/ligand/venv/bin/python", sys.executable))
    files = [str(file) for file in tmp_path.iterdir() if file.is_file()]
    done = subprocess.run([analyze, "verify", "--man=no", *files], capture_output=True, text=True, check=False)
    # "test_instance" is what systemd-analyze calls the instance of a template; from 255 on it finds that name unusual
    ours = [line for line in done.stderr.splitlines() if "ligand" in line and "test_instance" not in line]
    assert ours == []
    assert done.returncode == 0, done.stderr


@each_unit
def test_names_agree(unit: Path) -> None:
    """User, state folder and program of a unit belong to the same daemon."""
    daemon, dashed = daemon_of(unit), daemon_of(unit).replace("_", "-")
    assert values(unit, "ExecStart")[0].split()[2] == f"services.{daemon}"
    if unit.stem.endswith("@"):  # each instance has a folder and a user of its own, made when it is installed
        assert values(unit, "ExecStart")[0].split()[3] == "%i"
        assert values(unit, "StateDirectory") == [f"ligand/{daemon}@%i"]
        assert values(unit, "User") == [f"ligand-{dashed}-%i"]
        return
    assert values(unit, "StateDirectory") == [f"ligand/{daemon}"]
    assert values(unit, "User") == [f"ligand-{dashed}"]
    users = (ROOT / "systemd" / "ligand.sysusers.conf").read_text().split("\n")
    assert any(line.split()[:2] == ["u", f"ligand-{dashed}"] for line in users)
    assert any(line.split() == ["m", f"ligand-{dashed}", "ligand"] for line in users)


@each_unit
def test_every_daemon_is_always_on_and_watched(unit: Path) -> None:
    """A crash or a hang never ends a daemon for good; a configuration error does."""
    for key, value in {
        "Type": "notify", "Restart": "always", "WatchdogSec": "30", "StartLimitIntervalSec": "0",
        "RestartPreventExitStatus": "78", "NotifyAccess": "main", "PartOf": "ligand.target",
        "WantedBy": "ligand.target", "NoNewPrivileges": "yes",
    }.items():  # fmt: skip
        assert values(unit, key) == [value], key


@each_unit
def test_libzmq_may_start_its_threads(unit: Path) -> None:
    """Without this call libzmq aborts, and no daemon starts."""
    assert values(unit, "SystemCallFilter")[-1] == "sched_setscheduler"


@each_unit
def test_only_who_needs_it_sees_users_as_they_are(unit: Path) -> None:
    """The bus decides by user who may emit what, the deployer keeps lists that name them; the others see none."""
    assert values(unit, "PrivateUsers") == ([] if daemon_of(unit) in ("bus", "winner_deployer") else ["yes"])
    assert ("ligand-bus.service" in values(unit, "After")) is (daemon_of(unit) != "bus")
    assert values(unit, "Requires") == []


def test_the_users_file_is_what_sysusers_reads(tmp_path: Path) -> None:
    """The installation can make the users."""
    tool = program("systemd-sysusers")
    (tmp_path / "etc").mkdir()
    file = ROOT / "systemd" / "ligand.sysusers.conf"
    done = subprocess.run(
        [tool, "--dry-run", f"--root={tmp_path}", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "line" not in done.stderr
