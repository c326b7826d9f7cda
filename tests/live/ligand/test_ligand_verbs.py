"""Asking for work, seeing who is ready, pausing: against a real bus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from signals.live import Subscription
from tests.support.commands import ligand, run_on_terminal, within
from tests.support.constellation import Constellation, constellation, others

FAILING = Path(__file__).parents[2] / "support" / "failing.py"
ITEM = {"n": {"type": "integer"}, "pad": {"type": "string"}}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Constellation]:
    """A bus whose only daemon is `link`; it does not run yet."""
    with constellation(tmp_path) as found:
        for name in ("Q_ITEM_START", "Q_ITEM_DONE"):
            found.contract(name, ITEM, example={"n": 1, "pad": ""})
        found.manifest("link", consumes=["Q_ITEM_START"], emits=["Q_ITEM_DONE"])
        found.config("bus", {"disable": others()})
        found.bus()
        yield found


def link(home: Constellation) -> None:
    home.script("link", FAILING, "link", "Q_ITEM_START", "Q_ITEM_DONE").ready()


def emit(home: Constellation, n: int) -> None:
    with home.emitter() as emitter:
        emitter.emit(emitter.signal("Q_ITEM_START", {"n": n, "pad": ""}))


def test_a_question_becomes_a_file_in_the_drop_folder(alone: Constellation) -> None:
    """What is printed is the file, whole, and nothing half written is left beside it."""
    before = set(alone.paths.intents.iterdir())
    done = ligand(alone.home, "intent", "What is ../../etc?", "--priority", "high")
    assert (done.code, done.err) == (0, "")
    path = Path(done.text.strip())
    assert path.parent == alone.paths.intents
    assert json.loads(path.read_text()) == {
        "type": "question",
        "data": {"question": "What is ../../etc?", "priority": "high"},
    }
    assert set(alone.paths.intents.iterdir()) - before == {path}


def test_a_question_about_a_module_names_it(alone: Constellation) -> None:
    """`--module` makes it a discovery in the shape that the drop folder documents."""
    done = ligand(alone.home, "intent", "What does the json package do?", "--module", "json")
    assert json.loads(Path(done.text.strip()).read_text()) == {
        "type": "discover.module",
        "id": "discover.module.json",
        "data": {
            "question": "What does the json package do?",
            "priority": "normal",
            "module_path": "json",
            "evidence": ["module:json"],
        },
    }
    named = ligand(
        alone.home,
        "intent",
        "-",
        "--type",
        "reinvestigate",
        "--id",
        "mine",
        "--module",
        "json",
        "--hypothesis",
        "It is slow.",
        given=b"Again?",
    )
    body = json.loads(Path(named.text.strip()).read_text())
    assert (body["type"], body["id"], body["data"]["question"]) == ("reinvestigate", "mine", "Again?")
    assert body["data"]["hypothesis"] == "It is slow."


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("intent", " "), "empty"),
        (("intent", "x" * 17_000), "16384"),
        (("intent", "x", "--priority", "urgent"), "Invalid value"),
        (("intent", "x", "--home", "/nonexistent/home"), "There is no folder"),
        (("pause", "lnik"), "lnik"),
        (("resume", "lnik"), "lnik"),
    ],
)
def test_wrong_usage_is_exit_code_2(alone: Constellation, arguments: tuple[str, ...], says: str) -> None:
    """What the router would refuse later is refused at once."""
    done = ligand(alone.home, *arguments)
    assert (done.code, done.out) == (2, b"")
    assert says in done.err
    assert "Traceback" not in done.err


def test_an_intent_without_a_constellation(tmp_path: Path) -> None:
    """Without a drop folder it fails and says what makes one; without a bus it waits, and says so."""
    (tmp_path / "fresh").mkdir()
    nowhere = ligand(tmp_path / "fresh", "intent", "Why?")
    assert (nowhere.code, "ligand up" in nowhere.err) == (2, True)
    found = Constellation(tmp_path)
    found.paths.ensure()
    waits = ligand(tmp_path, "intent", "Why?")
    assert waits.code == 0
    assert "waits until" in waits.err


def test_status_tells_who_is_ready(home: Constellation) -> None:
    """The exit code is what a script needs, the table what a person does."""
    emit(home, 1)
    waiting = ligand(home.home, "status")
    assert waiting.code == 1
    assert "absent" in waiting.text
    assert "systemctl start ligand-link" in waiting.text
    link(home)
    home.wait_for("Q_ITEM_DONE")
    ready = ligand(home.home, "status", "--json")
    found = json.loads(ready.out)
    assert (ready.code, found["ready"], found["up"]) == (0, True, None)
    assert [(each["daemon"], each["state"], each["lag"]) for each in found["daemons"]] == [("link", "ready", 0)]
    shown = run_on_terminal("ligand", home.home, "status")
    assert "\x1b[32mready" in shown.text
    assert "\x1b" not in within("ligand", home.home, "status", env={"NO_COLOR": "1"}, columns=80).text


def test_status_without_a_bus(home: Constellation) -> None:
    """Exit code 3, and JSON that still parses."""
    home.running[0].stop()
    down = ligand(home.home, "status", "--json")
    assert down.code == 3
    assert json.loads(down.out)["bus"] is None
    assert "ligand up" in down.err
    assert ligand(home.home, "status").code == 3
    assert ligand(home.home, "pause").code == 3


def test_what_ligand_up_knows_is_shown_when_the_bus_is_down(home: Constellation) -> None:
    """While `ligand up` restarts the bus, status names the unit and how it ended."""
    bus = home.running[0]
    bus.stop()
    unit = {"unit": "ligand-bus.service", "daemon": "bus", "state": "restarting", "pid": None, "restarts": 3}
    unit |= {"status": "", "last_end": "killed by SIGKILL", "failure": None}
    living = home.start("living", "-c", "import time; time.sleep(60)")
    (home.paths.run / "units.json").write_text(json.dumps({"pid": living.pid, "units": [unit]}))
    (home.paths.run / "up.lock").write_text(f"{living.pid}\n")
    down = ligand(home.home, "status")
    assert down.code == 3
    assert "restarting" in down.text
    assert "killed by SIGKILL" in down.text
    (home.paths.run / "up.lock").write_text("")  # it ended, and its number is another process's now
    assert "restarting" not in ligand(home.home, "status").text
    (home.paths.run / "up.lock").write_text(f"{living.pid}\n")
    living.kill()
    assert "restarting" not in ligand(home.home, "status").text


def test_a_paused_daemon_gets_nothing_until_it_is_resumed(home: Constellation) -> None:
    """Pausing holds signals back and loses none."""
    link(home)
    assert ligand(home.home, "pause", "link").text == "paused: link\n"
    emit(home, 1)
    held = ligand(home.home, "status")
    assert held.code == 0
    assert "paused" in held.text
    assert home.signals("Q_ITEM_DONE") == []
    assert ligand(home.home, "resume", "link").text == "nothing is paused\n"
    home.wait_for("Q_ITEM_DONE")
    assert ligand(home.home, "pause").text == "paused: every daemon\n"
    assert "everything is paused" in ligand(home.home, "status").text
    assert ligand(home.home, "resume").text == "nothing is paused\n"
    assert ligand(home.home, "pause", "bus").code == ligand(home.home, "pause", "link").code == 0
    assert ligand(home.home, "resume", "link").text == "paused: bus\n"
    assert ligand(home.home, "resume", "bus").text == "nothing is paused\n"


def test_hostile_words_of_a_daemon_do_not_reach_the_terminal(home: Constellation) -> None:
    """A daemon's own message is text from outside as well."""
    start = '@daemon.on_start\nasync def start():\n    daemon.status("\\x1b[2Jwiped")\n\n\ndaemon.run()'
    source = FAILING.read_text().replace("daemon.run()", start)
    home.script("link", source, "link", "Q_ITEM_START", "Q_ITEM_DONE").ready()
    emit(home, 1)
    home.wait_for("Q_ITEM_DONE")
    with Subscription(home.paths.mirror_socket, ("Q_HEARTBEAT",)) as mirror:
        while "wiped" not in (shown := ligand(home.home, "status").text):
            assert mirror.next(60), f"no heartbeat came; {shown}"
    assert "\x1b" not in shown
