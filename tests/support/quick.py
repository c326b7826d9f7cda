"""`python -m tests.support.quick UNPACKED …` is `ligand …`, but an installation copies the packages that it needs.

What is skipped is what pip does with pinned packages; the environment is the same otherwise. And daemons that are
ready are looked at again after half a second only. The tests of a wheel and of a killed installation do neither.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.ligand import environment, manager
from tools.ligand.__main__ import main
from tools.ligand.steps import run_tied

POOL = Path("/srv/.unpacked")
"""On the machine: what the environments of several versions share, as hard links."""
_FIRST = re.compile(rb"#!\S+/bin/python\S*")


def begin(unpacked: Path) -> None:
    """From now on installations are made from that environment."""

    def build(folder: Path, source: environment.Source, python: Path) -> None:
        """An environment with Ligand from that source."""
        folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _copy(unpacked, folder)
        _rename(folder)
        pip = ("-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps", "--no-build-isolation")
        run_tied(folder / "bin" / "python", *pip, "--no-compile", str(source.path))
        environment.byte_compile(folder, "signals", "services", "tools")

    environment.build = build
    manager.SETTLED_S = 0.5


def _copy(unpacked: Path, folder: Path) -> None:
    """Of root's environments each is made of hard links; a person cannot make links to what is root's."""
    if os.getuid() != 0:
        subprocess.run(["cp", "--recursive", "--preserve=links,mode", unpacked, folder], check=True)
        return
    if not POOL.is_dir():
        subprocess.run(["cp", "--archive", unpacked, POOL.with_suffix(".new")], check=True)
        POOL.with_suffix(".new").rename(POOL)
    subprocess.run(["cp", "--archive", "--link", POOL, folder], check=True)


def _rename(folder: Path) -> None:
    """Have the scripts, in files of their own, name the Python of this environment."""
    new = f"#!{folder}/bin/python"
    for script in (one for one in (folder / "bin").iterdir() if one.is_file() and not one.is_symlink()):
        own = script.with_name(f".{script.name}")
        own.write_bytes(_FIRST.sub(new.encode(), script.read_bytes(), count=1))
        shutil.copystat(script, own)
        own.replace(script)


if __name__ == "__main__":
    begin(Path(sys.argv.pop(1)))
    main()
