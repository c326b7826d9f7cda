"""The advisory monitor under a real systemd: units over D-Bus, promotions of people, what is hidden from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.installed import Installed, unit

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]
CONFIG = "/etc/ligand/advisory_monitor.yaml"
PROJECT, REPOSITORY = "/home/alice/watched", "/srv/alices-repository"
GIT = ("git", "-C", REPOSITORY, "-c", "user.name=Alice", "-c", "user.email=alice@example.org")
RESTARTS = {"restarts_of": ["flapping.service"], "restarts_warning": 2}
FLAPPING = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=100ms\n"
QUICK = {
    "units": {"interval_s": 0.2, "hold_s": 0, "clear_s": 0, "critical": ["broken*"], **RESTARTS},
    "promotions": {"settle_s": 0.2},
    "files": {"watch": [{"path": PROJECT}], "settle_s": 0.2},
    "processes": {"watch": [{"label": "sleeper", "command": "sleep 98765"}], "interval_s": 0.2},
    "repositories": {"paths": [REPOSITORY], "interval_s": 0.2},
}


def told(ligand: Installed, signal: str, **facts: Any) -> list[dict[str, Any]]:
    """Wait until such a signal is journaled; all of them."""
    found: list[dict[str, Any]] = []

    def came() -> bool:
        found[:] = [one for one in ligand.signals(signal) if facts.items() <= one["facts"].items()]
        return bool(found)

    ligand.machine.until(f"{signal} {facts}", came)
    return found


@pytest.fixture(scope="module")
def monitor(ligand: Installed) -> Iterator[Installed]:
    """The installed monitor, told to be quick; as it was afterwards."""
    machine = ligand.machine
    ligand.ready()
    machine.run("chmod", "0700", "/home/alice")
    machine.run("mkdir", "-p", PROJECT, user="alice")
    machine.run("install", "-d", "-o", "alice", REPOSITORY)
    machine.run("git", "init", "-q", "-b", "main", REPOSITORY, user="alice")
    machine.write(CONFIG, json.dumps(QUICK))
    machine.systemctl("restart", unit("advisory_monitor"))
    yield ligand
    machine.run("rm", "-f", CONFIG)
    machine.systemctl("restart", unit("advisory_monitor"))
    ligand.ready()


def test_a_unit_that_fails_is_told_and_that_it_is_mended(monitor: Installed) -> None:
    """A service that died while the person was away would be found dead a week later."""
    machine = monitor.machine
    machine.write("/etc/systemd/system/broken.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
    machine.systemctl("daemon-reload")
    machine.run("systemctl", "start", "broken.service", check=False)
    (alert,) = told(monitor, "Q_HEALTH_ALERT", check="unit_failed", subject="broken.service")
    assert alert["facts"]["severity"] == "critical"
    assert "journalctl -u broken.service" in alert["facts"]["hint"]
    machine.systemctl("reset-failed", "broken.service")
    told(monitor, "Q_HEALTH_CLEARED", subject="broken.service")
    machine.run("rm", "/etc/systemd/system/broken.service")


def test_a_service_that_starts_again_and_again_is_told(monitor: Installed) -> None:
    """A service that dies every few seconds is active whenever a person looks."""
    machine = monitor.machine
    machine.write("/etc/systemd/system/flapping.service", FLAPPING)
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "--no-block", "flapping.service")
    (alert,) = told(monitor, "Q_HEALTH_ALERT", check="unit_restarts", subject="flapping.service")
    assert (alert["facts"]["severity"], alert["facts"]["value"] >= 2) == ("warning", True)
    machine.systemctl("stop", "flapping.service")
    machine.run("rm", "/etc/systemd/system/flapping.service")


def test_people_drop_promotions_and_others_cannot(monitor: Installed) -> None:
    """Nobody but the people who may use Ligand starts its experiments."""
    machine, place = monitor.machine, "/var/lib/ligand/promotions"
    drop = 'umask 077; echo "{}" > "$0/$1.json"'
    machine.run("sh", "-c", drop, place, "p-1", user="alice")
    (detected,) = told(monitor, "Q_PROMOTIONS_DETECTED", promotion_ids=["p-1"])
    assert detected["facts"]["promotions_path"] == place
    assert machine.run("ls", place, user="bob").stdout.split() == ["p-1.json"]
    assert machine.run("sh", "-c", drop, place, "p-2", user="mallory", check=False).returncode != 0
    machine.run("rm", f"{place}/p-1.json", user="alice")
    told(monitor, "Q_PROMOTIONS_DETECTED", unacknowledged_count=0)


def test_what_is_hidden_from_it_is_said_until_it_is_granted(monitor: Installed) -> None:
    """A folder that a person wants watched, and that the unit hides, would be watched in appearance only."""
    machine = monitor.machine
    (alert,) = told(monitor, "Q_HEALTH_ALERT", check="monitor.files", subject=PROJECT)
    assert f"ligand grant advisory_monitor {PROJECT} --read" in alert["facts"]["hint"]
    machine.until("it says so", lambda: PROJECT in machine.show(unit("advisory_monitor"), "StatusText"))
    monitor.ligand("grant", "advisory_monitor", PROJECT, "--read")
    told(monitor, "Q_HEALTH_CLEARED", check="monitor.files", subject=PROJECT)
    machine.run("sh", "-c", 'echo text > "$0/new.txt"', PROJECT, user="alice")
    (changed,) = told(monitor, "Q_FILE_CHANGED", path=f"{PROJECT}/new.txt")
    assert changed["facts"]["change"] == "created"
    monitor.ligand("revoke", "advisory_monitor", PROJECT)


def test_processes_of_others_are_seen(monitor: Installed) -> None:
    """Closed in as it is, the monitor would see no process but its own, and nobody would know."""
    monitor.machine.run("systemd-run", "--unit=sleeper", "sleep", "98765")
    (started,) = told(monitor, "Q_PROCESS_CHANGED", change="started")
    monitor.machine.systemctl("stop", "sleeper")
    (ended,) = told(monitor, "Q_PROCESS_CHANGED", change="exited")
    assert started["facts"]["pid"] == ended["facts"]["pid"]


def test_anothers_repository_is_read_once_that_is_allowed(monitor: Installed) -> None:
    """git refuses what belongs to another user; without a word a person would wait for news for ever."""
    machine = monitor.machine
    (alert,) = told(monitor, "Q_HEALTH_ALERT", check="monitor.repositories", subject=REPOSITORY)

    def said() -> str:
        return str(machine.show(unit("advisory_monitor"), "StatusText"))

    machine.until("it is refused", lambda: REPOSITORY in said())
    allow = ("git", "config", "--system", "--add", "safe.directory", REPOSITORY)
    assert " ".join(allow) in alert["facts"]["hint"]
    machine.run(*allow)
    machine.until("it is read", lambda: REPOSITORY not in said())
    told(monitor, "Q_HEALTH_CLEARED", check="monitor.repositories", subject=REPOSITORY)
    machine.run(*GIT, "commit", "-q", "--allow-empty", "-m", "Begin", user="alice")
    (changed,) = told(monitor, "Q_REPOSITORY_CHANGED", change="created")
    assert (changed["facts"]["ref"], changed["facts"]["subject"]) == ("refs/heads/main", "Begin")
    assert changed["taint"] == ["file"]
