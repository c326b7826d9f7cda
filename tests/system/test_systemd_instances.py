"""A template daemon with two instances: each is a unit, a user, a consumer and a place for grants of its own."""

from __future__ import annotations

import functools
import json

import pytest

from tests.support.installed import ATTACH
from tests.support.systemd import ROOT

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]
ONE, TWO = "ligand-twin@one.service", "ligand-twin@two.service"
MANIFEST = """
daemon: twin
description: says what it heard
instances: true
consumes: [Q_INTENT_READY]
emits: [Q_SPEAK]
"""
TEMPLATE = "/etc/systemd/system/ligand-twin@.service"


@pytest.fixture(scope="module")
def twins(ligand):
    """Two instances of a person's own daemon, listed in bus.yaml and installed."""
    machine, file = ligand.machine, "/etc/ligand/bus.yaml"
    machine.write("/etc/ligand/daemons.d/twin.yaml", MANIFEST)
    machine.write("/srv/twin.py", (ROOT / "tests/support/twin_daemon.py").read_text())
    text = machine.read("/etc/systemd/system/ligand-investigator.service")
    text = text.replace("-m services.investigator", "/srv/twin.py %i").replace(
        "=ligand-investigator", "=ligand-twin-%i"
    )
    machine.write(TEMPLATE, text.replace("ligand/investigator", "ligand/twin@%i"))
    whole = machine.read(file)
    machine.write(file, whole + "instances:\n  twin: [one, two]\n")
    ligand.ligand("install", "--system")
    yield ligand
    machine.write(file, whole)
    ligand.ligand("install", "--system")
    assert machine.pid(ONE) == machine.pid(TWO) == 0
    assert "twin" not in machine.out("ls", "/etc/systemd/system/ligand.target.wants")
    machine.run("rm", TEMPLATE, "/etc/ligand/daemons.d/twin.yaml")
    machine.systemctl("daemon-reload")
    machine.systemctl("reload", "ligand-bus")
    for name in ("one", "two"):
        machine.run("userdel", f"ligand-twin-{name}")


def status(ligand) -> dict[str, dict]:
    """What `ligand status` says of each daemon."""
    said = ligand.machine.run("/usr/local/bin/ligand", "status", "-o", "json", user="alice", check=False).stdout
    return {one["daemon"]: one for one in json.loads(said)["daemons"]}


def test_every_listed_instance_is_ready_and_runs_as_its_own_user(twins):
    """Listing an instance and installing again is all a person does."""
    machine = twins.machine
    for name, unit in (("one", ONE), ("two", TWO)):
        assert machine.show(unit, "SubState") == "running"
        user = machine.out("ps", "-o", "user:64=", "-p", str(machine.pid(unit)))
        assert user == f"ligand-twin-{name}"
        assert machine.read(f"/etc/ligand/twin@{name}.yaml").startswith(f"# twin@{name}.yaml: says what it heard.")
        assert machine.show(unit, "WantedBy") == "ligand.target"
        assert status(twins)[f"twin@{name}"]["ready"]
    doctor = machine.run("/usr/local/bin/ligand", "doctor", "-o", "json", check=False).stdout
    found = [json.loads(line) for line in doctor.splitlines()]
    ours = [one for one in found if "twin" in one["found"]]
    assert len(ours) >= 4
    assert {one["state"] for one in ours} == {"ok"}


def test_an_instance_is_killed_and_comes_back_without_the_other(twins):
    """One instance's crash costs the other nothing, and is told by the instance's name."""
    machine = twins.machine
    other, before = machine.pid(TWO), machine.pid(ONE)
    machine.run("kill", "-KILL", str(before))
    machine.until("it is back", lambda: machine.pid(ONE) not in (0, before) and status(twins)["twin@one"]["ready"])
    assert machine.pid(TWO) == other
    machine.until(
        "it is told",
        lambda: "twin@one" in [one["facts"].get("daemon") for one in twins.signals("Q_DAEMON_FAILED")],
    )
    twins.drop("for-two", "json")
    texts: set[str] = set()

    def both() -> bool:
        texts.update(s["source"] for s in twins.signals("Q_SPEAK") if "for-two" in s["facts"]["text"])
        return texts == {"twin@one", "twin@two"}

    machine.until("both have heard it", both)


def test_an_instance_cannot_be_another(twins):
    """An instance that is taken over speaks for itself alone."""
    machine = twins.machine
    assert "unauthorised" in twins.python(ATTACH, "twin@two", user="ligand-twin-one")
    assert "unauthorised" in twins.python(ATTACH, "twin", user="ligand-twin-one")
    assert "unauthorised" in twins.python(ATTACH, "twin@three", user="ligand-twin-one")
    assert machine.run("ls", "/var/lib/ligand/twin@two", user="ligand-twin-one", check=False).returncode != 0
    machine.systemctl("stop", ONE)
    assert "attached" in twins.python(ATTACH, "twin@one", user="ligand-twin-one")
    machine.systemctl("start", ONE)


def test_a_grant_is_for_one_instance(twins):
    """What one instance may read the other does not see; the template as a whole cannot be granted anything."""
    machine = twins.machine
    machine.run("sh", "-c", "mkdir -p ~/twin && echo x > ~/twin/file", user="alice")
    refused = twins.ligand("grant", "twin", "/home/alice/twin", "--read", check=False)
    assert "twin@one, twin@two" in refused.stderr
    twins.ligand("grant", "twin@one", "/home/alice/twin", "--read")
    said = machine.out("getfacl", "/home/alice/twin/file")
    assert "ligand-twin-one" in said
    assert "ligand-twin-two" not in said
    assert "BindReadOnlyPaths" in machine.read(f"/etc/systemd/system/{ONE}.d/50-grants.conf")
    twins.ligand("revoke", "twin@one", "/home/alice/twin")
    assert "ligand-twin" not in machine.out("getfacl", "/home/alice/twin/file")
    machine.until("it is back", lambda: machine.show(ONE, "SubState") == "running")


def test_installing_again_leaves_instances_alone(twins):
    """An instance that a person has switched off stays off, and one that runs is not restarted."""
    machine = twins.machine
    machine.systemctl("disable", "--now", TWO)
    before = machine.pid(ONE)
    twins.ligand("install", "--system")
    assert machine.pid(ONE) == before
    assert machine.pid(TWO) == 0
    machine.systemctl("enable", "--now", TWO)


def test_two_daemons_cannot_be_one_user(twins):
    """A manifest cannot make one daemon pose as another by running as its user, nor as another name of that user."""
    machine = twins.machine
    uid = machine.out("id", "-u", "ligand-investigator")
    machine.run("useradd", "--system", "--non-unique", "--uid", uid, "--no-user-group", "also-investigator")
    for user in ("ligand-investigator", "also-investigator"):
        twin = f"daemon: thief\ndescription: would be the investigator\nuser: {user}\n"
        machine.write("/etc/ligand/daemons.d/thief.yaml", twin)
        machine.systemctl("reload", "ligand-bus")
        said = f"would run as {user}, like investigator"
        refused = functools.partial(lambda said: said in machine.journal("--unit=ligand-bus", "--output=cat"), said)
        machine.until("it is refused", refused)
        assert "unauthorised" in twins.python(ATTACH, "thief", user="ligand-investigator")
    machine.run("rm", "/etc/ligand/daemons.d/thief.yaml")
    machine.systemctl("reload", "ligand-bus")
    machine.run("userdel", "--force", "also-investigator")  # one of that number runs


def test_the_doctor_names_an_instance_that_does_not_run(twins):
    """One of two instances is down: the doctor says which, and the command that starts it is the right one."""
    machine = twins.machine
    machine.systemctl("stop", TWO)
    machine.until("the bus knows", lambda: not status(twins)["twin@two"]["ready"])
    said = machine.run("/usr/local/bin/ligand", "doctor", "-o", "json", user="alice", check=False).stdout
    found = [json.loads(line) for line in said.splitlines()]
    ours = {one["found"]: one for one in found if "twin@two" in one["found"] and one["check"] == "daemons"}
    (finding,) = ours.values()
    assert finding["state"] == "mend"
    assert f"systemctl start {TWO}" in finding["todo"]
    assert "instances" in finding["todo"]
    assert not [one for one in found if "twin@one" in one["found"] and one["state"] != "ok"]
    machine.systemctl("start", TWO)
    machine.until("it is back", lambda: status(twins)["twin@two"]["ready"])
