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
    ligand.machine.until(f"the failure of {daemon} is told", lambda: len(told(ligand, daemon)) > before)
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
    assert machine.show("ligand-tell-failure.service", "Result") == "success"
    assert "ligand-investigator" in machine.out("ls", NOTES)
    machine.systemctl("start", unit("bus"))
    assert one_more(ligand, "investigator", investigator)["result"] == "signal"
    ligand.ready()


def test_a_daemon_cannot_forge_or_hide_a_failure(ligand):
    """A daemon that is taken over neither tells of failures that were none nor removes its own; root could do both."""
    acts = (("ls", NOTES), ("touch", f"{NOTES}/.x"), ("ls", "/run/ligand-failures"), ("rm", f"{NOTES}/.x"))
    for command in acts:
        for user in ("ligand-investigator", "ligand-bus", "alice", "mallory"):
            assert ligand.machine.run(*command, user=user, check=False).returncode != 0, (user, command)
        ligand.machine.run(*command)


def test_a_spoilt_note_is_kept_aside_and_the_others_are_told(ligand):
    """Half a note, after a power cut, costs one line in the journal, and not the knowledge of every later failure."""
    machine, before = ligand.machine, len(told(ligand, "capability_integrator"))
    ligand.ready()
    machine.write(f"{NOTES}/a.json", '{"unit": "ligand-in')
    machine.until("it is put aside", lambda: machine.out("ls", "-A", NOTES) == ".a.json")
    machine.until("nobody tells", lambda: machine.show("ligand-tell-failure.service", "ActiveState") == "inactive")
    run = machine.show("ligand-tell-failure.service", "InvocationID")
    said = machine.journal("--unit=ligand-tell-failure.service", "--output=cat")
    assert said.count(f"{NOTES}/a.json is no note of a failure") == 1
    machine.until("it waits", lambda: machine.show("ligand-tell-failure.path", "SubState") == "waiting")
    assert machine.show("ligand-tell-failure.service", "InvocationID") == run  # what is aside starts nothing
    ligand.kill("capability_integrator")
    assert one_more(ligand, "capability_integrator", before)["result"] == "signal"
    machine.run("rm", f"{NOTES}/.a.json")


def test_who_tells_of_failures_is_silent_where_nothing_is_wrong(ligand):
    """Somebody who reads the journal reads of daemons, not of two helpers that came and went as they should."""
    machine, helpers = (
        ligand.machine,
        ("ligand-tell-failure.service", f"ligand-note-failure@{unit('investigator')}.service"),
    )
    ligand.ready()
    before = len(told(ligand, "investigator"))
    machine.systemctl("log-level", "info")
    try:
        mark = machine.out("date", "+%s.%N")
        ligand.machine.systemctl("restart", unit("investigator"))
        ligand.kill("investigator")
        one_more(ligand, "investigator", before)
        machine.systemctl("start", helpers[1])  # as `OnFailure=` does
        machine.until("it is done", lambda: machine.show(helpers[0], "ActiveState") == "inactive")
        since = ("--output=cat", f"--since=@{mark}")
        assert "Started" in machine.journal(f"--unit={unit('investigator')}", *since)
        assert [machine.journal(f"--unit={helper}", *since) for helper in helpers] == ["", ""]
    finally:
        machine.systemctl("log-level", "notice")
