"""`python -m tests.support.quick UNPACKED …` is `ligand …`, but an installation copies the packages that it needs.

What is skipped is what pip does with pinned packages; the environment is the same otherwise. And daemons that are
ready are looked at again after half a second only. The tests of a wheel, of a person's own Ligand and of a killed
installation do neither.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tools.ligand import environment, manager
from tools.ligand.__main__ import main
from tools.ligand.steps import run_tied

_FIRST = re.compile(rb"#!\S+/bin/python\S*")


def build(folder: Path, source: environment.Source, python: Path) -> None:
    """An environment with Ligand from that source."""
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    subprocess.run(["cp", "--archive", UNPACKED, folder], check=True)
    new = f"#!{folder}/bin/python"
    for script in (one for one in (folder / "bin").iterdir() if one.is_file() and not one.is_symlink()):
        script.write_bytes(_FIRST.sub(new.encode(), script.read_bytes(), count=1))
    pip = ("-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps", "--no-build-isolation")
    run_tied(folder / "bin" / "python", *pip, str(source.path))


UNPACKED = sys.argv.pop(1)
environment.build = build
manager.SETTLED_S = 0.5
main()
