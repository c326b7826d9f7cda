"""Who may do what in system mode, each rule tried by a real user of the kind."""

from __future__ import annotations

import json

import pytest

from tests.support.installed import ATTACH, EMIT, ENDS, INTENTS, PYTHON

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]

DAEMON_USER = "ligand-investigator"
PATIENCE_S = 60.0
A_BEACON_S = 1.5
"""Longer than from one beacon of the mirror to the next: who sees none until then sees nothing."""
SHORTLY_S = 0.6
_WATCH = """
import sys
from pathlib import Path
from signals.live import Subscription
with Subscription(Path("/run/ligand/mirror.sock"), ("",)) as live:
    print("watches" if live.wait(float(sys.argv[1])) else "sees nothing")
"""
_EMIT_ATTACHED = """
import asyncio, sys, time
from pathlib import Path
from signals.client import Client
from signals.envelope import Signal, rfc3339
from signals.errors import LigandError
from signals.ids import uuid7
class Nobody:
    def __getattr__(self, name):
        return lambda *arguments: None
async def main():
    me, name, source = sys.argv[1:]
    client = Client(me, Path("/run/ligand/bus.sock"), Nobody(), lanes={"": 1}, version="0")
    async with asyncio.timeout(60):
        await client.attach()
    facts = {"daemon": me, "version": "1", "pid": 1} if name == "Q_DAEMON_READY" else {"text": "let me out"}
    fields = {"id": uuid7(), "timestamp": rfc3339(time.time()), "version": 1, "host": "here"}
    try:
        await client.emit([Signal(signal=name, source=source, facts=facts, **fields)])
        print("emitted")
    except LigandError as error:
        print(error.code)
asyncio.run(main())
"""


INTENT = "Q_INTENT_READY"


@pytest.fixture(scope="module")
def asked(ligand) -> dict:
    """One question has been asked and answered: the facts of its intent."""
    stories = len({one["correlation_id"] for one in ligand.signals(*ENDS)})
    ligand.drop("first", "json")
    ligand.ended(stories + 1)
    return dict(ligand.signals(INTENT)[0]["facts"])


def watched(ligand, user: str, within_s: float) -> bool:
    """Whether that user sees what the bus tells each second at least."""
    return bool(ligand.python(_WATCH, str(within_s), user=user) == "watches")


def may(ligand, user: str | None, *command: str) -> bool:
    done = ligand.machine.run(*command, user=user, check=False)
    return bool(done.returncode == 0)


def test_a_person_of_the_group_emits_intents_under_their_own_name_only(ligand, asked):
    """alice can ask for work, and nobody can ask in her name."""
    assert ligand.emit(INTENT, asked, "person@alice", "alice").startswith("seq ")
    assert ligand.emit(INTENT, asked, "person@alice", "bob").startswith("unauthorised ")
    said = ligand.emit("Q_DAEMON_READY", {"daemon": "bus", "version": "1", "pid": 1}, "person@alice", "alice")
    assert said.startswith("unauthorised ")
    assert "needs root" in said


def test_root_may_emit_any_kind(ligand, asked):
    """Repair needs a way in."""
    facts = {"daemon": "bus", "version": "1", "pid": 1}
    assert ligand.emit("Q_DAEMON_READY", facts, "person@root").startswith("seq ")


def test_a_foreign_user_cannot_even_connect(ligand, asked):
    """Somebody else's account on the machine neither asks, nor watches, nor reads, nor drops; alice does all of it."""
    facts = {**asked, "question_id": "foreign"}
    assert ligand.emit(INTENT, facts, "person@alice", "alice").startswith("seq ")
    assert ligand.emit(INTENT, asked, "person@mallory", "mallory", SHORTLY_S).startswith("unreachable ")
    assert watched(ligand, "alice", PATIENCE_S)
    assert not watched(ligand, "mallory", A_BEACON_S)
    dropped = f"{INTENTS}/.by-hand"  # hidden: the router leaves it alone
    for path, who, how in (
        ("bus", "alice", ("ls",)),
        ("bus/journal.db", "alice", ("head", "-c1")),
        ("bus/failed_signals.jsonl", "alice", ("head", "-c0")),
        ("intents/done", "alice", ("ls",)),
        ("investigator", DAEMON_USER, ("ls",)),
    ):
        assert may(ligand, who, *how, f"/var/lib/ligand/{path}"), path
        assert not may(ligand, "mallory", *how, f"/var/lib/ligand/{path}"), path
    assert not may(ligand, "mallory", "touch", dropped)
    assert may(ligand, "alice", "touch", dropped)
    ligand.machine.run("rm", dropped)


def test_people_watch_and_read_but_do_not_write(ligand, asked):
    """alice sees everything that happens, and cannot change what has happened."""
    assert watched(ligand, "alice", PATIENCE_S)
    reader = "import sys; from pathlib import Path; from signals.journal import Journal\n"
    reader += "with Journal(Path('/var/lib/ligand/bus/journal.db')) as j: print(sum(1 for _ in j.walk(0, None)))"
    assert int(ligand.python(reader, user="alice")) > 0
    for file in ("journal.db", "journal.db-wal", "failed_signals.jsonl"):
        assert may(ligand, "alice", "test", "-r", f"/var/lib/ligand/bus/{file}"), file
        assert not may(ligand, "alice", "test", "-w", f"/var/lib/ligand/bus/{file}"), file
    assert not may(ligand, "alice", "touch", "/var/lib/ligand/bus/mine")
    assert not may(ligand, "alice", "ls", "/var/lib/ligand/investigator")


def test_the_journal_can_be_read_while_the_bus_is_stopped(ligand, asked):
    """What went wrong can be looked up when nothing runs any more."""
    reader = "from pathlib import Path; from signals.journal import Journal\n"
    reader += "with Journal(Path('/var/lib/ligand/bus/journal.db')) as j: print(sum(1 for _ in j.walk(0, None)))"
    ligand.machine.systemctl("stop", "ligand-bus")
    try:
        assert int(ligand.python(reader, user="alice")) > 0
        # and the commands look there, not into the home of whoever asks
        found = map(json.loads, ligand.ligand("doctor", "-o", "json", check=False).stdout.splitlines())
        assert [one["state"] for one in found if one["check"] == "journal"] == ["ok"]
        said = ligand.ligand("journal", "salvage", "--dry-run", check=False).stderr
        assert "The journal /var/lib/ligand/bus/journal.db is whole" in said
        assert "systemctl start ligand.target" in ligand.ligand("up", check=False).stderr
    finally:
        ligand.machine.systemctl("start", "ligand-bus")
        ligand.ready()


def test_a_daemon_neither_reads_the_journal_nor_watches(ligand, asked):
    """A daemon that is taken over learns what it is sent, not all that happens."""
    for file in ("journal.db", "journal.db-wal", "failed_signals.jsonl"):
        assert not may(ligand, DAEMON_USER, "head", "-c1", f"/var/lib/ligand/bus/{file}"), file
    assert not watched(ligand, DAEMON_USER, A_BEACON_S)
    assert not may(ligand, DAEMON_USER, "ls", "/var/lib/ligand/intents")
    assert not may(ligand, DAEMON_USER, "touch", f"{INTENTS}/daemon.json")
    assert not may(ligand, DAEMON_USER, "ls", "/var/lib/ligand/capability_integrator")
    for folder in ("/etc/ligand", "/etc/ligand/daemons.d", "/etc/ligand/contracts.d", "/opt/ligand", "/run/ligand"):
        assert not may(ligand, DAEMON_USER, "test", "-w", folder), folder
    assert not may(ligand, DAEMON_USER, "ls", "/etc/ligand/credentials")


def test_a_daemon_cannot_pose_as_another_nor_as_a_person(ligand, asked):
    """Who sent a signal is what the kernel says."""
    assert "unauthorised" in ligand.python(ATTACH, "intent_router", user=DAEMON_USER)
    assert "unauthorised" in ligand.python(ATTACH, "investigator", user="alice")
    for source in ("person@root", "person@alice", "intent_router", "bus"):
        said = ligand.emit(INTENT, asked, source, DAEMON_USER)
        assert said.startswith("unauthorised "), source


def test_every_signal_carries_the_user_who_sent_it(ligand, asked):
    """What a person asked for is told apart from what a daemon did, for ever."""
    uid = int(ligand.machine.out("id", "-u", "alice"))
    ligand.emit(INTENT, {**asked, "question_id": "who"}, "person@alice", "alice")
    mine = [one for one in ligand.signals(INTENT) if one["source"] == "person@alice"]
    assert {one["peer_uid"] for one in mine} == {uid}


def test_what_one_drops_no_other_reads_or_removes(ligand, asked):
    """A drop folder for several people: each one's file is between them and the router."""
    machine = ligand.machine
    machine.systemctl("stop", "ligand-intent-router")
    try:
        ligand.drop("private", "csv", "alice")
        path = f"{INTENTS}/private.json"
        assert may(ligand, "alice", "cat", path)
        for command in (("cat", path), ("rm", "-f", path), ("mv", path, f"{path}.bob"), ("ls", INTENTS)):
            assert not may(ligand, "bob", *command), command
        assert may(ligand, "ligand-intent-router", "cat", path)
    finally:
        machine.systemctl("start", "ligand-intent-router")
    machine.until("it is taken", lambda: not may(ligand, None, "test", "-e", f"{INTENTS}/private.json"))


def test_the_answer_to_an_intent_is_there_for_the_person(ligand, asked):
    """alice finds beside her file what became of it."""
    machine = ligand.machine
    stories = len({one["correlation_id"] for one in ligand.signals(*ENDS)})
    ligand.drop("answered", "queue", "alice")
    ligand.ended(stories + 1)
    find = ("sh", "-c", f"ls {INTENTS}/done | grep answered.json.answer")
    machine.until("the answer is written", lambda: may(ligand, "alice", *find))
    name = machine.out(*find, user="alice")
    assert json.loads(machine.out("cat", f"{INTENTS}/done/{name}", user="alice"))


def test_who_joins_the_group_may_ask_and_watch_and_who_leaves_it_may_not(ligand, asked):
    """A person is let in, or shut out, by `usermod` alone; nobody has to think of reloading the bus."""
    machine = ligand.machine
    machine.run("useradd", "--create-home", "dora")
    assert ligand.emit(INTENT, asked, "person@dora", "dora", SHORTLY_S).startswith("unreachable ")
    machine.run("usermod", "--append", "--groups", "ligand-users", "dora")
    assert ligand.emit(INTENT, {**asked, "question_id": "d1"}, "person@dora", "dora").startswith("seq ")
    assert watched(ligand, "dora", PATIENCE_S)
    machine.run("gpasswd", "--delete", "dora", "ligand-users")
    assert ligand.emit(INTENT, asked, "person@dora", "dora", SHORTLY_S).startswith("unreachable ")
    assert not watched(ligand, "dora", A_BEACON_S)
    # a program that she had begun before has the group until it ends, and gets as far as the bus
    become = ("setpriv", "--reuid=dora", "--regid=dora", f"--groups={machine.out('stat', '-c%g', INTENTS)}", "--")
    request = json.dumps({"signal": INTENT, "facts": asked, "source": "person@dora"})
    said = machine.run(*become, PYTHON, "-c", EMIT, text=request).stdout
    assert said.startswith("unauthorised ")
    machine.run("userdel", "--remove", "dora")


def test_a_reload_opens_the_doors_anew(ligand, asked):
    """Groups that were made, or made anew, after the bus had started are let in by a reload."""
    machine = ligand.machine
    for socket in ("/run/ligand/bus.sock", "/run/ligand/mirror.sock"):
        machine.run("setfacl", "--remove-all", socket)
        machine.run("chmod", "0600", socket)
    assert ligand.emit(INTENT, asked, "person@alice", "alice", SHORTLY_S).startswith("unreachable ")
    machine.systemctl("reload", "ligand-bus")
    machine.until("alice is let in", lambda: may(ligand, "alice", "test", "-w", "/run/ligand/mirror.sock"))
    assert ligand.emit(INTENT, {**asked, "question_id": "r"}, "person@alice", "alice").startswith("seq ")


def test_one_ligand_for_a_person_is_refused_beside_the_machines(ligand):
    """Two buses that daemons could mistake for each other are not made; the message says what to do instead."""
    command = ("/usr/local/bin/ligand", "install", "--user", "--dry-run")
    done = ligand.machine.run(*command, user="alice", environ={"XDG_RUNTIME_DIR": "/home/alice"}, check=False)
    assert done.returncode == 1
    assert "usermod --append --groups ligand-users" in done.stderr
    assert "ligand up --home DIR" in done.stderr


@pytest.fixture(scope="module")
def taken_over(ligand):
    """The investigator's place is free for a program of whoever has taken over its user."""
    ligand.machine.systemctl("stop", "ligand-investigator")
    yield
    ligand.machine.systemctl("start", "ligand-investigator")
    ligand.ready()


@pytest.mark.parametrize(
    ("signal", "source", "outcome"),
    [
        ("Q_DAEMON_READY", "investigator", "emitted"),
        ("Q_SPEAK", "investigator", "unauthorised"),
        ("Q_DAEMON_READY", "bus", "unauthorised"),
        ("Q_SPEAK", "person@alice", "unauthorised"),
    ],
)
@pytest.mark.usefixtures("asked", "taken_over")
def test_a_daemon_that_is_taken_over_emits_only_what_its_manifest_lists(ligand, signal, source, outcome):
    """Whoever gets hold of the investigator can neither speak aloud nor forge another's signals."""
    assert ligand.python(_EMIT_ATTACHED, "investigator", signal, source, user=DAEMON_USER) == outcome
