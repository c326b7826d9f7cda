"""Set-up on a machine that lacks something says what, and what to do."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Stands for a Python: prints its version, and judges the two questions that create-venv asks.
OLD = '#!/bin/sh\ncase "$2" in *print*) echo 3.9.2;; *version_info*) exit 1;; esac\n'
BARE = '#!/bin/sh\ncase "$2" in *print*) echo 3.11.2;; *ensurepip*) exit 1;; esac\n'
READY = '#!/bin/sh\ncase "$2" in *print*) echo 3.11.2;; venv) rm -r "$4"; mkdir "$4";; esac\n'
# Stands for the package tools of a machine without strace, for a person and for root.
QUERY = "#!/bin/sh\nfor last; do :; done\n[ $last != strace ] && echo installed\n"
APT = '#!/bin/sh\necho "$@" >>"$(dirname "$0")/log"\n'


def program(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    file.chmod(0o755)
    return file


def run(*command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run from the project's root, as if no `make` stood above."""
    base = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, cwd=ROOT, env=base | env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (OLD, ["Ligand needs Python 3.11 or newer", "3.9.2"]),
        (BARE, ["3.11.2", "sudo apt install python3-venv"]),
    ],
)
def test_an_unfit_python_is_refused(tmp_path: Path, script: str, said: list[str]) -> None:
    """A person on an old or bare machine learns what to install, not the tail of a traceback."""
    done = run("tools/create-venv", program(tmp_path, "python3", script), tmp_path / "venv")
    assert done.returncode == 1
    assert [word for word in said if word not in done.stderr] == []
    assert not (tmp_path / "venv").exists()


def test_a_missing_python_is_refused(tmp_path: Path) -> None:
    """A slip in PYTHON= is named."""
    done = run("tools/create-venv", "python-that-is-not", tmp_path / "venv")
    assert done.returncode == 1
    assert "There is no program 'python-that-is-not'" in done.stderr


def test_who_had_senses_is_told_that_they_are_gone(tmp_path: Path) -> None:
    """After an update the environment is made anew: a constellation in the clone would hear and see no more, unsaid."""
    (tmp_path / "venv" / "extras" / "audio").mkdir(parents=True)
    (tmp_path / "venv" / "extras" / "gaze").mkdir()
    python = program(tmp_path, "python3", READY)
    done = run("tools/create-venv", python, tmp_path / "venv")
    assert (done.returncode, "make senses SENSES='audio gaze'" in done.stdout) == (0, True)
    assert "make senses" not in run("tools/create-venv", python, tmp_path / "venv").stdout


def test_senses_are_installed_anew_where_the_environment_was(tmp_path: Path) -> None:
    """What was installed before went with it: `make senses` right after an update would leave a part of them out."""
    ready, made = tmp_path / "ready", tmp_path / "extras" / "audio" / ".made-of"
    made.parent.mkdir(parents=True)
    wanted = []
    for older, newer in ((made, ready), (ready, made)):
        for age, file in enumerate((newer, older)):
            file.touch()
            os.utime(file, (time.time() - age,) * 2)
        said = run("make", "--dry-run", "senses", "SENSES=audio", f"VENV={tmp_path}").stdout
        wanted.append("tools.ligand.extras audio" in said)
    assert wanted == [True, False]


def packages(tmp_path: Path, uid: int) -> subprocess.CompletedProcess[str]:
    program(tmp_path, "dpkg-query", QUERY)
    program(tmp_path, "apt-get", APT)
    program(tmp_path, "id", f"#!/bin/sh\necho {uid}\n")
    return run("tools/install-debian-packages", PATH=f"{tmp_path}:{os.environ['PATH']}")


def test_a_person_is_told_what_to_install(tmp_path: Path) -> None:
    """Without root nothing is installed; the command to run is printed."""
    done = packages(tmp_path, uid=1000)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "Missing packages: strace"
    assert "sudo apt-get update && sudo apt-get install --no-install-recommends strace" in done.stderr
    assert not (tmp_path / "log").exists()


def test_root_installs_only_what_is_missing(tmp_path: Path) -> None:
    """A build machine gets what it lacks and nothing else is touched."""
    done = packages(tmp_path, uid=0)
    assert (done.returncode, done.stdout) == (0, "Installing: strace\n")
    update, install = (tmp_path / "log").read_text().splitlines()
    assert update.startswith("update")
    assert install.endswith("--no-install-recommends strace")


def test_make_alone_lists_the_goals() -> None:
    """`make` without a goal must not begin to install anything."""
    done = run("make")
    goals = [line.split()[1] for line in done.stdout.splitlines()]
    wanted = (
        "help setup senses demo demo-dream test test-llama crash-sweep deploy-sweep model bench chaos fuzz "
        "voice soak soak-dream docs pictures lint format lock clean"
    )
    assert goals == wanted.split()


def test_the_readme_names_only_goals_that_exist() -> None:
    """A command copied from a document works."""
    goals = {line.split()[1] for line in run("make").stdout.splitlines()}
    text = "".join((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))
    named = {line.split()[1] for line in text.splitlines() if line.startswith("    make ")}
    assert named
    assert named <= goals
