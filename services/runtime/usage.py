"""What this process uses, as every heartbeat tells it."""

from __future__ import annotations

import os


def usage() -> dict[str, int | float]:
    """`pid`, `rss_bytes` (resident memory) and `cpu_s` (processor time, user and system)."""
    times = os.times()
    return {"rss_bytes": _rss_bytes(), "cpu_s": round(times.user + times.system, 3), "pid": os.getpid()}


def _rss_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
