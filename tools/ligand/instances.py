"""The instances of template daemons that `bus.yaml` lists: their units, their users, their configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from services.runtime import config
from services.runtime.manifest import Manifest
from tools.ligand.layout import InstallError
from tools.ligand.unit_names import unit_of

_USER = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,30}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a template daemon."""

    manifest: Manifest
    name: str

    @property
    def daemon(self) -> str:
        """Its name on the bus."""
        return f"{self.manifest.daemon}@{self.name}"

    @property
    def unit(self) -> str:
        return unit_of(self.daemon)

    @property
    def user(self) -> str:
        """The user of its own."""
        return self.manifest.instance(self.name).system_user


def listed(manifests: Iterable[Manifest], configuration: Path) -> list[Instance]:
    """Every instance that the bus's configuration lists, else a daemon's usual ones; none of a disabled daemon.

    Raises `LigandError` for a file that cannot be used.
    """
    known = {manifest.daemon: manifest for manifest in manifests}
    bus = config.load(configuration / "bus.yaml", known["bus"].config, daemon="bus")
    return [
        Instance(manifest, _checked(daemon, name))
        for daemon, manifest in sorted(known.items())
        if manifest.instances and daemon not in bus["disable"]
        for name in bus["instances"].get(daemon, manifest.usual)
    ]


def disabled(manifests: Iterable[Manifest], configuration: Path) -> list[str]:
    """The daemons that the bus's configuration says do not run here. Raises `LigandError` as `listed` does."""
    (schema,) = (manifest.config for manifest in manifests if manifest.daemon == "bus")
    found: list[str] = config.load(configuration / "bus.yaml", schema, daemon="bus")["disable"]
    return found


def _checked(daemon: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InstallError(
            f"bus.yaml lists {name!r} as an instance of {daemon}; use letters, digits, dots, dashes and underscores."
        )
    return name


def users(instances: Iterable[Instance]) -> str:
    """The users of the instances, as sysusers.d(5) reads them. Raises `InstallError` for a name that cannot be one."""
    lines = ["# made by `ligand install` from the instances in bus.yaml"]
    for one in instances:
        if not _USER.fullmatch(one.user):
            raise InstallError(
                f"The instance {one.daemon} would run as the user {one.user!r}, which no user can be called "
                "(31 letters, digits, dashes and underscores at most). Give it a shorter or plainer name."
            )
        lines += [f'u {one.user} - "Ligand {one.daemon}" /var/lib/ligand/{one.daemon}', f"m {one.user} ligand"]
    return "\n".join(lines) + "\n"
