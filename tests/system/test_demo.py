"""`make demo` is the first thing that a person runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import command, environment, run
from tests.support.constellation import ROOT
from tools.demo.checks import entry_text

PARTS = (
    "== Integrated ==",
    "enabled: false",
    "== Refused, and why ==",
    "phantom: No module is named unicorn_stables",
    "no_model: ",
    "How to mend it:",
    "== Why: the story of the first intent ==",
    "        └── Q_INVESTIGATION_COMPLETE",
    "            └── Q_MODULE_INTEGRATED",
    "claims hold",
)


@pytest.mark.slow
def test_the_demonstration_shows_what_it_says_and_leaves_nothing(tmp_path: Path) -> None:
    """Four intents, each with its true ending, and a temporary home that is gone afterwards."""
    done = run("demo", None, env={"TMPDIR": str(tmp_path)})
    assert done.code == 0, done.text[-5000:] + done.err
    places = [done.text.index(part) for part in PARTS]
    assert places == sorted(places)
    assert "\n  FAILED " not in done.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_claim_that_does_not_hold_fails_the_demonstration(tmp_path: Path) -> None:
    """Without the integrator nothing is integrated, and the demonstration must not say otherwise."""
    tree = tmp_path / "tree"
    for folder in ("signals", "services", "tools", "systemd"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    logic = tree / "services/capability_integrator/logic.py"
    text = logic.read_text()
    assert '"enabled": False' in text
    logic.write_text(text.replace('"enabled": False', '"enabled": True'))
    env = {**environment(None), "PYTHONPATH": str(tree), "TMPDIR": str(tmp_path)}
    done = subprocess.run(command("demo"), cwd=tree, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stdout[-5000:] + done.stderr
    assert "FAILED capabilities.yaml has an entry for json, not enabled" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demonstration_stops_what_it_started(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C must not leave a constellation behind."""
    env = {**environment(None), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command("demo"), cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"Starting")
        os.kill(process.pid, number)
        process.communicate(timeout=300)
    assert process.returncode in (130, 143)
    assert list(tmp_path.iterdir()) == []


def test_an_entry_is_shown_as_it_stands_in_the_file(tmp_path: Path) -> None:
    """Neighbours and comments around it are left out."""
    registry = tmp_path / "capabilities.yaml"
    registry.write_text("version: 1\ncapabilities:\n  a:\n    enabled: true\n  b:\n    x: 1\n\n    y: 2\n# end\n")
    assert entry_text(registry, "b") == "  b:\n    x: 1\n\n    y: 2"
    assert entry_text(registry, "c") == ""
    assert entry_text(tmp_path / "none.yaml", "a") == ""


@pytest.mark.slow
def test_the_demonstration_of_dream_improves_a_setting_and_takes_a_bad_one_back(tmp_path: Path) -> None:
    """From a dropped promotion to a better value in a person's file, measured; and the old bytes when it was not."""
    done = run("demo.dream", None, env={"TMPDIR": str(tmp_path)}, timeout=500)
    assert done.code == 0, done.text[-5000:] + done.err
    assert "all 11 claims hold" in done.text
    assert list(tmp_path.iterdir()) == []
