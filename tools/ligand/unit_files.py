"""The unit files of an installation, made from those in the tree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tools.ligand.layout import DEFAULT_PREFIX, DEFAULT_STATE, Layout

KINDS = (".service", ".target", ".slice", ".path")
_SINCE = re.compile(r"since-(\d+)")
_KEY = re.compile(r"([A-Za-z]+)\s*=")
USER_KEYS = {
    "Type", "NotifyAccess", "Slice", "ExecStart", "ExecReload", "ExecStopPost", "WatchdogSec", "TimeoutStartSec",
    "TimeoutStopSec", "Restart", "RestartSec", "RestartPreventExitStatus", "UMask", "MemoryMax", "TasksMax",
    "NoNewPrivileges", "LockPersonality", "MemoryDenyWriteExecute", "RestrictAddressFamilies", "RestrictNamespaces",
    "RestrictRealtime", "RestrictSUIDSGID", "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber",
    "SyslogLevel", "LogLevelMax", "SuccessExitStatus",
}  # fmt: skip
"""What of [Service] a user's manager can do without a user namespace; the rest needs the system's."""


def rendered(folder: Path, layout: Layout, systemd: int) -> dict[str, str]:
    """Name below the unit folder -> text, for this layout and this version of systemd.

    Drop-ins in `since-N/` are there only from version N on, once for each service that notifies.
    """
    files = [file for file in sorted(folder.iterdir()) if file.suffix in KINDS]
    units = {file.name: _unit(file.read_text(), layout, words=file.suffix == ".service") for file in files}
    return units | _drop_ins(folder, units, systemd)


def services(units: Mapping[str, str]) -> list[str]:
    """What of them can be enabled as it is, the target apart: no templates, no drop-ins."""
    names = (name for name in units if name.endswith((".service", ".path")) and "/" not in name and "@." not in name)
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


def _unit(text: str, layout: Layout, *, words: bool) -> str:
    text = text.replace(f"{DEFAULT_PREFIX}/", f"{_named(layout.prefix, words=words)}/")
    text = text.replace(str(DEFAULT_STATE), _named(layout.state, words=words))
    return text if layout.system else _for_user(text)


def _named(path: Path, *, words: bool) -> str:
    """A path as a unit names it: no specifier of systemd, and where there are words, one word."""
    plain = str(path).replace("%", "%%")
    return plain.replace(" ", "\\x20") if words else plain


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
