"""What reading modules tells, on real packages. If this fails, a person reads what is not so."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from services.investigator import report, telling
from tests.unit.investigator.conftest import said


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


def test_compiled_extension_has_no_source(ask, write):
    """A shared object is neither opened nor imported."""
    write("fast.so", b"\x7fELF")
    assert ask("fast").facts["reason"] == "no_source"
    assert ask("fast.so").facts["reason"] == "no_source"


@pytest.mark.parametrize("name", ["sys", "builtins", "_ast"])
def test_built_in_modules_have_no_source(ask, name):
    """Nothing is invented about a module that cannot be read."""
    assert ask(name).facts["reason"] == "no_source"


def test_general_question_needs_a_model(ask):
    """Without a model the person is told so, and what to do."""
    outcome = ask()
    assert outcome.facts["reason"] == "no_model"
    assert "module_path" in outcome.facts["detail"]


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
