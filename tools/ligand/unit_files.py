"""The unit files of an installation, made from those in the tree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tools.ligand.layout import DEFAULT_PREFIX, Layout

KINDS = (".service", ".target", ".slice")
_SINCE = re.compile(r"since-(\d+)")
_KEY = re.compile(r"([A-Za-z]+)\s*=")
USER_KEYS = {
    "Type", "NotifyAccess", "Slice", "ExecStart", "ExecReload", "ExecStopPost", "WatchdogSec", "TimeoutStartSec",
    "TimeoutStopSec", "Restart", "RestartSec", "RestartPreventExitStatus", "UMask", "MemoryMax", "TasksMax",
    "NoNewPrivileges", "LockPersonality", "MemoryDenyWriteExecute", "RestrictAddressFamilies", "RestrictNamespaces",
    "RestrictRealtime", "RestrictSUIDSGID", "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber",
}  # fmt: skip
"""What of [Service] a user's manager can do without a user namespace; the rest needs the system's."""


def rendered(folder: Path, layout: Layout, systemd: int) -> dict[str, str]:
    """Name below the unit folder -> text, for this layout and this version of systemd.

    Drop-ins in `since-N/` are there only from version N on, once for each service that notifies.
    """
    units = {file.name: _unit(file.read_text(), layout) for file in sorted(folder.iterdir()) if file.suffix in KINDS}
    return units | _drop_ins(folder, units, systemd)


def services(units: Mapping[str, str]) -> list[str]:
    """The services among them that can be enabled as they are: no templates, no drop-ins."""
    names = (name for name in units if name.endswith(".service") and "/" not in name and "@." not in name)
    return sorted(name for name in names if "[Install]" in units[name])


def _drop_ins(folder: Path, units: Mapping[str, str], systemd: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for gate in sorted(folder.glob("since-*")):
        since = _SINCE.fullmatch(gate.name)
        if since is None or int(since[1]) > systemd:
            continue
        for file in sorted(gate.glob("*.conf")):
            text = file.read_text()
            notifying = (name for name, unit in units.items() if re.search("^Type=notify$", unit, re.MULTILINE))
            found |= {f"{name}.d/10-since-{since[1]}-{file.name}": text for name in notifying}
    return found


def _unit(text: str, layout: Layout) -> str:
    text = text.replace(f"{DEFAULT_PREFIX}/", f"{layout.prefix}/")
    return text if layout.system else _for_user(text)


def _for_user(text: str) -> str:
    """Without what only the system's manager can do; everything runs as one user anyway."""
    kept: list[str] = []
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line
        key = _KEY.match(line)
        if section == "[Service]" and key is not None and key[1] not in USER_KEYS:
            while kept and kept[-1].startswith("#"):
                kept.pop()  # what was said about it
            continue
        kept.append(line)
    whole = "\n".join(kept) + "\n"
    return whole.replace("UMask=0007", "UMask=0077").replace("WantedBy=multi-user.target", "WantedBy=default.target")
