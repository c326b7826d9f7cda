"""The steps of an installation: what they do to the disk, and what they leave when they fail."""

from __future__ import annotations

import os
import resource
import sys
import zipfile
from pathlib import Path

import click
import pytest

from tools.ligand.changing import told
from tools.ligand.environment import Source, build, interpreter
from tools.ligand.layout import InstallError, Layout
from tools.ligand.steps import Steps

ROOT = Path(__file__).resolve().parents[3]


def test_what_is_removed_whole_is_no_link_and_may_be_nested_beyond_measure(tmp_path: Path) -> None:
    """A purge does not run into a person's disk behind a link, and says so; a runaway script does not end it."""
    said: list[str] = []
    steps = Steps(said.append)
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    steps.remove_tree(tmp_path / "link")
    assert said == [
        f"{tmp_path}/link is a link to {tmp_path}/disk: it stays, and what it leads to; remove them yourself"
    ]
    (tmp_path / "deep").mkdir()
    here = os.open(tmp_path / "deep", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    steps.remove_tree(tmp_path / "deep")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link"]


def test_a_full_disk_is_told_with_the_file_that_had_no_room(tmp_path: Path) -> None:
    """Who reads why a grant was not recorded is sent to the right disk, and what was recorded before is whole."""
    file = tmp_path / "grants.json"
    file.write_text("[]")
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        with pytest.raises(click.ClickException, match=f"{file}: File too large. Mend that"), told():
            Steps(lambda _: None).write(file, "[1]")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))
    assert file.read_text() == "[]"


def test_a_dry_run_touches_nothing(tmp_path: Path) -> None:
    """Every step is said with `would`, and none is done."""
    said: list[str] = []
    steps = Steps(said.append, dry=True)
    (tmp_path / "there").write_text("x")
    steps.write(tmp_path / "new", "text")
    steps.link(tmp_path / "link", tmp_path)
    steps.folder(tmp_path / "folder")
    steps.remove(tmp_path / "there")
    steps.run("false")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert len(said) == 5
    assert all(line.startswith("would ") for line in said)


def test_a_persons_own_file_is_not_replaced_by_a_link(tmp_path: Path) -> None:
    """Somebody else's program called `ligand` stays where it is."""
    (tmp_path / "ligand").write_text("mine")
    with pytest.raises(InstallError, match="is no link"):
        Steps(lambda _: None).link(tmp_path / "ligand", tmp_path)
    assert (tmp_path / "ligand").read_text() == "mine"


def test_what_is_no_ligand_is_not_installed(tmp_path: Path) -> None:
    """A wrong --from ends at once, with what would be right."""
    with pytest.raises(InstallError, match="neither Ligand's source tree nor a wheel"), Source.of(tmp_path):
        pass


def test_what_ends_a_build_leaves_no_half_of_one(tmp_path: Path) -> None:
    """Where the disk is full, the part of a version that was made does not go on filling it."""
    python, folder = tmp_path / "python", tmp_path / "versions" / "0001"
    in_the_way = f"#!/bin/sh\nmkdir -p {folder}/requirements-build.lock\n"  # of the first file that is ours
    python.write_text(in_the_way)
    python.chmod(0o755)
    with pytest.raises(OSError, match=r"requirements-build\.lock"):
        build(folder, Source(ROOT), python)
    assert not folder.exists()


def test_a_python_without_what_an_installation_needs_is_named_with_what_to_do(tmp_path: Path, monkeypatch) -> None:
    """On a fresh Debian the one package that is missing is said, not that there is no Python."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "ensurepip.py").write_text("raise ImportError('not installed')\n")
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}/without" exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    layout = Layout.for_user(environ={"HOME": str(tmp_path)})
    minor = f"3.{sys.version_info.minor}"
    with pytest.raises(InstallError, match=f"{python}: it has no ensurepip; .*apt install python{minor}-venv"):
        interpreter(layout, python)
    python.write_text("#!/bin/sh\necho 3.10\n")
    with pytest.raises(InstallError, match=r"it is 3\.10, and Ligand needs 3\.11 or newer"):
        interpreter(layout, python)
    with pytest.raises(InstallError, match="none: it is not there"):
        interpreter(layout, tmp_path / "none")
    monkeypatch.chdir(Path(sys.executable).parent)
    assert interpreter(layout, Path(Path(sys.executable).name)) == Path(sys.executable)


def test_a_wheel_brings_the_locks_it_was_tested_with(tmp_path: Path) -> None:
    """An upgrade from a wheel installs what that version was tested with, not what this one was."""
    wheel = tmp_path / "ligand-9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("tools/locks/requirements.lock", "pinned==1\n")
    with Source.of(wheel) as source, Source.of(wheel) as again:
        assert source.lock("requirements.lock") == "pinned==1\n"
        with pytest.raises(InstallError, match=r"has no requirements-build\.lock"):
            source.lock("requirements-build.lock")
        assert source.digest(Path("/usr/bin/python3")) == again.digest(Path("/usr/bin/python3"))
