"""What is gathered for a question that names no module, and what never is."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import orjson
import pytest

from services.investigator import machine, prompts
from services.investigator.gate import Gate
from services.investigator.gathering import MAX_FILE, Gathering, terms
from services.investigator.logic import Outcome
from services.investigator.notebook import Notebooks
from services.investigator.presence import Presence
from services.investigator.report import MAX_EXCERPT
from services.investigator.research import MAX_REQUEST_BYTES, Limits, Research
from services.investigator.roots import Place, Places


@pytest.fixture
def gathering(root):
    def look(_, asked):
        return Outcome("Q_INVESTIGATION_FAILED", dict(asked))

    return Gathering(Places.of([str(root)], False), look, 60.0)


def found(gathering: Gathering, question: str) -> list[str]:
    return [Path(one.ref).name for one in gathering.first({"question": question, "evidence": []})]


def test_files_that_hold_the_rarer_words_come_first(gathering, write):
    """A person's question leads to the file that is about it, not to whatever says a common word often."""
    write("a.md", "boiler " * 50)
    write("b.md", "the boiler and its chimney")
    write("c.md", "nothing of that")
    assert found(gathering, "What of the boiler's chimney?") == ["b.md", "a.md"]


@pytest.mark.parametrize("word", ["ÜBERSICHT", "Übersicht", "übersicht"])
def test_a_word_is_found_however_it_is_written(gathering, write, word):
    """A person's notes in a language with other letters than these would hold no answer to anything."""
    write("a.md", f"Die {word} liegt im Keller.")
    assert found(gathering, "Wo liegt die Übersicht?") == ["a.md"]


def test_hidden_secret_binary_and_linked_files_are_nobodys_evidence(gathering, write, root, tmp_path):
    """What is hidden, named like a secret, or outside the folder must not be shown to a model."""
    for name in (".env", ".git/config", "id_rsa", "api_token.txt", "server.pem", "my/passwords/x.md"):
        write(name, "boiler\n")
    write("data.csv", b"boiler\0\1")
    (tmp_path / "out.md").write_text("boiler\n")
    (root / "link.md").symlink_to(tmp_path / "out.md")
    assert found(gathering, "boiler") == []
    wanted = [
        {"kind": "file", "what": name} for name in (".env", "id_rsa", "link.md", "../out.md", str(tmp_path / "out.md"))
    ]
    assert gathering.more(wanted, []) == []


def test_a_folder_in_the_place_of_a_file_is_no_evidence_and_is_let_go(gathering, write):
    """A model that asks for folders must not use up the descriptors of a daemon that runs for months."""
    write("notes/a.md", "boiler\n")
    assert gathering.more([{"kind": "file", "what": name} for name in (".", "notes", "nothing")], []) == []


@pytest.mark.parametrize("letter", ["x", "\U0001f9e0", "\x01"])
def test_a_question_however_long_makes_a_request_that_a_signal_carries(letter):
    """A person's question with much that they know already would be buried instead of answered."""
    asked = {"question": letter * 8000, "question_id": "q", "priority": "low", "hypothesis": letter * 2048}
    asked["evidence"] = [letter * 1024] * 24
    evidence = [({"kind": "file", "ref": "/x"}, letter * MAX_EXCERPT)] * 6
    build = functools.partial(prompts.about_anything, asked, evidence, False)
    research = Research(Limits(), Gate(1), Presence(0.0), Notebooks(Path("none")))
    facts = research.request(build, prompts.ABOUT_ANYTHING, asked, 16_000)
    assert len(orjson.dumps(facts)) <= MAX_REQUEST_BYTES
    assert letter != "x" or "[E6] file /x" in facts["messages"][-1]["content"]


def test_a_name_that_no_file_can_have_is_no_evidence(gathering):
    """A model that asks for a file by a whole sentence would bury the person's question."""
    for kind in ("file", "git", "module"):
        assert gathering.more([{"kind": kind, "what": "x" * 300}], []) == []


def test_a_large_file_is_read_in_part_and_the_words_are_shown(gathering, write):
    """A long log neither fills memory nor hides what was asked about behind its beginning."""
    path = write("long.log", "filler line\n" * 3000 + "the boiler failed\n" + "filler line\n" * 40_000)
    (one,) = gathering.first({"question": "boiler", "evidence": []})
    assert "the boiler failed" in one.text
    assert len(one.text) <= MAX_EXCERPT
    assert one.sha256 == hashlib.sha256(path.read_bytes()[:MAX_FILE]).hexdigest()


def test_the_history_of_a_repository_is_read_without_running_git(gathering, write):
    """A repository's own configuration could make git run anything; its log is a plain file."""
    log = f"{'0' * 40} {'1' * 40} Ada <ada@example.org> 1700000000 +0000\tcommit: Mend the boiler\n"
    write(".git/HEAD", "ref: refs/heads/main\n")
    write(".git/logs/HEAD", log)
    (one,) = gathering.first({"question": "Which commit was it?", "evidence": []})
    assert (one.kind, one.sha256) == ("git", hashlib.sha256(log.encode()).hexdigest())
    assert "commit: Mend the boiler" in one.text
    assert "ada@example.org" not in one.text


def test_a_unit_is_read_by_its_name_alone_and_without_its_secrets(tmp_path):
    """The model learns how a service is started, not its passwords, and no name leads elsewhere."""
    (tmp_path / "door.service").write_text("[Service]\nExecStart=/bin/door\nEnvironment=KEY=hunter2\n")
    (one,) = machine.unit_files("door.service", (tmp_path,))
    assert "ExecStart=/bin/door" in one.text
    assert "hunter2" not in one.text
    for odd in ("../door.service", "door", "a/door.service", "door.service\n", "-x.service"):
        assert list(machine.unit_files(odd, (tmp_path,))) == []
        assert list(machine.journal(odd)) == []


def test_a_units_journal_is_evidence_and_nothing_but_its_name_goes_into_the_command(tmp_path, monkeypatch):
    """A person who asks why a service fails gets an answer from its log; a name from a question is no option."""
    program = tmp_path / "journalctl"
    program.write_text('#!/bin/sh\necho "2026-01-01 door[7]: the latch is stuck"\necho "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (one,) = machine.journal("door.service")
    said, options = one.text.splitlines()
    assert said.endswith("the latch is stuck")
    assert options == "--no-pager --quiet --output=short-iso --lines=60 --unit=door.service"
    assert (one.kind, one.ref) == ("journal", "journalctl --unit=door.service")
    assert hashlib.sha256(one.text.encode()).hexdigest() == one.sha256
    program.write_text("#!/bin/sh\nexit 1\n")
    assert list(machine.journal("door.service")) == []
    monkeypatch.setenv("PATH", "/nowhere")
    assert list(machine.journal("door.service")) == []


def test_a_history_that_is_not_there_is_no_evidence(root):
    """A folder without a repository is not an error."""
    assert list(machine.history(Place(root, "root"), ())) == []


def test_only_telling_words_are_looked_for():
    """Words that stand in every file would drown the ones that matter."""
    assert terms("What does the camera do, and which of my modules use the Camera?") == ("camera",)


def test_room_is_shared_so_that_small_evidence_is_whole():
    """One long file must not push the others out of what the model is shown."""
    assert prompts.shared([10, 1000, 1000], 210) == [10, 100, 100]
    assert sum(prompts.shared([5, 7, 9], 0)) == 0
