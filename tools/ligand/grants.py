"""`ligand grant`, `revoke`, `grants`: what of a person's files a daemon sees, under `ProtectHome=yes` nothing else.

A grant is a line in `grants.json`, a drop-in of the daemon's unit made from those lines, and an access control list
on the path for the daemon's user.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import click

from services.runtime.commands import form_option, say_json
from services.runtime.manifest import load_all
from tools.ligand import acl
from tools.ligand.changing import changing, told
from tools.ligand.doubtful import TEMPORARY, closed_above, doubts
from tools.ligand.granted import Access, Grant, drop_in_for, identity, load
from tools.ligand.instances import listed
from tools.ligand.layout import HOMES, InstallError, Layout
from tools.ligand.manager import Manager
from tools.ligand.steps import Steps
from tools.ligand.tree import held
from tools.ligand.unit_names import unit_of
from tools.text import clean

DROP_IN = "50-grants.conf"
NEVER = tuple(
    map(Path, ("/proc", "/sys", "/dev", "/run", "/boot", "/etc", "/usr", "/bin", "/sbin", "/lib", "/var/lib/ligand"))
)
_PLAIN = re.compile(r"[^\x00-\x1f\x7f\"'\\:$\ud800-\udfff]+")


class Grants:
    """Every grant of a system installation. Each change is complete: file, drop-in, list, restart.

    `stopped`: no daemon runs by now, or none would in a dry run.
    """

    def __init__(self, layout: Layout, steps: Steps, manager: Manager, *, stopped: bool = False) -> None:
        self.layout = layout
        self.steps = steps
        self.manager = manager
        self._stopped = stopped
        self._file = layout.config / "grants.json"
        self.all = load(self._file)

    def add(self, daemon: str, path: Path, access: Access, *, anyway: bool = False) -> Grant:
        """Let a daemon read, or read and write, what is at `path` and beneath. Raises `InstallError`.

        `anyway`: also what people seldom mean to give. It is recorded before the first list is set: killed in between
        it is listed, and can be taken back.
        """
        user = self._user(daemon)
        real = _granted(path, self.layout)
        if not anyway and (why := doubts(real, write=access == "write")):
            raise InstallError(f"{real} is much to give: {'; '.join(why)}. Grant a folder in it, or add --anyway.")
        _require_way(real, daemon, user)
        others = tuple(one for one in self.all if (one.daemon, one.path) != (daemon, str(real)))
        with held(real) as top:
            self._require_same(daemon, real, identity(top))
            grant = Grant(daemon, str(real), access, identity(top), user, _number(user), "pending")
            self._record((*others, grant))
            self._let(grant, top)
        self._give_again(grant, above=False)
        self._record((*others, replace(grant, state="opening")))
        self._rebind(daemon)
        self._restart(daemon)
        return replace(grant, state="open")

    def _let(self, grant: Grant, top: int) -> None:
        what = f"let {grant.user} {grant.access} {grant.path}"
        try:
            self._lists(what, lambda: acl.give(top, grant.uid, grant.rights))
        except InstallError as error:
            raise InstallError(
                f"{error.message} The grant stays listed as pending. Mend that and grant it again, or take it back: "
                f"{_revoking(grant.daemon, grant.path)}"
            ) from error

    def _lists(self, what: str, change: Callable[[], list[str]]) -> None:
        """Change access control lists, and say where there are none."""
        left_out: list[str] = []
        self.steps.do(f"{what} (access control lists)", lambda: left_out.extend(change()))
        for said in left_out:
            self.steps.note(said)

    def _require_same(self, daemon: str, path: Path, found: str) -> None:
        """Raise `InstallError` when something else was granted by this name: it may still be open, elsewhere."""
        before = [one for one in self.all if (one.daemon, one.path) == (daemon, str(path))]
        if any(one.object not in ("", found) for one in before):
            raise InstallError(
                f"{path} was granted to {daemon} before, and is another now. What was granted then may still be open "
                f"to it, wherever it is. Take that back first: {_revoking(daemon, path)}"
            )

    def remove(self, daemon: str, path: Path, *, forget: bool = False) -> bool:
        """Take a grant back; `forget`: also from the list when its access could not be taken.

        Whether it is listed no more. Raises `InstallError` when there is none.
        """
        wanted = {str(path.absolute()), os.path.realpath(path)}  # not `resolve`, which stumbles over a link to itself
        found = [one for one in self.all if one.daemon == daemon and one.path in wanted]
        if not found:
            raise InstallError(f"{daemon} has no grant for {path}. `ligand grants` lists what there is.")
        left = [one for one in found if not self._take_back(one, forget=forget)]
        return not left

    def _take_back(self, grant: Grant, *, forget: bool = False) -> bool:
        closing = replace(grant, state="closing")
        self._record(other if other != grant else closing for other in self.all)
        self._rebind(grant.daemon)
        try:
            self._restart(grant.daemon)
        except InstallError as error:  # for another reason: its access is taken all the same
            self.steps.note(f"{grant.daemon} does not start again: {error.message}")
        gone = self._close(closing) or forget
        if gone:
            self._record(other for other in self.all if other != closing)
        return gone

    def _close(self, grant: Grant) -> bool:
        """Take the access lists back; whether that was done."""
        uid = grant.uid if grant.uid >= 0 else _number(self._user(grant.daemon))
        whose = grant.user or grant.daemon
        try:
            with held(Path(grant.path)) as top:
                if grant.object not in ("", identity(top)):
                    raise InstallError(f"{grant.path} is not what was granted, something else was put there.")
                self._lists(f"take {grant.path} from {whose}", lambda: acl.take(top, uid))
        except InstallError as error:
            self.steps.note(
                f"{error.message} What was granted keeps its access control list, and the grant stays listed as "
                "closing. Put it back and revoke again; `ligand revoke --forget` when it is gone for good."
            )
            return False
        self._give_again(grant, above=True)
        return True

    def _give_again(self, changed: Grant, *, above: bool) -> None:
        """What the same user has beneath a path that was changed, and on a removed one from above, outermost first."""
        path = Path(changed.path)
        for one in sorted(self.all, key=lambda one: len(Path(one.path).parts)):
            beneath, over = Path(one.path).is_relative_to(path), path.is_relative_to(one.path)
            if one.uid == changed.uid and one.is_given and one.path != changed.path and (beneath or (above and over)):
                self._give_one(one, Path(one.path) if beneath else path)

    def _give_one(self, grant: Grant, path: Path) -> None:
        try:
            with held(path) as top:
                what = f"let {grant.user} {grant.access} {path} as before"
                self._lists(what, lambda: acl.give(top, grant.uid, grant.rights))
        except InstallError as error:
            self.steps.note(f"{grant.daemon} may have lost {path}: {error.message} Grant it again.")

    def remove_all(self) -> None:
        """Take every grant back, also those of daemons that are listed no more."""
        for one in self.all:
            try:
                self._take_back(one)
            except (InstallError, OSError) as error:
                self.steps.note(f"{one.path} keeps its access control list for {one.daemon}: {error}")

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

    def _record(self, grants: Iterable[Grant]) -> None:
        self.all = tuple(sorted(grants))
        self.steps.write(self._file, json.dumps([asdict(one) for one in self.all], indent=2) + "\n")

    def _rebind(self, daemon: str) -> None:
        self._write_drop_in(daemon)
        self.steps.do("reload the units", lambda: self.manager.systemctl("daemon-reload"))

    def _restart(self, daemon: str) -> None:
        """Have the daemon see what it has by now; what was broken off before that is over with it."""
        unit = unit_of(daemon)
        if not self._stopped and unit in self.manager.running():
            self.steps.do(f"restart {unit}", lambda: self.manager.systemctl("restart", unit))
        begun = [one for one in self.all if (one.daemon, one.state) == (daemon, "opening")]
        if begun:
            self._record(replace(one, state="open") if one in begun else one for one in self.all)

    def write_drop_ins(self) -> bool:
        """Have the drop-ins name the program where it is by now; whether any was another."""
        written = [self._write_drop_in(daemon) for daemon in sorted({one.daemon for one in self.all})]
        return any(written)

    def _write_drop_in(self, daemon: str) -> bool:
        """Whether there is one that said something else, or was not there."""
        drop_in = self.layout.units / f"{unit_of(daemon)}.d" / DROP_IN
        own = [one for one in self.all if one.daemon == daemon and one.is_given]
        if own:
            return self.steps.write(drop_in, drop_in_for(own, self.layout.link / "bin" / "python"))
        self.steps.remove(drop_in)
        self.steps.remove_folder(drop_in.parent)
        return False


def _revoking(daemon: str, path: Path | str) -> str:
    return f"ligand revoke {daemon} {shlex.quote(str(path))}"


def _number(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError as error:
        raise InstallError(
            f"There is no user {user!r}. `ligand install --system` makes those of all daemons."
        ) from error


def _granted(path: Path, layout: Layout) -> Path:
    """The real path, when it is one that may be granted. Raises `InstallError`."""
    try:
        real = Path(os.path.realpath(path, strict=True))
    except OSError as error:
        raise InstallError(f"{path}: {error.strerror}. Only what is there can be granted.") from error
    closed = (*NEVER, layout.prefix, layout.config, layout.state)
    if len(real.parts) < 3 or any(real.is_relative_to(one) or one.is_relative_to(real) for one in closed):
        raise InstallError(f"{real} is too much to give to a daemon. Grant one folder or file of yours.")
    if not _PLAIN.fullmatch(str(real)):
        raise InstallError(
            f"{clean(real)} has what a unit cannot name (a quote, colon, backslash, dollar, control, no UTF-8)."
        )
    return real


def _require_way(real: Path, daemon: str, user: str) -> None:
    """Raise `InstallError` for what the daemon could not reach; in a home it needs no way, the bind makes one."""
    if any(real.is_relative_to(one) for one in TEMPORARY):
        raise InstallError(
            f"{real} cannot be granted: each daemon has temporary folders of its own. Move it elsewhere."
        )
    _number(user)
    in_home = any(real.is_relative_to(home) for home in HOMES)
    closed = None if in_home else closed_above(real, user)
    if closed is not None:
        raise InstallError(
            f"{daemon} could not reach {real}: {closed} lets {user} through to nothing in it, and a grant opens no "
            f"folder above. Open that way first: setfacl -m u:{user}:x {shlex.quote(str(closed))}"
        )


@contextmanager
def _grants(dry: bool = False) -> Iterator[Grants]:
    if os.getuid() != 0:
        raise InstallError("Grants belong to a system installation: use sudo. Daemons of --user see what you see.")
    layout = Layout.for_system(Layout.for_system().installed_prefix())
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
@click.option("--anyway", is_flag=True, help="Also a whole home, keys, a browser's profile, a disk, the system's own.")
@click.option("--dry-run", is_flag=True, help="Show every step and do none.")
def grant(daemon: str, path: Path, access: Access | None, anyway: bool, dry_run: bool) -> None:
    """Let DAEMON see PATH and what is beneath; it is restarted."""
    if access is None:
        raise click.UsageError("Say which: --read or --write.")
    with told(), _grants(dry_run) as grants:
        given = grants.add(daemon, path, access, anyway=anyway)
    click.echo(f"{given.daemon} may {given.access} {given.path}")


@click.command()
@click.argument("daemon")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--forget", is_flag=True, help="Also when what was granted is gone and its access cannot be taken.")
@click.option("--dry-run", is_flag=True, help="Show every step and do none.")
def revoke(daemon: str, path: Path, forget: bool, dry_run: bool) -> None:
    """Take back what DAEMON was granted of PATH; it is restarted."""
    with told(), _grants(dry_run) as grants:
        gone = grants.remove(daemon, path, forget=forget)
    if not gone:
        raise SystemExit(1)


@click.command("grants")
@form_option
def grants_list(form: str) -> None:
    """List what each daemon was granted."""
    with told():
        found = load(Layout.for_system().config / "grants.json")
    if form == "json":
        say_json(one.shown() for one in found)
        return
    for one in found:
        state = "" if one.state == "open" else f"  ({one.state})\n  -> {one.unfinished}"
        click.echo(f"{one.daemon:<24} {one.access:<6} {one.path}{state}")
