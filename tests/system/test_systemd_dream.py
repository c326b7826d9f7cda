"""D-REAM under the hardened units, from a proposal to a deployed value. What the sandbox forbids shows only here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.installed import Installed, unit
from tests.support.required import lacking
from tests.support.systemd import ROOT, Machine
from tools.ligand import reloading

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]
EXPERIMENT = """\
about: where the top is
target: {file: /srv/ligand-tuned/semantic_dedup.yaml, format: yaml, keys: {x: bounds.near}, daemon: semantic_dedup}
search_space: {x: {type: float, low: 0.0, high: 1.0}}
evaluate:
  command: [/usr/bin/python3, -S, top.py]
  repeats: 1
  memory_mib: 64
  cases: {tuning: [a], held_out: [c, d, e, f, g]}
objective: {metrics: {score: maximize}}
budget: {trials: 2}
autonomy: deploy
"""
OWN, TUNED = "/etc/ligand/semantic_dedup.yaml", "/srv/ligand-tuned/semantic_dedup.yaml"
SETTINGS = "# mine\nbounds:\n  near: 0.9  # tuned\n"
SCRIPT = """\
import json, os, resource
params = json.load(open(0))
assert resource.getrlimit(resource.RLIMIT_DATA)[0] == 64 << 20
assert "NOTIFY_SOCKET" not in os.environ
print(json.dumps({"score": 1 - (params["x"] - 0.3) ** 2}))
"""
PROMOTION = (
    '{"schema": 1, "id": "mine", "created_at": "2026-01-01T00:00:00Z", "experiment": "top", "params": {"x": 0.3}}'
)


def recipe(heading: str) -> str:
    """The commands that docs/deployment.md shows first under a heading, as root types them."""
    lines = (ROOT / "docs" / "deployment.md").read_text().split(f"\n{heading}\n", 1)[1].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("    "))
    shown = [line.strip() for line in lines[first : lines.index("", first)]]
    return "\n".join(line.removeprefix("sudo ") for line in shown)


@pytest.fixture
def tuned(ligand: Installed) -> Iterator[Machine]:
    """A daemon's configuration lies where the deployer may tune it, as the manual shows; as it was afterwards."""
    machine, before = ligand.machine, ligand.machine.read(OWN)
    machine.write(OWN, SETTINGS)
    machine.run("sh", "-ec", recipe("### Ligand's own daemons"))
    machine.systemctl("restart", unit("semantic_dedup"))
    ligand.ready("semantic_dedup", "winner_deployer")
    yield machine
    ligand.ligand("revoke", "winner_deployer", "/srv/ligand-tuned")
    machine.run("rm", "-rf", OWN, "/srv/ligand-tuned", "/etc/ligand/experiments")
    machine.run("rm", "-f", "/var/lib/ligand/promotions/mine.json")
    machine.write(OWN, before)
    machine.systemctl("restart", unit("semantic_dedup"))


def answers(ligand: Installed, about: str, *names: str) -> list[dict[str, Any]]:
    """Wait until one of these has come in a story, or about a deployment; all of them."""
    found: list[dict[str, Any]] = []

    def came() -> bool:
        told = ligand.signals(*names)
        found[:] = [one for one in told if about in (one["correlation_id"], one["facts"].get("deployment_id"))]
        return bool(found)

    ligand.machine.until(" or ".join(names), came, 90.0)
    return found


def test_a_persons_proposal_is_tried_proven_and_deployed_in_the_sandbox(ligand: Installed, tuned: Machine) -> None:
    """Alice asks for a cycle: evaluations are bounded, she sees what came of it, and a daemon of Ligand's is tuned."""
    machine = tuned
    machine.run("mkdir", "-p", "/etc/ligand/experiments")
    machine.write("/etc/ligand/experiments/top.yaml", EXPERIMENT)
    machine.write("/etc/ligand/experiments/top.py", SCRIPT)
    place = "cat > /var/lib/ligand/promotions/.new && mv /var/lib/ligand/promotions/.new /var/lib/ligand/promotions/$0"
    machine.run("sh", "-c", place, "mine.json", text=PROMOTION, user="alice")
    wanted = {"reason": "asked", "topic": None, "experiment": "top"}
    assert ligand.emit("Q_DREAM_WANTED", wanted, "person@alice", user="alice").startswith("seq ")
    (mine,) = ligand.signals("Q_DREAM_WANTED")  # the monitor may have it tried as well
    (end,) = answers(ligand, mine["id"], "Q_DREAM_COMPLETE", "Q_DREAM_FAILED")
    assert end["signal"] == "Q_DREAM_COMPLETE", end["facts"]
    assert end["facts"]["winners"][0]["params"] == {"x": 0.3}
    judged = [one["facts"] for one in ligand.signals("Q_PROMOTION_ACKNOWLEDGED")]
    assert [one["verdict"] for one in judged if one["promotion_id"] == "mine"] == ["accepted"]
    record = f"/var/lib/ligand/dream_runner/cycles/{end['facts']['cycle_id']}/top.json"
    assert '"winner"' in machine.run("cat", record, user="alice").stdout
    assert machine.run("cat", record, user="mallory", check=False).returncode
    (put,) = answers(ligand, mine["id"], "Q_WINNER_DEPLOYED", "Q_DEPLOYMENT_FAILED")
    assert put["signal"] == "Q_WINNER_DEPLOYED", put["facts"]
    assert machine.read(TUNED) == SETTINGS.replace("0.9", "0.3")
    told = [one["facts"] for one in ligand.signals("Q_CONFIGURATION_RELOADED")]
    assert "bounds.near" in [one["changed"] for one in told if one["daemon"] == "semantic_dedup"][-1]


def test_the_deployer_writes_what_it_was_given_and_none_of_the_rules(ligand: Installed, tuned: Machine) -> None:
    """One that is taken over can neither widen what it may do nor what others may: those files are not its."""
    pid = str(tuned.pid(unit("winner_deployer")))
    user = "ligand-winner-deployer"
    inside = ("nsenter", "--target", pid, "--mount", "setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups")

    def could(*command: str) -> bool:
        return tuned.run(*inside, "--", *command, check=False).returncode == 0

    assert could("touch", "/srv/ligand-tuned/new")
    assert could("rm", "/srv/ligand-tuned/new")
    assert could("test", "-w", TUNED)
    for path in ("bus.yaml", "winner_deployer.yaml", "policy_engine.yaml", "grants.json", "daemons.d", "contracts.d"):
        assert could("test", "-e", f"/etc/ligand/{path}"), path
        assert not could("test", "-w", f"/etc/ligand/{path}"), path
    assert not could("touch", "/etc/ligand/new")
    assert not could("rm", "-f", OWN)
    assert not could("ls", "/etc/ligand/credentials")


SANDBOX = (
    "PrivateUsers=yes", "PrivateNetwork=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "ProtectProc=invisible",
    "ProcSubset=pid", "RestrictAddressFamilies=AF_UNIX", "SystemCallFilter=@system-service",
)  # fmt: skip


def may(machine: Machine, user: str, verb: str, service: str) -> subprocess.CompletedProcess[str]:
    """What becomes of `systemctl VERB SERVICE` in the deployer's sandbox."""
    options = [f"--property={one}" for one in (f"User={user}", *SANDBOX)]
    run = ("systemd-run", "--quiet", "--wait", "--pipe", "--collect", *options)
    return machine.run(*run, "systemctl", "--no-ask-password", verb, service, check=False)


SERVED, SPOILT = "/srv/served/served.ini", "/srv/served/spoilt"
SERVES = """\
about: where the top is
target:
  file: /srv/served/served.ini
  format: ini
  keys: {x: limits.near}
  reload: [systemctl, reload, tuned.service]
search_space: {x: {type: float, low: 0.0, high: 1.0}}
evaluate: {command: [/usr/bin/python3, -S, served.py], repeats: 1, cases: {tuning: [a], held_out: [c, d, e, f, g]}}
objective: {metrics: {score: maximize}}
budget: {trials: 2}
autonomy: ask
"""
BEFORE = "; mine\n[limits]\nnear = 0.9\n"
SERVE = """\
import json, os
score = 1 - (json.load(open(0))["x"] - 0.3) ** 2
print(json.dumps({"score": -score if os.path.exists("/srv/served/spoilt") else score}))
"""

RELOADING = "ExecReload=/bin/sh -c 'cat /srv/served/served.ini >> /run/{}-reloaded'"


@pytest.fixture
def services(ligand: Installed) -> Iterator[Machine]:
    """Two services that can be reloaded, and tell what they read; the deployer may reload none of them afterwards."""
    machine = ligand.machine
    machine.run("mkdir", "-p", "/srv/served")
    machine.write(SERVED, BEFORE)
    for name in ("tuned", "other"):
        text = f"[Service]\nExecStart=/bin/sleep infinity\n{RELOADING.format(name)}\n"
        machine.write(f"/etc/systemd/system/{name}.service", text)
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "tuned", "other")
    yield machine
    ligand.ligand("install", "--system", "--allow-reload", "nothing")
    machine.systemctl("stop", "tuned", "other")
    machine.run("rm", "/etc/systemd/system/tuned.service", "/etc/systemd/system/other.service")
    machine.run("rm", "-rf", "/srv/served", "/run/tuned-reloaded", "/run/other-reloaded", "/etc/ligand/experiments")


def test_the_deployer_reloads_the_services_that_were_named_and_does_nothing_else(
    ligand: Installed, services: Machine
) -> None:
    """What an administrator allows D-REAM is that: no other service, no other verb, no other daemon."""
    machine, user = services, "ligand-winner-deployer"
    shown = ligand.ligand("install", "--system", "--allow-reload", "tuned", "--dry-run").stdout
    assert f"would write {reloading.RULE}\n" in shown
    assert f"{user} may reload tuned.service\n" in shown
    assert machine.run("test", "-e", str(reloading.RULE), check=False).returncode
    ligand.ligand("install", "--system", "--allow-reload", "tuned")
    assert '\nreloadable_units: ["tuned.service"]\n' in machine.read("/etc/ligand/winner_deployer.yaml")
    assert machine.out("stat", "--format=%U %a", str(reloading.RULE)) == "root 644"
    assert str(reloading.RULE) in json.loads(machine.read("/opt/ligand/installed.json"))["files"]
    if not reloading.POLKIT.exists():
        lacking("polkit is not installed (polkitd): whether the rule is heeded is not shown")
    done = may(machine, user, "reload", "tuned.service")
    assert done.returncode == 0, done.stderr
    assert machine.read("/run/tuned-reloaded") == BEFORE
    for who, verb, service in (
        (user, "reload", "other.service"),
        (user, "restart", "tuned.service"),
        (user, "stop", "tuned.service"),
        (user, "reload-or-restart", "tuned.service"),
        ("ligand-investigator", "reload", "tuned.service"),
        ("mallory", "reload", "tuned.service"),
    ):
        refused = may(machine, who, verb, service)
        assert "authentication required" in refused.stderr.lower(), (who, verb, service, refused.stderr)
    assert machine.run("test", "-e", "/run/other-reloaded", check=False).returncode
    ligand.ligand("install", "--system", "--allow-reload", "nothing")
    assert machine.run("test", "-e", str(reloading.RULE), check=False).returncode
    assert "\n#reloadable_units: []\n" in machine.read("/etc/ligand/winner_deployer.yaml")
    machine.until("polkit knows", lambda: may(machine, user, "reload", "tuned.service").returncode != 0)


def test_a_service_reads_what_was_deployed_and_its_old_file_again_when_that_is_worse(
    ligand: Installed, services: Machine
) -> None:
    """Reality disagrees with the cycle: it is taken back in the sandbox, and the service runs on its old file."""
    machine = services
    if not reloading.POLKIT.exists():
        lacking("polkit is not installed (polkitd): the deployer cannot reload a service of the system")
    ligand.ligand("install", "--system", "--allow-reload", "tuned")
    machine.run("chown", "ligand-winner-deployer:", SERVED)
    ligand.ligand("grant", "winner_deployer", "/srv/served", "--write")
    machine.run("mkdir", "-p", "/etc/ligand/experiments")
    machine.write("/etc/ligand/experiments/served.yaml", SERVES)
    machine.write("/etc/ligand/experiments/served.py", SERVE)
    ligand.ready("winner_deployer", "dream_runner")
    wanted = {"reason": "asked", "topic": None, "experiment": "served"}
    assert ligand.emit("Q_DREAM_WANTED", wanted, "person@alice", user="alice").startswith("seq ")
    mine = ligand.signals("Q_DREAM_WANTED")[-1]
    (asked,) = answers(ligand, mine["id"], "Q_DEPLOYMENT_PROPOSED", "Q_DEPLOYMENT_FAILED", "Q_DREAM_FAILED")
    assert asked["facts"].get("mode") == "ask", asked["facts"]
    machine.write(SPOILT, "")
    deployment = asked["facts"]["deployment_id"]
    machine.run("/opt/ligand/venv/bin/ligand", "deploy", "approve", deployment, user="alice")
    (end,) = answers(ligand, deployment, "Q_WINNER_DEPLOYED", "Q_DEPLOYMENT_FAILED")
    assert (end["facts"].get("reason"), end["facts"].get("rolled_back")) == ("worse", True), end["facts"]
    assert machine.read(SERVED) == BEFORE
    new, old = machine.read("/run/tuned-reloaded").split(BEFORE.splitlines()[0] + "\n")[1:]
    assert "near = 0.9" not in new
    assert old == BEFORE.split("\n", 1)[1]
    ligand.ligand("revoke", "winner_deployer", "/srv/served")
