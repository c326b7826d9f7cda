"""`ligand grant`, `revoke`, `grants`: what of a person's files a daemon sees, under `ProtectHome=yes` nothing else.

A grant is a line in `grants.json`, a drop-in of the daemon's unit made from those lines, and an access control list
on the path for the daemon's user.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from services.runtime.manifest import load_all
from signals.errors import LigandError
from tools.ligand import acl
from tools.ligand.changing import changing
from tools.ligand.instances import listed
from tools.ligand.layout import InstallError, Layout
from tools.ligand.manager import Manager
from tools.ligand.steps import Steps
from tools.ligand.unit_names import unit_of

Access = Literal["read", "write"]
DROP_IN = "50-grants.conf"
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
NEVER = tuple(
    map(Path, ("/proc", "/sys", "/dev", "/run", "/boot", "/etc", "/usr", "/bin", "/sbin", "/lib", "/var/lib/ligand"))
)
_PLAIN = re.compile(r"[^\x00-\x1f\x7f\"'\\:$]+")


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One daemon, one path."""

    daemon: str
    path: str
    access: Access

    @property
    def in_home(self) -> bool:
        return any(Path(self.path).is_relative_to(home) for home in HOMES)


class Grants:
    """Every grant of a system installation. Each change is complete: file, drop-in, list, restart."""

    def __init__(self, layout: Layout, steps: Steps, manager: Manager) -> None:
        self.layout = layout
        self.steps = steps
        self.manager = manager
        self._file = layout.config / "grants.json"
        self.all = _load(self._file)

    def add(self, daemon: str, path: Path, access: Access) -> Grant:
        """Let a daemon read, or read and write, what is at `path` and beneath. Raises `InstallError`."""
        user = self._user(daemon)
        grant = Grant(daemon, str(_granted(path, self.layout)), access)
        others = tuple(one for one in self.all if (one.daemon, one.path) != (daemon, grant.path))
        rights = "rwX" if access == "write" else "rX"
        with acl.held(Path(grant.path)) as top:
            self.steps.do(f"let {user} {access} {grant.path} (setfacl)", lambda: acl.give(top, user, rights))
        self._save((*others, grant), daemon)
        return grant

    def remove(self, daemon: str, path: Path) -> None:
        """Take a grant back. Raises `InstallError` when there is none."""
        wanted = {str(path.absolute()), str(path.resolve())}
        found = [one for one in self.all if one.daemon == daemon and one.path in wanted]
        if not found:
            raise InstallError(f"{daemon} has no grant for {path}. `ligand grants` lists what there is.")
        self._save(tuple(one for one in self.all if one not in found), daemon)
        user = self._user(daemon)
        for one in found:
            self._close(Path(one.path), user)

    def _close(self, path: Path, user: str) -> None:
        try:
            with acl.held(path) as top:
                self.steps.do(f"take {path} from {user} (setfacl)", lambda: acl.take(top, user))
        except InstallError as error:
            self.steps.note(f"{error.message} What was moved away keeps its access control list.")

    def remove_all(self) -> None:
        """Take every grant back; of a daemon that is gone only a note is left."""
        for one in self.all:
            try:
                self.remove(one.daemon, Path(one.path))
            except InstallError as error:
                self.steps.note(f"{one.path} keeps its access control list for {one.daemon}: {error.message}")

    def _user(self, daemon: str) -> str:
        manifests = load_all(self.layout.config / "daemons.d")
        name = daemon.partition("@")[0]
        if name not in manifests:
            raise InstallError(f"There is no daemon {name!r}. Known: {', '.join(sorted(manifests))}")
        instances = {one.daemon: one for one in listed(manifests.values(), self.layout.config)}
        if daemon in instances:
            return instances[daemon].user
        if daemon != name or manifests[name].instances:
            ours = ", ".join(one for one in instances if one.startswith(f"{name}@")) or "none; bus.yaml lists them"
            raise InstallError(f"There is no daemon {daemon!r}. Its instances here: {ours}")
        return manifests[name].system_user

    def _save(self, grants: Sequence[Grant], daemon: str) -> None:
        self.all = tuple(sorted(grants))
        self.steps.write(self._file, json.dumps([asdict(one) for one in self.all], indent=2) + "\n")
        unit = unit_of(daemon)
        drop_in = self.layout.units / f"{unit}.d" / DROP_IN
        own = [one for one in self.all if one.daemon == daemon]
        if own:
            self.steps.write(drop_in, drop_in_for(own))
        else:
            self.steps.remove(drop_in)
            self.steps.remove_folder(drop_in.parent)
        self.steps.do("reload the units", lambda: self.manager.systemctl("daemon-reload"))
        if unit in self.manager.running():
            self.steps.do(f"restart {unit}", lambda: self.manager.systemctl("restart", unit))


def drop_in_for(grants: Sequence[Grant]) -> str:
    """The drop-in of one daemon's unit."""
    lines = ["# made by `ligand grant`; `ligand grants` lists them, `ligand revoke` takes one back", "[Service]"]
    if any(one.in_home for one in grants):
        lines.append("ProtectHome=tmpfs")
    for one in grants:
        key = {"read": "BindReadOnlyPaths", "write": "BindPaths"}[one.access] if one.in_home else "ReadWritePaths"
        if one.in_home or one.access == "write":
            # "-": a daemon whose granted folder has gone starts without it
            lines.append(f'{key}="-{one.path.replace("%", "%%")}"')
    return "\n".join(lines) + "\n"


def _load(file: Path) -> tuple[Grant, ...]:
    try:
        return tuple(sorted(Grant(**one) for one in json.loads(file.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        raise InstallError(f"{file} cannot be read: {error}. Mend it by hand.") from error


def _granted(path: Path, layout: Layout) -> Path:
    """The real path, when it is one that may be granted. Raises `InstallError`."""
    try:
        real = path.resolve(strict=True)
    except OSError as error:
        raise InstallError(f"{path}: {error.strerror}. Only what is there can be granted.") from error
    closed = (*NEVER, layout.prefix, layout.config, layout.state)
    if len(real.parts) < 3 or any(real.is_relative_to(one) or one.is_relative_to(real) for one in closed):
        raise InstallError(f"{real} is too much to give to a daemon. Grant one folder or file of yours.")
    if not _PLAIN.fullmatch(str(real)):
        raise InstallError(
            f"{real!s} has a character that a unit cannot name (quote, colon, backslash, dollar, control)."
        )
    return real


@contextmanager
def _grants(dry: bool = False) -> Iterator[Grants]:
    if os.getuid() != 0:
        raise InstallError("Grants belong to a system installation: use sudo. Daemons of --user see what you see.")
    layout = Layout.for_system()
    if not layout.units.joinpath("ligand.target").exists():
        raise InstallError("Ligand is not installed for the machine. `ligand install --system` does that.")
    os.umask(0o022)
    with nullcontext() if dry else changing(layout.lock):
        yield Grants(layout, Steps(click.echo, dry=dry), Manager(system=True))


@click.command()
@click.argument("daemon")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--read", "access", flag_value="read", help="It may read what is there.")
@click.option("--write", "access", flag_value="write", help="It may read and write it.")
@click.option("--dry-run", is_flag=True, help="Show every step and do none.")
def grant(daemon: str, path: Path, access: Access | None, dry_run: bool) -> None:
    """Let DAEMON see PATH and what is beneath; it is restarted."""
    if access is None:
        raise click.UsageError("Say which: --read or --write.")
    try:
        with _grants(dry_run) as grants:
            given = grants.add(daemon, path, access)
    except LigandError as error:
        raise click.ClickException(error.message) from error
    click.echo(f"{given.daemon} may {given.access} {given.path}")


@click.command()
@click.argument("daemon")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show every step and do none.")
def revoke(daemon: str, path: Path, dry_run: bool) -> None:
    """Take back what DAEMON was granted of PATH; it is restarted."""
    try:
        with _grants(dry_run) as grants:
            grants.remove(daemon, path)
    except LigandError as error:
        raise click.ClickException(error.message) from error


@click.command("grants")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to show."
)
def grants_list(output: str) -> None:
    """List what each daemon was granted."""
    try:
        found = _load(Layout.for_system().config / "grants.json")
    except LigandError as error:
        raise click.ClickException(error.message) from error
    if output == "json":
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
        return
    for one in found:
        click.echo(f"{one.daemon:<24} {one.access:<6} {one.path}")
