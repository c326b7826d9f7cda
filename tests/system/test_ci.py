"""What a person's machine may lack, CI may not: a test that cannot run there fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDY = (
    "tests/system/test_systemd_user.py::test_a_person_without_root_installs_uses_and_removes_their_own_ligand",
    "tests/system/test_systemd_completion.py::test_fish_completes_a_verb",
    "tests/system/test_systemd_wheel.py::test_a_wheel_installs_itself",
    "tests/system/test_units.py::test_systemd_accepts_all_of_it",
    "tests/unit/ligand/test_ligand_help.py::test_completion_is_what_the_shell_reads[fish]",
)


@pytest.mark.parametrize(("ci", "outcome"), [("", "skipped"), ("true", "CI must not go without")])
def test_what_cannot_run_is_skipped_by_a_person_and_fails_in_ci(tmp_path: Path, ci: str, outcome: str) -> None:
    """A CI machine that lost its root, its systemd or a shell would else be green without having tried anything."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environ = {**kept, "PATH": str(tmp_path), "CI": ci}  # a machine on which nothing is installed
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", *NEEDY]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    summary = done.stdout.strip().splitlines()[-1]
    assert done.returncode == (1 if ci else 0), done.stdout
    assert f"{len(NEEDY)} skipped" in summary or ci
    assert "passed" not in summary
    assert outcome in done.stdout


def test_ci_runs_as_ci_and_installs_what_the_tests_need(tmp_path: Path) -> None:
    """`.ci/run` is what sets CI: without it every test above would be skipped in silence."""
    for name in (".ci/run", "tools/install-debian-packages", "bin/make"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $* CI=$CI"\n')
        (tmp_path / name).chmod(0o755)
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    environ = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run([tmp_path / ".ci" / "run"], env=environ, capture_output=True, text=True, check=True)
    wanted = ["tools/install-debian-packages  CI=true", "bin/make senses CI=true", "bin/make test CI=true"]
    assert done.stdout.splitlines() == wanted
