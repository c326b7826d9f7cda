"""What the investigator says about real packages and about every odd kind of them."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from services.investigator import report, telling
from services.investigator.roots import library_paths

STDLIB = Path(library_paths()[0])


def said(outcome, mark):
    """The findings that begin with a word."""
    return [line for line in outcome.facts["findings"] if line.startswith(mark)]


@pytest.mark.parametrize(
    ("name", "purpose", "capability"),
    [
        ("json", "JavaScript Object Notation", "loads("),
        ("email", "package for parsing", "message_from_string("),
        ("asyncio", "asyncio package", "run("),
        ("json.decoder", "JSONDecoder", "JSONDecoder("),
    ],
)
def test_real_packages_are_understood(ask, name, purpose, capability):
    """A person asks about a package they use and gets its purpose and what it offers."""
    outcome = ask(name)
    assert outcome.signal == "Q_INVESTIGATION_COMPLETE"
    assert purpose in outcome.facts["summary"]
    assert any(line.startswith(capability) for line in outcome.facts["capabilities"])
    assert outcome.facts["module_name"] == name
    assert outcome.facts["confidence"] > 0.7
    assert outcome.taint == ("file",)


def test_evidence_can_be_checked(ask):
    """A claim that cites a file must be checkable against that file."""
    evidence = ask("json").facts["evidence"]
    assert {one["kind"] for one in evidence} == {"source"}
    for one in evidence:
        assert hashlib.sha256(Path(one["ref"]).read_bytes()).hexdigest() == one["sha256"]


def test_entry_points_of_json(ask):
    """Without its entry points nobody knows how to run a module."""
    assert ask("json").facts["entry_points"] == ["python -m json.tool (main())"]


@pytest.mark.parametrize("name", ["no_such_module_at_all", "audioop_like_absent", "json.nope", "json.dumps"])
def test_absent_modules_are_phantoms(ask, name):
    """A made-up module must not become a capability."""
    outcome = ask(name)
    assert outcome.signal == "Q_INVESTIGATION_FAILED"
    assert outcome.facts["reason"] == "phantom"
    assert outcome.facts["retryable"] is False
    assert str(STDLIB) in outcome.facts["detail"]


def test_phantom_names_the_parent_that_exists(ask):
    """A typing mistake in the last part is seen at once."""
    assert "json exists, but has no module nope" in ask("json.nope").facts["detail"]


@pytest.mark.parametrize("name", ["sys", "builtins", "_ast"])
def test_built_in_modules_have_no_source(ask, name):
    """Nothing is invented about a module that cannot be read."""
    assert ask(name).facts["reason"] == "no_source"


def test_compiled_extension_has_no_source(ask, write):
    """A shared object is neither opened nor imported."""
    write("fast.so", b"\x7fELF")
    assert ask("fast").facts["reason"] == "no_source"
    assert ask("fast.so").facts["reason"] == "no_source"


def test_general_question_needs_a_model(ask):
    """Without a model the person is told so, and what to do."""
    outcome = ask()
    assert outcome.facts["reason"] == "no_model"
    assert "module_path" in outcome.facts["detail"]


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


def test_no_docstring_is_told_by_names(ask, write):
    """A module without a word of text still says what its names say, and is less sure."""
    write("bare/__init__.py", "def take_picture(camera): ...\n")
    outcome = ask("bare")
    assert "take_picture" in outcome.facts["summary"]
    assert outcome.facts["confidence"] < 0.3


def test_readme_says_the_purpose(ask, write):
    """A README is read when the module has no docstring; headings and badges are no purpose."""
    write("lens/__init__.py", "def focus(): ...\n")
    write("lens/README.md", "# Lens\n\n![badge](x.png)\n\nKeeps the camera\nin focus.\n\nMore.\n")
    outcome = ask("lens")
    assert outcome.facts["summary"] == "lens: Keeps the camera in focus."
    assert {one["kind"] for one in outcome.facts["evidence"]} == {"source", "readme"}


def test_broken_file_does_not_sink_the_package(ask, write):
    """One syntax error must not hide the rest of a package."""
    write("mixed/__init__.py", '"""Mixes things."""\nfrom .good import mix\n__all__ = ["mix"]\n')
    write("mixed/good.py", 'def mix(a, b=1):\n    """Mix two."""\n')
    write("mixed/bad.py", "def broken(:\n")
    write("mixed/latin.py", b"name = '\xe9'\n")
    write("mixed/zero.py", b"x = 1\0\n")
    outcome = ask("mixed")
    assert outcome.facts["capabilities"] == ["mix(a, b=1): Mix two."]
    broken = " ".join(said(outcome, "Broken"))
    assert "mixed/bad.py: syntax error at line 1" in broken
    assert "mixed/latin.py: not text in its declared encoding" in broken
    assert "mixed/zero.py" in broken


def test_declared_encoding_is_honoured(ask, write):
    """Old sources in Latin-1 are read as Python reads them."""
    write("old.py", '# -*- coding: latin-1 -*-\n"""Für alte Dateien."""\n'.encode("latin-1"))
    assert ask("old").facts["summary"] == "old: Für alte Dateien."


def test_broken_top_is_hardly_sure(ask, write):
    """When a module's own file cannot be parsed, it is not integrated."""
    write("top/__init__.py", "class :\n")
    write("top/other.py", '"""Fine."""\n')
    assert ask("top").facts["confidence"] <= 0.25


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


def test_namespace_package(ask, write):
    """A folder without __init__.py is a package too, and it is said that the file is missing."""
    write("space/audio/capture.py", '"""Captures."""\ndef start():\n    """Begin."""\n')
    outcome = ask("space.audio")
    assert outcome.facts["has_init"] is False
    assert outcome.facts["module_name"] == "space.audio"
    assert outcome.facts["capabilities"] == ["capture.start(): Begin."]
    assert said(outcome, "No __init__.py")


@pytest.mark.parametrize("deep", ["nsp/inner/m.py", "nsp/a/b/c/m.py", "nsp/inner/__init__.py", "nsp/test_m.py"])
def test_a_namespace_is_found_by_its_own_name(ask, write, deep):
    """A folder whose modules can be imported would be called a phantom."""
    write(deep, '"""Inside."""\ndef go(): ...\n')
    for asked in ("nsp", "./nsp"):
        outcome = ask(asked)
        assert outcome.signal == "Q_INVESTIGATION_COMPLETE"
        assert outcome.facts["module_name"] == "nsp"
        assert outcome.facts["py_files_count"] == 1
        assert all("sha256" in one for one in outcome.facts["evidence"])
        assert outcome.facts["evidence"]


def test_a_namespace_of_compiled_modules_has_no_source(ask, write):
    """It exists: to call it a phantom would be a lie."""
    write("nsp/inner/fast.so", b"\x7fELF")
    assert ask("nsp").facts["reason"] == "no_source"


def test_a_namespace_of_links_is_told_as_one(ask, root, tmp_path):
    """Nothing beyond the links is read, and the person learns that they are why."""
    (tmp_path / "m.py").write_text("x = 1\n")
    (root / "nsp").mkdir()
    (root / "nsp/m.py").symlink_to(tmp_path / "m.py")
    assert ask("nsp").facts["reason"] == "unreadable"
    assert "only links (m.py)" in ask("nsp").facts["detail"]


def test_a_folder_without_modules_is_a_phantom(ask, write):
    """A folder of data must not become a capability."""
    write("data/inner/table.csv", "1\n")
    write("data/__pycache__/m.py", "")
    (write("data/readme.txt").parent / "odd.py").mkdir()
    assert ask("data").facts["reason"] == "phantom"


def test_stub_only(ask, write):
    """A package of stubs is described from them."""
    write("typed/__init__.pyi", '"""Only types."""\ndef f(x: int) -> str: ...\n')
    outcome = ask("typed")
    assert outcome.facts["capabilities"] == ["f(x: int) -> str"]
    assert outcome.facts["has_init"] is True


def test_cyclic_imports_and_inheritance(ask, write):
    """Modules that import each other, and classes that claim to inherit from each other, end."""
    write("ring/__init__.py", '"""A ring."""\nfrom .a import *\nfrom .b import *\n')
    write("ring/a.py", "from .b import *\nfrom .b import B\nclass A(B): ...\n")
    write("ring/b.py", "from .a import *\nfrom .a import A\nclass B(A): ...\n")
    outcome = ask("ring")
    assert {line.split("(")[0] for line in outcome.facts["capabilities"]} >= {"A", "B"}


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


def test_project_documents(ask, write):
    """Console scripts, dependencies and tests are found where a project keeps them."""
    write("src/tool/__init__.py", '"""A tool."""\nimport numpy.linalg, json, tool.cli\n')
    write("src/tool/cli.py", "def main(): ...\nif __name__ == '__main__':\n    main()\n")
    write("src/tool/__main__.py", "from tool.cli import main\nmain()\n")
    write("tests/test_tool.py", "def test_it(): ...\n")
    write("pyproject.toml", '[project]\nname = "tool"\n[project.scripts]\ntool = "tool.cli:main"\nx = "y:z"\n')
    write("README.rst", "Tool\n====\n\nDoes it.\n")
    outcome = ask("src.tool")
    assert outcome.facts["entry_points"][:2] == ["python -m src.tool", "python -m src.tool.cli (main())"]
    assert "numpy" in outcome.facts["dependencies"]
    assert outcome.facts["has_tests"] is True
    assert said(outcome, "README: README.rst")


def test_console_scripts_from_the_configured_source_root(tmp_path, ask, write, root):
    """With `src` as the root the names fit, and the console script is the module's own."""
    write("tool/__init__.py", '"""A tool."""\n')
    write("pyproject.toml", '[project]\nname = "Tool"\n[project.scripts]\nrun-tool = "tool.cli:main"\n')
    write("setup.cfg", "[options.entry_points]\nconsole_scripts =\n    other = tool:go\n    no = tools:go\n")
    write("entry_points.txt", "[console_scripts]\nthird = tool.x:go\n")
    points = ask("tool").facts["entry_points"]
    assert points == ["run-tool (tool.cli:main)", "other (tool:go)", "third (tool.x:go)"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("pyproject.toml", "[project\n"), ("setup.cfg", "no section\n"), ("entry_points.txt", "=\n")],
)
def test_broken_project_documents_are_findings(ask, write, name, text):
    """A damaged project file is named; the module is described all the same."""
    write("tool/__init__.py", '"""A tool."""\n')
    write(name, text)
    assert said(ask("tool"), f"Broken: {name}")


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


def test_private_names_are_not_capabilities(ask, write):
    """What a module keeps to itself is not offered."""
    write(
        "m.py",
        '"""M."""\nfrom os import path\nimport sys\ndef _hidden(): ...\ndef shown(): ...\nclass C: ...\n',
    )
    assert ask("m").facts["capabilities"] == ["shown()", "C"]


def test_confidence_rule_is_ordered():
    """More that is written makes an answer surer, and what is broken makes it less sure."""

    def sure(**changes):
        item = report.Item("f", "function", "f()", "Does.", "m.f")
        base: dict[str, Any] = {
            "name": "m",
            "path": "/m",
            "kind": "package",
            "has_init": True,
            "py_files": 2,
            "lines": 1,
            "size": 1,
            "imports": frozenset(),
            "interface": report.Interface("", (item,), False),
        }
        return telling.confidence(report.Report(**(base | changes)))[0]

    documented = report.Interface("What it is.", (report.Item("f", "function", "f()", "Does.", "m.f"),), True)
    assert sure() < sure(readme_says="x") < sure(interface=documented)
    assert sure(interface=documented, broken={"a": "b"}) < sure(interface=documented)
    assert sure(interface=documented, cut="cut") < sure(interface=documented)
    assert sure(interface=documented, tests=("t",), entry_points=("e",)) <= 0.95
    assert sure(interface=report.Interface("", (), False), broken={"a": "b", "c": "d"}) >= 0.05
