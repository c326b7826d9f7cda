"""All daemons under a real systemd: ready, killed, hung, reloaded, stopped. Nothing that was acknowledged is lost."""

from __future__ import annotations

import functools
import json
import re
import time
from collections import Counter

import pytest

from tests.support.installed import DAEMONS, ENDS, unit
from tests.support.systemd import ROOT

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]
MODULES = (
    "json", "csv", "html", "wave", "queue", "uuid", "email", "logging", "bz2", "gzip", "shelve", "tomllib", "string",
    "heapq", "bisect", "calendar", "copy", "pprint", "enum", "graphlib", "fractions", "statistics", "textwrap", "glob",
)  # fmt: skip


def test_every_daemon_says_that_it_is_ready_and_runs_as_its_own_user(ligand):
    """`systemctl start ligand.target` is done when Ligand works, and no daemon is root."""
    for daemon in DAEMONS:
        assert ligand.machine.show(unit(daemon), "Type") in ("notify", "notify-reload")
        assert ligand.machine.show(unit(daemon), "ActiveState") == "active"
        assert ligand.machine.show(unit(daemon), "StatusText")
        pid = ligand.machine.pid(unit(daemon))
        user, group = ligand.machine.out("ps", "-o", "user:64=,group:64=", "-p", str(pid)).split()
        assert user == group == f"ligand-{daemon.replace('_', '-').replace('@', '-')}"
    assert {one["facts"]["daemon"] for one in ligand.signals("Q_DAEMON_READY")} == set(DAEMONS)


@pytest.mark.parametrize("sense", ["audio_sensor", "gaze_sensor"])
def test_a_sense_without_its_extra_runs_and_its_unit_says_what_is_missing(ligand, sense):
    """A bare machine has all of its units up, and `systemctl status` tells what to install."""

    def lacks() -> bool:
        return "is not installed" in ligand.machine.show(unit(sense), "StatusText")

    ligand.machine.until("it says what is missing", lacks)
    assert ligand.machine.show(unit(sense), "ActiveState") == "active"


def test_kills_lose_nothing_and_double_nothing(ligand):
    """A power cut of any daemon in the middle of work: every question still gets exactly one answer."""
    before = Counter(one["correlation_id"] for one in ligand.signals(*ENDS))
    restarts = {daemon: ligand.restarts(daemon) for daemon in DAEMONS}
    for number, (daemon, module) in enumerate(zip(DAEMONS, MODULES, strict=False)):
        ligand.drop(f"kill-{number}", module)
        ligand.kill(daemon)
    ended = Counter(one["correlation_id"] for one in ligand.ended(len(before) + len(DAEMONS)))
    fresh = {story: count for story, count in ended.items() if story not in before}
    assert set(fresh.values()) == {1}
    assert len(fresh) == len(DAEMONS) <= len(MODULES)
    ligand.ready()
    for daemon in DAEMONS:
        assert ligand.restarts(daemon) > restarts[daemon], daemon


def test_a_daemon_that_hangs_is_killed_by_the_watchdog_and_started_again(ligand):
    """A daemon that stands still, whichever, or all at once, does not stay so, and is told apart from a crash."""
    ligand.ready()
    before = {daemon: (ligand.restarts(daemon), ligand.machine.pid(unit(daemon))) for daemon in DAEMONS}

    def hung() -> list[dict]:
        return [one for one in ligand.signals("Q_DAEMON_FAILED") if one["facts"]["result"] == "watchdog"]

    earlier = hung()
    for daemon in DAEMONS:
        ligand.kill(daemon, "STOP")
    for daemon, (restarts, pid) in before.items():
        started_again = functools.partial(lambda daemon, count: ligand.restarts(daemon) > count, daemon, restarts)
        ligand.machine.until(f"{daemon} is started again", started_again)
        ligand.ready(daemon)
        assert ligand.machine.pid(unit(daemon)) != pid
        assert "Watchdog timeout" in ligand.machine.journal(f"--unit={unit(daemon)}")
    known = {one["id"] for one in earlier}

    def told() -> set[str]:
        return {one["facts"]["daemon"] for one in hung() if one["id"] not in known}

    ligand.machine.until("each is told, as what it is", lambda: told() == set(DAEMONS))


def test_a_reload_applies_the_configuration_and_loses_no_signal(ligand):
    """`systemctl reload` takes a new setting over while work goes on, in the same process."""
    machine, file = ligand.machine, "/etc/ligand/investigator.yaml"
    ligand.ready()
    pid, stories = machine.pid(unit("investigator")), len(ligand.signals(*ENDS))
    whole = machine.read(file)
    machine.write(file, whole + "log_level: debug\n")
    for number, module in enumerate(MODULES[:3]):
        ligand.drop(f"reload-{number}", module)
    machine.systemctl("reload", unit("investigator"))  # before systemd 253 it does not wait for the end
    expected = {"daemon": "investigator", "changed": ("log_level",), "file": file}.items()

    def told() -> bool:
        return any(
            expected <= dict(one["facts"], changed=tuple(one["facts"]["changed"])).items()
            for one in ligand.signals("Q_CONFIGURATION_RELOADED")
        )

    machine.until("it is told", told)
    machine.write(file, "log_level: nonsense\n")
    machine.systemctl("reload", unit("investigator"))
    ligand.ended(stories + 3)
    machine.until("refused", lambda: "reload_refused" in machine.journal(f"--unit={unit('investigator')}"))
    machine.write(file, whole)
    assert machine.pid(unit("investigator")) == pid
    assert machine.show(unit("investigator"), "ActiveState") == "active"


def has_ended(machine, daemon):
    """Not only its process, also what systemd does after it."""
    return machine.show(unit(daemon), "ActiveState") not in ("active", "deactivating")


def test_the_whole_constellation_stops_in_time_and_comes_back_with_what_it_had(ligand):
    """`systemctl stop ligand.target` ends every daemon by itself, with status 0, and the journal stays whole."""
    machine = ligand.machine
    ligand.ready()
    stories = len(ligand.signals(*ENDS))
    for number, module in enumerate(MODULES[:4]):
        ligand.drop(f"stop-{number}", module)
    machine.systemctl("stop", "ligand.target")  # returns at once: the daemons are only part of it
    for daemon in DAEMONS:
        machine.until(f"{daemon} has ended", lambda daemon=daemon: has_ended(machine, daemon))
        said = {key: machine.show(unit(daemon), key) for key in ("ActiveState", "Result", "ExecMainStatus")}
        assert said == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}, daemon
    machine.systemctl("start", "ligand.target")
    ligand.ready()
    ended = Counter(one["correlation_id"] for one in ligand.ended(stories + 4))
    assert set(ended.values()) == {1}


def freezes(machine) -> None:
    """Freeze the slice, with every daemon in it; until something else says so it stands still."""
    machine.systemctl("freeze", "ligand.slice")
    assert machine.show("ligand.slice", "FreezerState") == "frozen"


def test_frozen_daemons_lose_nothing(ligand):
    """`systemctl freeze ligand.slice` pauses everything, for instance for a backup; after `thaw` work goes on."""
    machine = ligand.machine
    ligand.ready()
    stories = len(ligand.signals(*ENDS))
    ligand.drop("before", "csv")
    freezes(machine)
    ligand.drop("frozen", "json")
    machine.systemctl("thaw", "ligand.slice")
    assert len(ligand.ended(stories + 2)) == stories + 2


def test_frozen_for_longer_than_the_watchdog_waits_loses_nothing(ligand):
    """A backup that takes too long costs a restart of each daemon, and neither a signal nor an answer twice."""
    machine = ligand.machine
    ligand.ready()
    stories, restarts = len(ligand.signals(*ENDS)), {daemon: ligand.restarts(daemon) for daemon in DAEMONS}
    for number, module in enumerate(MODULES[:3]):
        ligand.drop(f"long-{number}", module)
    freezes(machine)
    for daemon in DAEMONS:
        state = functools.partial(machine.show, unit(daemon), "Result")
        machine.until(f"the watchdog has given {daemon} up", lambda state=state: state() == "watchdog")
    assert machine.show("ligand.slice", "FreezerState") == "frozen"
    machine.systemctl("thaw", "ligand.slice")
    for daemon, count in restarts.items():
        started_again = functools.partial(lambda daemon, count: ligand.restarts(daemon) > count, daemon, count)
        machine.until(f"{daemon} is started again", started_again)
    ligand.ready()
    ended = Counter(one["correlation_id"] for one in ligand.ended(stories + 3))
    assert set(ended.values()) == {1}


def recipe(heading: str) -> tuple[str, str]:
    """The two commands that docs/systemd.md shows for a long stand-still: what is done before, and what after it."""
    text = (ROOT / "docs" / "systemd.md").read_text()
    before, after = re.findall(r"((?:^ {4}.*\n)+)", text.split(heading, 1)[1].split("\n## ", 1)[0], re.MULTILINE)[:2]
    return before, after


def test_a_long_stand_still_as_the_manual_describes_it_restarts_nobody(ligand):
    """Who lifts the watchdog first, as docs/systemd.md shows, may freeze for as long as the backup takes."""
    machine = ligand.machine
    ligand.ready()
    before, after = recipe("## Standing still")
    stood = machine.out("systemctl", "show", "--property=Id,MainPID,NRestarts", *map(unit, DAEMONS))
    machine.run("sh", "-c", before)
    assert machine.show("ligand.slice", "FreezerState") == "frozen"
    assert {machine.show(unit(daemon), "WatchdogUSec") for daemon in DAEMONS} == {"1h"}
    ligand.drop("stood", "json")
    late = time.monotonic() + 4.5
    machine.until("longer than the watchdog", lambda: time.monotonic() > late)
    stories = len(ligand.signals(*ENDS))
    machine.run("sh", "-c", after)
    assert len(ligand.ended(stories + 1)) == stories + 1
    assert machine.out("systemctl", "show", "--property=Id,MainPID,NRestarts", *map(unit, DAEMONS)) == stood
    assert {machine.show(unit(daemon), "WatchdogUSec") for daemon in DAEMONS} == {"30s"}
    machine.run("sh", "-c", after.replace("30000000", "4000000"))  # the tests' own watchdog again


def test_a_configuration_error_stops_one_daemon_and_says_what_to_mend(ligand):
    """A typing error in a configuration is shown, not tried again for ever, and told to whoever watches the bus."""
    machine, name = ligand.machine, unit("capability_integrator")
    file = "/etc/ligand/capability_integrator.yaml"
    whole = machine.read(file)

    def told(facts):
        return [one for one in ligand.signals("Q_DAEMON_FAILED") if one["facts"].items() >= facts.items()]

    machine.write(file, "no_such_setting: 1\n")
    machine.systemctl("restart", name, check=False)
    machine.until("it has failed", lambda: machine.show(name, "ActiveState") == "failed")
    assert machine.show(name, "ExecMainStatus") == "78"
    assert f"{file}:1" in machine.journal(f"--unit={name}", "--output=cat")
    facts = {"unit": name, "daemon": "capability_integrator", "result": "exit-code", "exit_status": "78"}
    machine.until("it is told", lambda: told(facts) != [])
    machine.until("OnFailure= is done", lambda: not machine.pid(f"ligand-note-failure@{name}.service"))
    assert len(told(facts)) == 1
    machine.write(file, whole)
    machine.systemctl("reset-failed", name)
    machine.systemctl("start", name)


def test_the_journal_of_the_system_tells_a_story(ligand):
    """`journalctl CORRELATION_ID=...` shows what every daemon did about one question, and nothing else."""
    stories = len({one["correlation_id"] for one in ligand.signals(*ENDS)})
    ligand.drop("story", "html")
    story = ligand.ended(stories + 1)[-1]["correlation_id"]
    said = ligand.machine.journal("--output=json", f"CORRELATION_ID={story}")
    lines = [json.loads(line) for line in said.splitlines()]
    assert {"investigator", "capability_integrator"} <= {line["DAEMON"] for line in lines}
    for line in lines:
        assert line["SIGNAL_ID"]
        assert int(line["SEQ"]) > 0
        assert line["SYSLOG_IDENTIFIER"] == f"ligand-{line['DAEMON'].replace('_', '-')}"
        assert line["_SYSTEMD_UNIT"] == unit(line["DAEMON"])
        assert json.loads(line["MESSAGE"])["daemon"] == line["DAEMON"]


def test_a_forged_line_is_told_from_a_daemons(ligand):
    """Any user may write a line with a daemon's fields; asked as the manual says, the journal does not show it."""
    story = "01935b0e-6a70-7cc3-98c4-dc0c0c07398f"
    forged = f"MESSAGE=all is well\nDAEMON=investigator\nCORRELATION_ID={story}\n"
    ligand.machine.run("logger", "--journald", user="mallory", text=forged)
    asked = ("--output=cat", "--quiet", f"CORRELATION_ID={story}")
    assert "all is well" in ligand.machine.journal(*asked)
    assert ligand.machine.journal("_SYSTEMD_SLICE=ligand.slice", *asked) == ""
    assert ligand.machine.journal("--output=cat", "_SYSTEMD_SLICE=ligand.slice", "DAEMON=investigator", "--lines=1")


@pytest.fixture
def lazy(ligand):
    """A person's own daemon, with a user, a manifest, a unit and a secret."""
    machine = ligand.machine
    manifest = "daemon: lazy\ndescription: hangs once\nconsumes: [Q_INTENT_READY]\nemits: [Q_SPEAK]\nstart: new\n"
    machine.write("/etc/ligand/daemons.d/lazy.yaml", manifest)
    machine.write("/etc/ligand/credentials/token", "top secret\n", mode="0600")
    machine.write("/srv/lazy.py", (ROOT / "tests/support/lazy_daemon.py").read_text())
    machine.run("useradd", "--system", "--user-group", "--groups", "ligand", "ligand-lazy")
    text = machine.read("/etc/systemd/system/ligand-investigator.service")
    text = text.replace("-m services.investigator", "/srv/lazy.py").replace("investigator", "lazy")
    machine.write("/etc/systemd/system/ligand-lazy.service", text)
    machine.drop_in(
        "ligand-lazy.service", "[Service]\nLoadCredential=token:/etc/ligand/credentials/token\n", "50-token.conf"
    )
    machine.systemctl("daemon-reload")
    machine.systemctl("reload", "ligand-bus")
    machine.until("the bus knows it", lambda: '"lazy"' in ligand.ligand("status", "--json", check=False).stdout)
    yield "ligand-lazy.service"
    machine.systemctl("stop", "ligand-lazy.service")
    machine.run("rm", "-r", "/etc/systemd/system/ligand-lazy.service", "/etc/systemd/system/ligand-lazy.service.d")
    machine.run("rm", "/etc/ligand/daemons.d/lazy.yaml")
    machine.run("userdel", "ligand-lazy")
    machine.systemctl("daemon-reload")
    machine.systemctl("reload", "ligand-bus")


def test_a_busy_loop_is_ended_and_its_signal_is_delivered_again(ligand, lazy):
    """A handler that never returns costs one restart, not the signal. Secrets reach a daemon, and nobody else."""
    machine = ligand.machine
    machine.systemctl("start", lazy)
    assert '"length":10' in machine.journal(f"--unit={lazy}", "--output=cat")
    assert "top secret" not in machine.journal()
    assert "top secret" not in machine.read(f"/proc/{machine.pid(lazy)}/environ")
    ligand.drop("busy", "uuid")
    machine.until("it is started again", lambda: int(machine.show(lazy, "NRestarts")) > 0)
    machine.until("it has spoken", lambda: [s for s in ligand.signals("Q_SPEAK") if s["source"] == "lazy"] != [])
    assert "Watchdog timeout" in machine.journal(f"--unit={lazy}")
    assert len([one for one in ligand.signals("Q_SPEAK") if one["source"] == "lazy"]) == 1
