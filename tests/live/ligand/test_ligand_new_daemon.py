"""What `ligand new-daemon` writes runs, and passes its test, before anybody has touched it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from signals.envelope import decode
from signals.journal import Journal
from signals.paths import Paths
from tests.support.commands import Done, environment, ligand, started, tap
from tests.support.constellation import ROOT

COPIED = (
    "signals",
    "services",
    "tools",
    "systemd",
    "docs",
    "tests",
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of this tree."""
    root = tmp_path / "clone"
    root.mkdir()
    skip = shutil.ignore_patterns("__pycache__", ".*_cache")
    for name in COPIED:
        source = ROOT / name
        shutil.copytree(source, root / name, ignore=skip) if source.is_dir() else shutil.copy(source, root / name)
    return root


def run_in(folder: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Python's with the packages of the folder, if it has any, else of this tree."""
    env = environment(home) | {"PYTHONPATH": str(folder if (folder / "signals").is_dir() else ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=500, check=False
    )


def new_daemon(folder: Path, home: Path, *arguments: str) -> Done:
    """Outside a clone, in this process."""
    with contextlib.chdir(folder):
        return ligand(home, "new-daemon", *arguments)


@pytest.mark.slow
@pytest.mark.xdist_group("linters")
def test_in_a_clone_it_passes_every_rule_of_the_house(clone: Path, tmp_path: Path) -> None:
    """Its own tests, the rooms, the contracts, the units and the linters are content with it as generated.

    At most 12 lines are left to write: the body of a function or two.
    """
    done = run_in(
        clone,
        tmp_path,
        "-m",
        "tools.ligand",
        "new-daemon",
        "tea_maker",
        "--consumes",
        "Q_TEA_WANTED",
        "--emits",
        "Q_TEA_READY",
    )
    assert done.returncode == 0, done.stderr
    assert run_in(clone, tmp_path, "-m", "tools.docs").returncode == 0
    tests = ["tests/unit/tea_maker", "tests/live/tea_maker", "tests/contracts", "tests/system/test_units.py"]
    only = "tea_ or q_tea or whole_and or nothing_crosses or are_current or accepts_all or still_mean"
    tested = run_in(clone, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", only, *tests)
    assert tested.returncode == 0, tested.stdout[-5000:]
    fresh = [str(file) for file in clone.rglob("*tea_maker*/*.py")]
    assert len(fresh) == 6
    for linter in (["ruff", "check"], ["ruff", "format", "--check"]):
        linted = run_in(clone, tmp_path, "-m", *linter, *fresh)
        assert linted.returncode == 0, linted.stdout
    logic = (clone / "services" / "tea_maker" / "logic.py").read_text()
    assert logic.count("    return ") == 1
    assert len([line for line in logic.splitlines() if line.strip()]) <= 12
    changed = (clone / "docs" / "architecture.md").read_text()
    assert "| `tea_maker` | `Q_TEA_WANTED` |" in changed


@pytest.mark.parametrize(
    "arguments",
    [
        ("tea_maker",),
        ("tea_maker", "--consumes", "Q_SPEAK", "--consumes", "Q_TEA_WANTED", "--emits", "Q_SPOKEN"),
        ("tea_maker", "--consumes", "Q_SPEAK"),
        ("tea_maker", "--emits", "Q_TEA_COLD"),
    ],
    ids=["both new", "known and new", "only hears", "only says"],
)
def test_among_a_persons_own_it_passes_its_test(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Outside a clone everything lies in the configuration folder, and its test is run with plain Python."""
    outside = tmp_path / "outside"
    outside.mkdir()
    done = new_daemon(outside, tmp_path, *arguments)
    assert done.code == 0, done.err
    own = Paths.resolve(tmp_path).manifests
    tested = run_in(outside, tmp_path, str(own / "test_tea_maker.py"))
    assert tested.returncode == 0, tested.stderr[-3000:]
    checked = ligand(tmp_path, "config", "check")
    assert checked.code == 0, checked.text
    assert "tea_maker" in ligand(tmp_path, "map", "tea_maker").text


def test_a_persons_own_daemon_runs_with_the_constellation(tmp_path: Path) -> None:
    """`ligand up` starts it from its unit, and `signal-tap emit` reaches it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    new_daemon(outside, home, "tea_maker", "--consumes", "Q_TEA_WANTED", "--emits", "Q_TEA_READY")
    paths = Paths.resolve(home)
    with started("ligand", home, "up", "--only", "bus", "--only", "tea_maker") as process:
        assert process.stdout is not None
        assert any(b"ready: 2 daemons" in line for line in process.stdout)
        assert tap(home, "emit", "Q_TEA_WANTED", "text=Assam").code == 0
        (followed,) = tap(home, "show", "-o", "json", "Q_TEA_WANTED").objects
        while "So it ended" not in (told := ligand(home, "why", followed["id"]).text):
            assert "It is not over" in told
        assert ligand(home, "down").code == 0
    with Journal(paths.journal) as journal:
        facts = [decode(raw).facts for _, raw in journal.walk(0, ["Q_TEA_READY"])]
    assert facts == [{"text": "heard: Assam"}]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("Tea",), "small letters"),
        (("bus",), "There is a daemon bus already"),
        (("runtime",), "cannot be a daemon's name"),
        (("x", "--consumes", "tea"), "Names look like Q_TEA_WANTED"),
        (("x", "--consumes", "Q_HEARTBEAT"), "is live"),
        (("x", "--emits", "Q_DAEMON_READY"), "the frame"),
        (("x", "--consumes", "Q_A", "--emits", "Q_A"), "loop"),
    ],
)
def test_names_that_cannot_be(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """A wrong name is refused before anything is written."""
    done = new_daemon(tmp_path, tmp_path, *arguments)
    assert done.code == 2
    assert says in done.err
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_a_persons_is_written_over(tmp_path: Path) -> None:
    """A second run, or a file of that name, is refused; a dry run writes nothing."""
    dry = new_daemon(tmp_path, tmp_path, "tea_maker", "--dry-run", "-o", "json")
    assert (dry.code, list(tmp_path.iterdir())) == (0, [])
    assert '"is":"new"' in dry.text
    assert new_daemon(tmp_path, tmp_path, "tea_maker").code == 0
    program = Paths.resolve(tmp_path).manifests / "tea_maker.py"
    program.write_text("mine")
    again = new_daemon(tmp_path, tmp_path, "tea_maker")
    assert (again.code, program.read_text()) == (2, "mine")
    program.with_suffix(".yaml").unlink()
    once_more = new_daemon(tmp_path, tmp_path, "tea_maker")
    assert (once_more.code, program.read_text()) == (2, "mine")
