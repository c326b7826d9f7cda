"""A virtual environment with one version of Ligand, made from the locks."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.ligand.layout import HOMES, InstallError, Layout
from tools.ligand.repacked import is_installed, repack
from tools.ligand.steps import run, run_tied

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements-build.lock", "requirements.lock")
IN_WHEEL = "tools/locks"
ROOM_BYTES = 300_000_000
LEAST_BYTES = 20_000_000
LEAST_PYTHON = (3, 11)
_COMPILE = """
import compileall, pathlib, sys
share, shares, *places = sys.argv[1:]
files = sorted(file for place in places for file in pathlib.Path(place).rglob("*.py"))
for file in files[int(share)::int(shares)]:
    compileall.compile_file(file, quiet=2)
"""
_PROBE = """
import sys
print("%d.%d" % sys.version_info[:2])
for name in ("venv", "ensurepip"):
    try:
        __import__(name)
    except ImportError:
        print(name)
"""
_PIN = re.compile(r"^([a-z0-9._-]+)==", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Source:
    """What is installed: a source tree or a wheel, each with the locks it was tested with."""

    path: Path

    @classmethod
    @contextmanager
    def of(cls, given: Path | None) -> Iterator[Source]:
        """What was named, else what this runs from: a tree, or an installed wheel. Raises `InstallError`."""
        path = (given or ROOT).absolute()
        if (path / "pyproject.toml").is_file() or (path.suffix == ".whl" and path.is_file()):
            yield cls(path)
            return
        if given is None and is_installed(ROOT):
            with tempfile.TemporaryDirectory(prefix="ligand-") as folder:
                yield cls(repack(Path(folder)))
            return
        raise InstallError(f"{path} is neither Ligand's source tree nor a wheel. Name one: --from ligand-X.whl")

    @property
    def is_wheel(self) -> bool:
        return self.path.suffix == ".whl"

    @contextmanager
    def opened(self) -> Iterator[Path]:
        """A folder with the packages of what would be installed, to look into. Raises `InstallError`."""
        if not self.is_wheel:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="ligand-") as folder:
            try:
                with zipfile.ZipFile(self.path) as wheel:
                    wheel.extractall(folder)
            except (OSError, zipfile.BadZipFile) as error:
                raise InstallError(f"{self.path} cannot be opened: {error}.") from error
            yield Path(folder)

    def lock(self, name: str) -> str:
        """A lock's text. Raises `InstallError` when it is not there."""
        try:
            if not self.is_wheel:
                return (self.path / name).read_text(encoding="utf-8")
            with zipfile.ZipFile(self.path) as wheel:
                return wheel.read(f"{IN_WHEEL}/{name}").decode()
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise InstallError(f"{self.path} has no {name}; it is no complete Ligand.") from error

    def digest(self, python: Path) -> str:
        """SHA-256 of everything that decides what gets installed."""
        found = hashlib.sha256(str(python.resolve()).encode())
        for file in [self.path] if self.is_wheel else self._files():
            found.update(b"\0" + str(file.relative_to(self.path.parent)).encode() + b"\0" + file.read_bytes())
        return found.hexdigest()

    def _files(self) -> Iterable[Path]:
        yield from (self.path / name for name in ("pyproject.toml", *LOCKS))
        for folder in ("signals", "services", "tools", "systemd"):
            for file in sorted((self.path / folder).rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    yield file


def interpreter(layout: Layout, given: Path | None) -> Path:
    """The Python to make it with: the one named, the system's, or this one. Raises `InstallError`."""
    ours = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    faults: dict[Path, str] = {}
    for candidate in [given.absolute()] if given else [Path("/usr/bin/python3"), ours]:
        faults[candidate] = _fault(candidate, layout)
        if not faults[candidate]:
            return candidate
    said = "".join(f"\n  {path}: {fault}" for path, fault in faults.items())
    raise InstallError(f"No Python that can be used:{said}\nMend that, or name another: --python /usr/bin/python3.12")


def _fault(python: Path, layout: Layout) -> str:
    """Why no environment for these daemons can be made with it; empty when one can."""
    if not python.exists():
        return "it is not there"
    if layout.system and any(python.resolve().is_relative_to(home) for home in HOMES):
        return "it lies in a home folder, which the daemons cannot see"
    try:
        version, *missing = run([str(python), "-c", _PROBE]).split()
    except (InstallError, ValueError) as error:
        return f"it does not run: {error}"
    if tuple(map(int, version.split("."))) < LEAST_PYTHON:
        return f"it is {version}, and Ligand needs {'.'.join(map(str, LEAST_PYTHON))} or newer"
    if missing:
        return f"it has no {' and no '.join(missing)}; on Debian and Ubuntu: apt install python{version}-venv"
    return ""


def build(folder: Path, source: Source, python: Path) -> None:
    """Make the environment in `folder`, of pinned and hashed packages only.

    Raises `InstallError` or `OSError`; then it is gone.

    What is needed for building alone is taken out again at the end.
    """
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        run_tied(python, "-m", "venv", "--clear", str(folder))
        _fill(folder, source)
    except (InstallError, OSError, KeyboardInterrupt) as error:
        free = shutil.disk_usage(folder.parent).free
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, InstallError) and free < LEAST_BYTES:
            room = (
                f"Only {free / 1e6:.0f} MB were free in {folder.parent}; a version takes about {ROOM_BYTES / 1e6:.0f}."
            )
            raise InstallError(f"{error.message}\n{room}") from error
        raise


def _fill(folder: Path, source: Source) -> None:
    locks = {name: source.lock(name) for name in LOCKS}
    for name, text in locks.items():
        (folder / name).write_text(text, encoding="utf-8")
        how = ("--no-compile", "--no-build-isolation", "--require-hashes")
        _pip(folder, "install", *how, "--requirement", str(folder / name))
    _pip(folder, "install", "--no-compile", "--no-deps", "--no-build-isolation", str(source.path))
    only_building = set(_PIN.findall(locks["requirements-build.lock"])) - set(_PIN.findall(locks["requirements.lock"]))
    _pip(folder, "uninstall", "--yes", *sorted(only_building - {"pip"}))
    byte_compile(folder)


def byte_compile(folder: Path, *packages: str) -> None:
    """Byte-compile these packages, or all, on every core: daemons may write nothing there, and would do it each time.

    pip does it on one core. What is for another Python stays as it is.
    """
    (place,) = folder.glob("lib/python3*/site-packages")
    places = [str(place / name) for name in packages] or [str(place)]
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as threads:
        python, compiling = folder / "bin" / "python", ("-I", "-W", "ignore", "-c", _COMPILE)
        ended = [threads.submit(run_tied, python, *compiling, str(nth), str(cores), *places) for nth in range(cores)]
    for one in ended:
        one.result()


def _pip(folder: Path, *arguments: str) -> None:
    pip = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")
    run_tied(folder / "bin" / "python", *pip, *arguments)


def version(folder: Path) -> str:
    """The version of Ligand in an environment."""
    show = "from importlib.metadata import version; print(version('ligand'))"
    return run([str(folder / "bin" / "python"), "-I", "-c", show]).strip()


def units(folder: Path) -> Path:
    """Where the units lie in an environment, or in the tree. Raises `InstallError`."""
    return folder / "systemd" if (folder / "systemd").is_dir() else package(folder, "tools") / "systemd"


def package(folder: Path, name: str) -> Path:
    """Where a package of Ligand lies in an environment, or in the tree. Raises `InstallError`."""
    if (folder / name).is_dir():
        return folder / name
    found = sorted(folder.glob(f"lib/python3*/site-packages/{name}"))
    if not found:
        raise InstallError(f"{folder} holds no Ligand: {name} is missing. Install again.")
    return found[0]
