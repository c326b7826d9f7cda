"""Names of systemd's units, as systemctl(1) takes them."""

from __future__ import annotations

KINDS = (
    "service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope",
)  # fmt: skip


def whole(name: str) -> str:
    """The unit's whole name: what names no kind is a service."""
    stem, _, kind = name.rpartition(".")
    return name if stem and kind in KINDS else f"{name}.service"
