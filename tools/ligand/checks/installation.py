"""What `ligand install` made: whether it is whole, and one version."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

from signals.paths import Paths
from tools.ligand.checks.finding import Finding, mend, note, ok
from tools.ligand.installed import Installed
from tools.ligand.layout import InstallError, Layout
from tools.text import clean

CHECK = "installation"
SHOWN = 3


def findings(paths: Paths) -> Iterator[Finding]:
    """How the installation is, the machine's where there is one; nothing without any, and for a home of its own."""
    if paths.home is not None:
        return
    machines = Layout.for_system(Layout.for_system().installed_prefix())
    is_machines = paths.is_machines or machines.signpost.exists() or machines.record.exists()
    yield from judged(machines if is_machines else Layout.for_user(Layout.for_user().installed_prefix()))


def judged(layout: Layout) -> Iterator[Finding]:
    """The same for one layout."""
    scope = "--system" if layout.system else "--user"
    again = f"`ligand install {scope}` puts it right, `ligand uninstall {scope}` removes what is there."
    if not layout.record.exists():
        if layout.signpost.exists():
            yield mend(CHECK, f"{layout.signpost} is there, and the program that it starts is not", again)
        return
    try:
        record = Installed.load(layout.record)
    except InstallError as error:
        yield mend(CHECK, clean(error.message), f"Then `ligand install {scope}`.")
        return
    if _is_changing(layout.lock):
        yield note(CHECK, "it is being changed just now", "Ask once more when that is over.")
    elif not record.current:
        yield mend(
            CHECK, f"one was begun in {layout.prefix} and broken off", f"{again} --purge removes what it left as well."
        )
    elif record.unfinished:
        yield _broken_off(record, scope)
    elif missing := list(_missing(layout, record)):
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        yield mend(CHECK, f"not there: {', '.join(map(clean, missing[:SHOWN]))}{more}", again)
    else:
        yield ok(CHECK, f"Ligand {record.version(record.current).version} in {layout.prefix}")


def _broken_off(record: Installed, scope: str) -> Finding:
    version, previous = record.version(record.current).version, record.previous
    if record.going_back:
        found = f"going back to Ligand {version} is not over; what runs may be of two versions"
        return mend(CHECK, found, f"Unless a command is at it now, go on: `ligand rollback {scope}`.")
    back = f" Or go back to {record.version(previous).version}: `ligand rollback {scope}`." if previous else ""
    found = f"the change to Ligand {version} is not over; what runs may be of two versions"
    return mend(CHECK, found, f"Unless a command is at it now, go on: `ligand install {scope}` as before.{back}")


def _missing(layout: Layout, record: Installed) -> Iterator[str]:
    """The program in use and the units, where they are not what is recorded; the rest nobody needs to run."""
    if not layout.link.is_symlink() or layout.link.readlink().name != record.current:
        yield f"{layout.link} that leads to {layout.versions.name}/{record.current}"
    elif not (layout.link / "bin" / "python").exists():
        yield f"{layout.link / 'bin' / 'python'}"
    yield from (file for file in record.files if Path(file).is_relative_to(layout.units) and not Path(file).exists())


def _is_changing(lock: Path) -> bool:
    """Whether a command is at it, as far as we may know."""
    try:
        file = lock.open()
    except OSError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
