"""Each failure of a daemon is told once on the bus, also one that a restart mends, and the fall of the bus itself."""

from __future__ import annotations

import pytest

from tests.support.installed import Installed, unit

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]
NOTES = "/var/lib/ligand/failures"


def told(ligand: Installed, daemon: str) -> list[dict]:
    """What has been told of a daemon's failures, in order."""
    return [one["facts"] for one in ligand.signals("Q_DAEMON_FAILED") if one["facts"].get("daemon") == daemon]


def one_more(ligand: Installed, daemon: str, before: int) -> dict:
    """Wait until one more failure has been told, and nothing waits any more; the failure."""
    ligand.machine.until(f"the failure of {daemon} is told", lambda: len(told(ligand, daemon)) > before, 60.0)
    ligand.machine.until("nothing waits", lambda: ligand.machine.out("ls", NOTES) == "")
    found = told(ligand, daemon)
    assert len(found) == before + 1
    return found[-1]


def test_a_crash_that_a_restart_mends_is_told(ligand):
    """Somebody whose daemon dies every night hears of it, though each time it is back in two seconds."""
    ligand.ready()
    daemon, before = "investigator", len(told(ligand, "investigator"))
    restarts = ligand.restarts(daemon)
    ligand.kill(daemon)
    facts = one_more(ligand, daemon, before)
    assert facts == {
        "unit": unit(daemon), "daemon": daemon, "result": "signal", "exit_status": "KILL", "restarts": restarts,
    }  # fmt: skip
    ligand.ready(daemon)


def test_a_hang_is_told_as_what_it_is(ligand):
    """A daemon that stood still and one that crashed are told apart."""
    ligand.ready()
    before = len(told(ligand, "intent_router"))
    ligand.kill("intent_router", "STOP")
    assert one_more(ligand, "intent_router", before)["result"] == "watchdog"
    ligand.ready("intent_router")


def test_a_clean_stop_or_restart_is_no_failure(ligand):
    """An upgrade or a reboot rings no alarm."""
    ligand.ready()
    before = len(ligand.signals("Q_DAEMON_FAILED"))
    last = len(told(ligand, "capability_integrator"))
    ligand.machine.systemctl("restart", unit("investigator"), unit("intent_router"))
    ligand.machine.systemctl("restart", unit("bus"))
    ligand.ready()
    ligand.kill("capability_integrator")  # told after whatever else there was to tell
    one_more(ligand, "capability_integrator", last)
    assert len(ligand.signals("Q_DAEMON_FAILED")) == before + 1


def test_the_fall_of_the_bus_itself_is_told_once_it_is_back(ligand):
    """The one through whom all is told: its own crashes, and those of others meanwhile, are told afterwards."""
    machine = ligand.machine
    ligand.ready()
    bus, investigator = len(told(ligand, "bus")), len(told(ligand, "investigator"))
    ligand.kill("bus")
    assert one_more(ligand, "bus", bus)["result"] == "signal"
    ligand.ready("bus")
    machine.systemctl("stop", unit("bus"))
    ligand.kill("investigator")
    machine.until("it is noted", lambda: "ligand-investigator" in machine.out("ls", NOTES))
    machine.systemctl("stop", "ligand-tell-failure.path", "ligand-tell-failure.service")  # as at a reboot
    assert "ligand-investigator" in machine.out("ls", NOTES)
    machine.systemctl("start", unit("bus"))
    assert one_more(ligand, "investigator", investigator)["result"] == "signal"
    ligand.ready()


def test_a_daemon_cannot_forge_or_hide_a_failure(ligand):
    """A daemon that is taken over neither tells of failures that were none nor removes its own."""
    for user in ("ligand-investigator", "alice", "mallory"):
        for command in (("ls", NOTES), ("touch", f"{NOTES}/x.json"), ("ls", "/run/ligand-failures")):
            assert ligand.machine.run(*command, user=user, check=False).returncode != 0, (user, command)
