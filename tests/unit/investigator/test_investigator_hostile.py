"""Modules that nobody should trust, or that have no end. If this fails, reading one harms who reads, or never ends."""

from __future__ import annotations

import json
import os
import sys

import pytest

from tests.unit.investigator.conftest import said


def test_nothing_is_executed(ask, write, tmp_path):
    """Reading a module must never run it."""
    proof = tmp_path / "ran"
    code = f"open({str(proof)!r}, 'w')\n"
    write("danger/__init__.py", code)
    write("danger/__main__.py", code)
    before = set(sys.modules)
    assert ask("danger").signal == "Q_INVESTIGATION_COMPLETE"
    assert not proof.exists()
    assert "danger" not in set(sys.modules) - before


@pytest.mark.parametrize(
    "code",
    ["x=" + "(" * 5000, "x=" + "-" * 200_000 + "1", "a" + ".b" * 100_000, "x=" + "+".join(["1"] * 50_000)],
    ids=["parentheses", "minuses", "attributes", "sums"],
)
def test_hostile_nesting_is_a_finding(ask, write, code):
    """A file made to crash parsers does not take the daemon down."""
    write("deep/__init__.py", '"""Deep."""\n')
    write("deep/hole.py", code)
    outcome = ask("deep")
    assert outcome.signal == "Q_INVESTIGATION_COMPLETE"
    assert said(outcome, "Broken: deep/hole.py")


def test_symlink_loops_and_links_out(ask, write, root, tmp_path):
    """Links in a package are named and not followed, wherever they lead."""
    write("looped/__init__.py", '"""Loops."""\n')
    secret = tmp_path / "secret.py"
    secret.write_text('"""Very secret."""\n')
    (root / "looped/again").symlink_to(root / "looped")
    (root / "looped/self").symlink_to("self")
    (root / "looped/out.py").symlink_to(secret)
    outcome = ask("looped")
    assert outcome.facts["py_files_count"] == 1
    assert "again" in said(outcome, "Links")[0]
    assert "secret" not in json.dumps(outcome.facts["evidence"])


def test_limits_are_told(ask, write):
    """A huge package is read in part, and that is said."""
    for number in range(30):
        write(f"huge/part{number}.py", "x = 1\n" * 100)
    write("huge/__init__.py", '"""Huge."""\n')
    write("huge/blob.py", "x = 1\n" * 1000)
    outcome = ask("huge", max_files=10)
    assert outcome.facts["py_files_count"] == 10
    assert said(outcome, "Cut short: only 10 of 32 files")
    assert said(ask("huge", max_file_bytes=1024), "Broken: huge/blob.py: larger than 1024 bytes")


def test_time_limit(ask, write):
    """A package that takes too long to parse still ends in an honest answer."""
    write("slow/__init__.py", '"""Slow."""\n')
    outcome = ask("slow", max_seconds=-1.0)
    assert said(outcome, "Cut short: 1 files were not parsed in time")
    assert outcome.facts["confidence"] < 0.3


def test_files_of_data_are_bounded(ask, write):
    """Thousands of statements in a row must not keep the daemon busy for minutes."""
    write("table/__init__.py", '"""Tables."""\n')
    write("table/data.py", "".join(f"a{number} = 1\n" for number in range(30_000)))
    assert said(ask("table"), "Broken: table/data.py: 30000 statements in one block")


def test_webs_of_wildcards_are_bounded(ask, write):
    """Modules that all import everything from each other must not fill the memory."""
    write("web/__init__.py", '"""A web."""\n')
    everything = "".join(f"from .m{number} import *\n" for number in range(60))
    for number in range(60):
        write(f"web/m{number}.py", everything + "".join(f"def f{number}_{one}(): ...\n" for one in range(40)))
    assert said(ask("web"), "Cut short: wildcard imports were not followed")


def test_special_files_are_not_opened(ask, write, root):
    """A FIFO in a package must not hang the daemon."""
    write("piped/__init__.py", '"""Piped."""\n')
    os.mkfifo(root / "piped/pipe.py")
    assert ask("piped").facts["py_files_count"] == 1
    os.mkfifo(root / "lonely.py")
    assert ask("lonely").facts["reason"] == "unreadable"
    assert said(ask("piped"), "Not readable: pipe.py: not a regular file")


@pytest.mark.parametrize("name", ["pipe.py", "piped/__init__.py", "piped/inner/m.py"])
def test_a_module_that_is_a_pipe_is_unreadable(ask, root, name):
    """A module of which nothing was read would be said to offer nothing, or not to exist."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(root / name)
    outcome = ask(name.split(".")[0].split("/")[0])
    assert outcome.signal == "Q_INVESTIGATION_FAILED"
    assert outcome.facts["reason"] == "unreadable"
    assert outcome.facts["retryable"] is False


@pytest.mark.parametrize("name", ["big.py", "big/__init__.py", "big/inner/m.py"])
def test_a_module_that_is_too_large_is_not_said_to_offer_nothing(ask, write, name):
    """A claim about files that nobody read would be recorded as a finding."""
    write(name, "x = 1\n" * 1000)
    write("big/test_m.py", "small = 1\n")
    outcome = ask("big", max_file_bytes=1024)
    assert outcome.signal == "Q_INVESTIGATION_FAILED"
    assert outcome.facts["reason"] == "too_large"
    assert "max_file_bytes" in outcome.facts["detail"]


def test_a_module_that_may_not_be_opened_is_unreadable(ask, write, monkeypatch):
    """The person would not learn which permission is missing."""

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    write("shut/__init__.py", '"""Shut."""\n')
    monkeypatch.setattr("services.investigator.survey.read_beneath", denied)
    outcome = ask("shut")
    assert outcome.facts["reason"] == "unreadable"
    assert "Permission denied" in outcome.facts["detail"]
    assert "ligand grant" in outcome.facts["detail"]


def test_what_was_read_in_part_names_what_was_not(ask, write):
    """A large file among others must not hide what the others offer, nor be cited as if it had been read."""
    write("part/__init__.py", '"""Parts."""\n')
    write("part/blob.py", "x = 1\n" * 1000)
    outcome = ask("part", max_file_bytes=1024)
    assert outcome.signal == "Q_INVESTIGATION_COMPLETE"
    assert said(outcome, "Broken: part/blob.py: larger than 1024 bytes")
    assert outcome.facts["evidence"]
    assert all("sha256" in one for one in outcome.facts["evidence"])


def test_an_unread_module_is_told_before_another_name_that_is_none(ask, write):
    """What exists would be called a phantom because the question guessed at another name first."""
    write("src/big.py", "x = 1\n" * 1000)
    assert ask("big", ("path:src/big.py",), max_file_bytes=1024).facts["reason"] == "too_large"


def test_facts_always_fit_an_envelope(ask, write):
    """Names and docstrings of any size and script must not make the answer too large for the bus."""
    lines = [f'def {"f" * 200}{n}(argument="{"ß" * 500}"):\n    """{"🦀" * 900}"""\n' for n in range(120)]
    write("wide/__init__.py", f'"""{"喜" * 9000}"""\n' + "".join(lines))
    for number in range(20):
        write(f"wide/{'n' * 100}{number}.py", "import " + ", ".join(f"m{number}_{i}" for i in range(30)) + "\n")
    outcome = ask("wide")
    assert len(json.dumps(outcome.facts, ensure_ascii=False).encode()) < 49_000


@pytest.mark.parametrize("question", ["ü" * 16_384, "🦀" * 16_384, "\x01" * 10_000])
def test_long_questions_fit(investigator, catalogue, question):
    """The question is repeated in the answer, and shortened if it must be."""
    facts = {
        "question": question,
        "question_id": "q",
        "priority": "low",
        "evidence": [],
        "module_path": "json",
    }
    outcome = investigator.answer("s", "2026-01-02T03:04:05.000006Z", facts)
    catalogue[outcome.signal].check(outcome.facts)
    assert len(json.dumps(outcome.facts, ensure_ascii=False).encode()) < 49_000


def test_odd_file_names(ask, write, root):
    """File names that are no text, or no Python names, neither break the answer nor leave it unsendable."""
    write("odd/__init__.py", '"""Odd."""\n')
    write("odd/my-script.py", '"""A script."""\n')
    with open(os.fsencode(root) + b"/odd/\xff\xfe.py", "wb") as stream:
        stream.write(b"def f(:\n")
    outcome = ask("odd")
    json.dumps(outcome.facts).encode()
    assert outcome.facts["py_files_count"] == 3
