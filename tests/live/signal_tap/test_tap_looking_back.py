"""Looking back needs neither a bus nor a right to write."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from tests.live.signal_tap.conftest import telling
from tests.support.commands import environment
from tests.support.constellation import ROOT

BACK = (
    "signal_tap show", "signal_tap -T", "signal_tap get {item}", "signal_tap trace {bad}", "signal_tap types",
    "signal_tap info Q_ITEM_START", "signal_tap consumers", "signal_tap hz -T", "signal_tap bw -T", "signal_tap delay",
    "signal_tap top", "signal_tap dead list", "signal_tap dead show 1", "signal_tap gaps", "signal_tap record {new} -T",
    "signal_tap validate {new}", "signal_tap play {new} --dry-run", "ligand why {bad}", "ligand journal stats",
    "ligand journal export -", "ligand map", "ligand config show",
)  # fmt: skip
ALL = """
import sys
from pathlib import Path
from tests.support.commands import within
try:
    Path(sys.argv[1], "mine").touch()
    print("it may write there")
except PermissionError:
    pass
for line in sys.stdin:
    program, *arguments = line.split()
    done = within(program, Path(sys.argv[1]), *arguments)
    if done.code or not (done.out or done.err) or "Traceback" in done.err:
        print(line.strip(), done.code, done.err)
"""
MAY_NOT = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"] if os.geteuid() == 0 else []
"""Who runs this may not write where the mode does not say so, root neither."""


def modes(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file() and path.suffix != ".db-shm"}


def test_every_verb_that_looks_back_reads_only_and_with_the_bus_down(tmp_path: Path) -> None:
    """Just when the bus is down a person looks for why; and who may only read must be able to."""
    home = tmp_path / "home"
    with telling(home) as told:
        numbers = {"{item}": str(told.items[0]), "{bad}": str(told.items[-1]), "{new}": str(tmp_path / "recording")}
    words = "\n".join(BACK)
    for name, number in numbers.items():
        words = words.replace(name, number)
    before = modes(home)
    places = [home, *home.rglob("*")]
    for place in places:
        place.chmod(stat.S_IMODE(place.stat().st_mode) & ~0o222)
    try:
        done = subprocess.run(
            [*MAY_NOT, sys.executable, "-c", ALL, str(home)],
            input=words, capture_output=True, text=True, env=environment(None), cwd=ROOT, timeout=500, check=False,
        )  # fmt: skip
    finally:
        for place in places:
            place.chmod(stat.S_IMODE(place.stat().st_mode) | stat.S_IWUSR)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert modes(home) == before
