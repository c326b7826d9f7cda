"""Whether the machine is short of memory, by the kernel's own measure (PSI, Documentation/accounting/psi.rst)."""

from __future__ import annotations

import re
from pathlib import Path

from services.runtime import Unavailable

FILES = (Path("/proc/pressure/memory"), Path("/sys/fs/cgroup/memory.pressure"))
"""The second is what a unit sees that is shown no more of /proc than its processes."""
AGAIN_S = 15.0
BACKGROUND = frozenset({"normal", "low"})
_SOME = re.compile(r"^some avg10=([\d.]+)", re.MULTILINE)


def waiting(files: tuple[Path, ...] = FILES) -> float | None:
    """Per cent of the last 10 s in which some work waited for memory; None where the kernel does not say."""
    for file in files:
        try:
            found = _SOME.search(file.read_text())
        except OSError:
            continue
        if found:
            return float(found[1])
    return None


def admit(priority: str, most: float, files: tuple[Path, ...] = FILES) -> None:
    """Raise `Unavailable` for work that can wait, while more than `most` per cent of the time goes in waiting."""
    if priority in BACKGROUND and (now := waiting(files)) is not None and now > most:
        why = f"Memory is short (work waited for it {now:g} % of the last 10 s, more than {most:g} %); this can wait."
        raise Unavailable(why, retry_in=AGAIN_S)
