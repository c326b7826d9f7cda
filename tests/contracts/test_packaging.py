"""What is locked, what is installed, what travels in the wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from services.runtime.extras import EXTRAS, NAMES, lock_of

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-build.lock",
    *map(lock_of, NAMES),
)
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[\w.!+]+)(?: ; [\w.'<>=! ]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def plain(requirement: str) -> str:
    """The normalised name in a requirement such as `ruamel.yaml>=0.18`."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~\[;]", requirement, maxsplit=1)[0]).lower()


def pins(lock: str) -> dict[str, str]:
    found = (PIN.fullmatch(line) for line in (ROOT / lock).read_text().splitlines())
    return {match["name"]: match["version"] for match in found if match}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_names_versions_and_hashes_only(lock: str) -> None:
    """An index, a host or a path in the lock would break set-up on every other machine."""
    lines = (ROOT / lock).read_text().splitlines()
    assert [line for line in lines if not (PIN.fullmatch(line) or HASH.fullmatch(line))] == []


def test_every_dependency_is_locked() -> None:
    """A dependency that is not in the lock is missing after set-up."""
    runtime = {plain(requirement) for requirement in PROJECT["project"]["dependencies"]}
    groups = PROJECT["dependency-groups"]
    build = {plain(requirement) for requirement in groups["build"]}
    dev = {plain(requirement) for requirement in groups["dev"] if isinstance(requirement, str)}
    assert runtime - pins("requirements.lock").keys() == set()
    assert (runtime | build | dev) - pins("requirements-dev.lock").keys() == set()
    assert build - pins("requirements-build.lock").keys() == set()
    for extra in NAMES:
        assert {plain(requirement) for requirement in groups[extra]} == pins(lock_of(extra)).keys()


def test_pip_installs_as_an_extra_what_the_lock_of_it_has() -> None:
    """`pip install ligand[audio]` must give what is looked for, in the versions that are tested."""
    for extra, asked in PROJECT["project"]["optional-dependencies"].items():
        assert {*asked} <= {*PROJECT["dependency-groups"][extra]}
        assert [name.replace("-", "_") for name in map(plain, asked)] == [*EXTRAS[extra].modules]


def test_the_locks_agree() -> None:
    """Tests with other versions than those that run prove nothing."""
    developed = pins("requirements-dev.lock").items()
    assert pins("requirements.lock").items() <= developed
    assert pins("requirements-build.lock").items() <= developed
    audio, dev = pins("requirements-audio.lock"), pins("requirements-dev.lock")  # one process imports both
    assert [name for name in audio.keys() & dev.keys() if audio[name] != dev[name]] == []
    assert "numpy" in pins("requirements.lock")


def documented(heading: str) -> set[str]:
    """The normalised package names in the first column of the table below `heading`."""
    text = (ROOT / "docs" / "dependencies.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert all(len([cell for cell in row.strip("|").split("|") if cell.strip()]) == 3 for row in rows)
    return {plain(name) for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_every_dependency_is_explained() -> None:
    """A person who installs this may ask of each package why it is there and under which licence."""
    runtime = {plain(requirement) for requirement in PROJECT["project"]["dependencies"]}
    groups = [*PROJECT["dependency-groups"]["build"], *PROJECT["dependency-groups"]["dev"]]
    assert documented("To run") == runtime
    assert documented("To sense") == {plain(entry) for extra in NAMES for entry in PROJECT["dependency-groups"][extra]}
    assert documented("To develop") == {plain(entry) for entry in groups if isinstance(entry, str)}


@pytest.mark.parametrize("name", ["signals", "services", "tools"])
def test_no_other_distribution_owns_our_names(name: str) -> None:
    """Two owners of one import name: which of them a daemon gets depends on the order of installation."""
    assert set(packages_distributions().get(name, [])) <= {"ligand"}


def test_our_packages_are_this_tree(tmp_path: Path) -> None:
    """Started from any folder, a daemon imports this project, not a neighbour of the same name."""
    show = "import signals, services, tools; print(*(p.__path__[0] for p in (signals, services, tools)))"
    done = subprocess.run([sys.executable, "-c", show], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(ROOT / name) for name in ("signals", "services", "tools")]


def test_data_travels_in_the_wheel(tmp_path: Path) -> None:
    """An installed Ligand without its contracts, manifests or units cannot start."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    data = [*ROOT.glob("signals/contracts/*.json"), *ROOT.glob("services/*/manifest.yaml")]
    wanted = {str(file.relative_to(ROOT)) for file in data}
    units = ROOT / "systemd"
    wanted |= {f"tools/systemd/{file.relative_to(units)}" for file in units.rglob("*") if file.is_file()}
    wanted |= {f"tools/locks/{lock}" for lock in LOCKS if lock != "requirements-dev.lock"}
    assert wanted - inside == set()
    assert [name for name in inside if name.startswith("tests/")] == []
