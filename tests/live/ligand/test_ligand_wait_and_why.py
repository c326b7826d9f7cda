"""Asking and waiting for the end, and being told why: against a whole constellation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import ligand, run_on_terminal, started
from tests.support.constellation import Constellation, others
from tools.ligand.dropping import drop


def test_waiting_ends_with_what_was_done(whole: Constellation) -> None:
    """A script that waits goes on when the module is registered, and finds the answer where it is told."""
    done = ligand(whole.home, "intent", "What does the json package do?", "--module", "json", "--wait")
    assert done.code == 0, done.err
    assert done.lines[-2].startswith("integrated: json")
    answer = Path(done.lines[-1].removeprefix("answer: "))
    assert json.loads(answer.read_bytes())["outcome"] == "integrated"
    steps = [line.split()[2] for line in done.lines if line.lstrip().startswith("+")]
    chain = ["Q_INTENT_READY", "Q_CURIOSITY_INVESTIGATE", "Q_INVESTIGATION_COMPLETE", "Q_MODULE_INTEGRATED"]
    assert [step for step in steps if step.startswith("Q_")] == chain


def test_who_asks_about_a_known_module_reads_the_answer(whole: Constellation) -> None:
    """The registry's refusal to list a module twice would be all that a person gets for their question."""
    done = ligand(whole.home, "intent", "What does tomllib do?", "--module", "tomllib", "--wait")
    again = ligand(whole.home, "intent", "What does tomllib do again?", "--module", "tomllib", "--wait")
    for run in (done, again):
        assert "found: tomllib: " in run.text
        assert "  - Package: " in run.text
    assert "skipped: already_integrated" in again.text


def test_waiting_tells_failure_from_success(whole: Constellation) -> None:
    """What failed and what was refused is exit code 1, with the reason; nobody takes it for done."""
    failed = ligand(whole.home, "intent", "What?", "--module", "not_there_at_all", "--wait", "-o", "json")
    (told,) = failed.objects
    assert (failed.code, told["over"], told["outcomes"]) == (1, True, ["failed"])
    assert told["ends"][0]["facts"]["reason"] == "phantom"
    refused = ligand(whole.home, "intent", "What?", "--type", "nonsense", "--wait")
    assert refused.code == 1
    assert "refused: no_route" in refused.text
    assert Path(refused.lines[-1].removeprefix("why: ")).exists()


def test_waiting_ends_when_the_time_is_over(whole: Constellation) -> None:
    """Exit code 27 while the work waits for a paused daemon; the work itself goes on afterwards."""
    ligand(whole.home, "pause", "investigator")
    late = ligand(whole.home, "intent", "Late?", "--module", "csv", "--wait", "--timeout", "5", "-o", "json")
    (told,) = late.objects
    assert (late.code, told["over"], told["exit_code"]) == (27, False, 27)
    why = ligand(whole.home, "why", told["story"])
    assert "It is not over" in why.text
    assert "waits for investigator, which has not handled it yet" in " ".join(why.text.split())
    ligand(whole.home, "resume")
    whole.wait_for("Q_MODULE_INTEGRATED", capability_key="csv")
    assert "So it ended" in ligand(whole.home, "why", told["story"]).text


def test_waiting_without_a_bus_drops_nothing(tmp_path: Path) -> None:
    """An intent that nobody waits for any more would be a surprise at the next start."""
    found = Constellation(tmp_path)
    found.paths.ensure()
    done = ligand(tmp_path, "intent", "What?", "--wait")
    assert (done.code, done.out) == (3, b"")
    assert list(found.paths.intents.iterdir()) == []


def test_a_daemon_that_gives_up_ends_the_waiting(own: Constellation) -> None:
    """A dead letter in the story is a failure now, not a time-out in a quarter of an hour."""
    own.config("bus", {"disable": others("intent_router")})
    own.manifest("breaker", consumes=["Q_CURIOSITY_INVESTIGATE"], emits=[])
    own.running[0].stop()
    own.bus()
    own.daemon("intent_router").ready()
    own.script(
        "breaker",
        "from services.runtime import Daemon, Reject\n"
        "daemon = Daemon('breaker')\n"
        "@daemon.on('Q_CURIOSITY_INVESTIGATE')\n"
        "async def handle(signal):\n    raise Reject('it will not do')\n"
        "daemon.run()\n",
    ).ready()
    done = ligand(own.home, "intent", "What?", "--module", "json", "--wait")
    assert done.code == 1
    assert "failed: breaker gave it up: it will not do" in done.text
    assert "signal-tap dead replay 1" in done.err
    (letter,) = own.dead()
    why = ligand(own.home, "why", str(letter["seq"])).text
    assert "breaker gave up on it (rejected): it will not do." in " ".join(why.split())
    assert "signal-tap dead replay 1" in why
    assert "There it stopped" in why


def test_a_journal_that_is_replaced_ends_the_waiting(own: Constellation, tmp_path: Path) -> None:
    """After a restore the story may never come: a script would wait for nothing until its time is over."""
    folder = tmp_path / "kept"
    assert ligand(own.home, "journal", "backup", str(folder)).code == 0
    with started("ligand", own.home, "intent", "What?", "--wait") as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline()
        own.running[0].stop()
        assert ligand(own.home, "journal", "restore", str(folder), "--yes").code == 0
        _, said = waiting.communicate(timeout=60)
    assert (waiting.returncode, b"The journal was replaced meanwhile" in said) == (1, True)


@pytest.fixture(scope="module")
def story(whole: Constellation) -> dict[str, str]:
    """A story that ended in the registry: its id, and the files it left."""
    done = ligand(whole.home, "intent", "About wave", "--module", "wave", "--wait")
    answer = Path(done.lines[-1].removeprefix("answer: "))
    told = json.loads(answer.read_bytes())
    dropped = answer.with_name(answer.name.removesuffix(".answer.json"))
    return {"id": told["story"], "answer": str(answer), "file": str(dropped), "printed": done.lines[0]}


class TestWhy:
    """Every file that Ligand wrote leads back to the story that wrote it."""

    def test_by_id_and_number(self, whole: Constellation, story: dict[str, str]) -> None:
        """The sentences name who did what because of what, and how it ended."""
        told = ligand(whole.home, "why", story["id"])
        text = " ".join(told.text.split())
        assert told.code == 0
        assert "was dropped (discover.module, priority normal), and intent_router took it up" in text
        assert "investigator answered it with Q_INVESTIGATION_COMPLETE" in text
        assert "So it ended after" in text
        assert "Untrusted content came in from: file." in text
        assert f"signal-tap trace {story['id']}" in text
        with whole.journal() as journal:
            seq = json.loads(journal.story(story["id"])[2])["seq"]
        assert "<- the signal you asked about" in " ".join(ligand(whole.home, "why", str(seq)).text.split())

    def test_by_name(self, whole: Constellation, story: dict[str, str]) -> None:
        """The newest signal of a name is what a person has just seen go by."""
        (told,) = ligand(whole.home, "why", "Q_MODULE_INTEGRATED", "-o", "json").objects
        assert told["story"] == whole.signals("Q_MODULE_INTEGRATED")[-1].correlation_id
        assert told["asked"] == told["signals"][-1]["id"]
        mistyped = ligand(whole.home, "why", "Q_MODULE_INTEGRAED")
        assert (mistyped.code, "Did you mean Q_MODULE_INTEGRATED?" in mistyped.err) == (1, True)
        assert "`signal-tap types`" in ligand(whole.home, "why", "Q_X_Y_Z").err

    @pytest.mark.parametrize("which", ["answer", "file", "printed"])
    def test_by_the_files_of_the_drop_folder(self, whole: Constellation, story: dict[str, str], which: str) -> None:
        """The answer, the file itself, and the name it had when it was dropped all lead there."""
        (told,) = ligand(whole.home, "why", story[which], "-o", "json").objects
        assert told["story"] == story["id"]
        assert told["signals"][0]["signal"] == "Q_INTENT_READY"

    def test_by_an_entry_of_the_registry_and_of_the_records(self, whole: Constellation, story: dict[str, str]) -> None:
        """A person who wonders about one entry names it."""
        registry = whole.paths.state_of("capability_integrator") / "capabilities.yaml"
        records = whole.paths.state_of("investigator") / "curiosity_investigations.jsonl"
        for file in (registry, records):
            (told,) = ligand(whole.home, "why", str(file), "wave", "-o", "json").objects
            assert told["story"] == story["id"]
        wrong = ligand(whole.home, "why", str(registry), "nothing_such")
        assert wrong.code == 1
        assert "capabilities.wave" in wrong.err

    def test_by_the_content_of_a_file(self, whole: Constellation, story: dict[str, str]) -> None:
        """The registry as a whole leads to whoever wrote it last, by its digest."""
        registry = whole.paths.state_of("capability_integrator") / "capabilities.yaml"
        ligand(whole.home, "intent", "x", "--module", "colorsys", "--wait")
        (told,) = ligand(whole.home, "why", str(registry), "-o", "json").objects
        assert told["signals"][-1]["facts"]["module_name"] == "colorsys"

    def test_what_nobody_knows(self, whole: Constellation, tmp_path: Path) -> None:
        """A file or word that no signal speaks of is said to be that, with exit code 1 or 2."""
        (tmp_path / "strange.txt").write_text("x")
        strange = ligand(whole.home, "why", str(tmp_path / "strange.txt"))
        assert strange.code == 1
        assert "neither by its content nor by its path" in strange.err
        waiting = whole.paths.intents / ".waits.json"  # the router takes no hidden file
        waiting.write_text("x")
        left = ligand(whole.home, "why", str(waiting))
        assert (left.code, "still lies in the drop folder" in left.err) == (1, True)
        waiting.unlink()
        assert ligand(whole.home, "why", "nonsense").code == 2
        assert ligand(whole.home, "why", "999999").code == 1
        assert ligand(whole.home, "why", "/nonexistent/file.json").code == 1

    def test_hostile_facts_do_not_steer_the_terminal(self, whole: Constellation) -> None:
        """A question is text from outside."""
        raw = b'{"type": "question", "data": {"question": "\\u001b[2Jwiped?", "priority": "low"}}'
        drop(whole.paths.intents, "hostile.json", raw)
        whole.wait_for("Q_INTENT_READY", file="hostile.json")
        shown = run_on_terminal("ligand", whole.home, "why", str(whole.paths.intents / "hostile.json"))
        assert b"\x1b[2J" not in shown.out
        assert "wiped" in shown.text
