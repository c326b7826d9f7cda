"""What one process uses, as `/proc` tells it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Use:
    """Memory in KiB (proportional and resident), open descriptors, threads, processor seconds so far."""

    pss_kib: int
    rss_kib: int
    fds: int
    threads: int
    cpu_s: float

    @classmethod
    def of(cls, pid: int) -> Use:
        """Now. Raises `FileNotFoundError` or `ProcessLookupError` when the process has gone."""
        proc = Path(f"/proc/{pid}")
        memory = _fields(proc / "smaps_rollup")
        return cls(
            pss_kib=memory["Pss"],
            rss_kib=memory["Rss"],
            fds=len(os.listdir(proc / "fd")),
            threads=_fields(proc / "status")["Threads"],
            cpu_s=cpu_s(pid),
        )


def _fields(file: Path) -> dict[str, int]:
    """`Name:  12 kB` and `Name: 12` -> 12."""
    pairs = (line.split() for line in file.read_text().splitlines())
    return {pair[0].rstrip(":"): int(pair[1]) for pair in pairs if len(pair) >= 2 and pair[1].isdigit()}


def cpu_s(pid: int) -> float:
    """Processor seconds that a process has used, its threads included, its children not."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
