"""Run as root by `ExecStartPre=` and `ExecStartPost=` of a daemon that has grants: mount what was granted, unmount it.

`python -m tools.ligand.hold_grants hold|release DAEMON`. The path is opened without following a link and compared with
what was granted; the open descriptor is then mounted in a folder of root's, from where systemd binds it into the
daemon's view. Nobody can put anything else in its place between the check and the bind.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.ligand.granted import HELD, Grant, identity, load
from tools.ligand.layout import InstallError, Layout
from tools.ligand.steps import run
from tools.ligand.tree import held


def hold(grants: Sequence[Grant]) -> list[str]:
    """Mount each of these; what is wrong with those that could not be, in sentences."""
    wrong: list[str] = []
    for one in grants:
        try:
            with held(Path(one.path)) as found:
                _mount(one, found)
        except (InstallError, OSError) as error:
            wrong.append(f"{one.daemon} starts without {one.path}: {error}")
    return wrong


def release(daemon: str) -> None:
    """Unmount whatever is mounted for a daemon. The daemon's own view of it stays. Raises `InstallError`."""
    folder = HELD / daemon
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        while _mounted(place):
            run(["mount", "--no-canonicalize", "--make-rslave", str(place)])
            run(["umount", "--no-canonicalize", "--lazy", str(place)])
        if place.is_dir():
            place.rmdir()
        else:
            place.unlink()
    if folder.is_dir():
        folder.rmdir()


def _mount(grant: Grant, found: int) -> None:
    if identity(found) != grant.object:
        raise InstallError("it is not what was granted, something else was put there. Revoke it, then grant it again.")
    HELD.mkdir(mode=0o700, exist_ok=True)
    grant.held.parent.mkdir(mode=0o700, exist_ok=True)
    if stat.S_ISDIR(os.fstat(found).st_mode):
        grant.held.mkdir(mode=0o700)
    else:
        grant.held.touch(mode=0o600)
    # not canonicalized: mount(8) would go by the name again, the kernel goes by the descriptor. A slave: what is
    # unmounted there must not be unmounted where the person has it, and what they mount later is seen
    command = ["mount", "--no-canonicalize", "--rbind", "--make-rslave", f"/proc/self/fd/{found}", str(grant.held)]
    run(command, pass_fds=[found])


def _mounted(place: Path) -> bool:
    """Whether something is mounted there; `os.path.ismount` cannot tell for a file."""
    return any(line.split()[4] == str(place) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def main(what: str, daemon: str) -> int:
    """0 when all is held, or released."""
    try:
        release(daemon)
        ours = load(Layout.for_system().config / "grants.json") if what == "hold" else ()
        wrong = hold([one for one in ours if one.daemon == daemon and one.is_given and one.bound])
    except (InstallError, OSError) as error:
        wrong = [str(error)]
    for said in wrong:
        print(said, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
