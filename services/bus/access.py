"""Who may do what, from the peer's uid and from manifests.

In user mode the claimed source is checked: that guards against mistakes, not against the same user's other
programs. In system mode each daemon has a system user of its own, and every frame's uid must fit.
"""

from __future__ import annotations

import grp
import os
import pwd
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

from services.runtime.manifest import Manifest
from signals.catalogue import Contract
from signals.errors import ManifestError, UnauthorisedError

PEOPLE = "ligand-users"
PERSON = "person@"
ACCOUNTS = ("/etc/group", "/etc/passwd")
DIRECTORY_S = 60.0
"""After so long who is in a group is asked again even if the files are as they were: LDAP and others have no file."""
Mode = Literal["user", "system"]


class Peer(NamedTuple):
    """Who a frame came from, as the kernel says."""

    uid: int
    gid: int
    pid: int

    @staticmethod
    @lru_cache(maxsize=256)
    def parse(address: str) -> Peer:
        """From libzmq's `Peer-Address` of a Unix socket, `HOST:uid:gid:pid`."""
        _, uid, gid, pid = address.rsplit(":", 3)
        return Peer(int(uid), int(gid), int(pid))


class Access:
    """Decides who may attach, emit and administer. Every refusal is an `UnauthorisedError`."""

    def __init__(self, mode: Mode, daemons: Mapping[str, Manifest]) -> None:
        self.mode = mode
        self._daemons = daemons
        self._own = os.getuid()
        self._may_emit = {name: manifest.may_emit for name, manifest in daemons.items()}
        self._groups: dict[int, bool] = {}
        self._groups_as_of: object = None
        self._look_again = 0.0
        self._uids = {_uid(self.user_of(name)) for name in daemons} if mode == "system" else set()

    def user_of(self, name: str) -> str:
        """The system user that a daemon runs as."""
        return self._daemons[name].system_user

    def attach(self, peer: Peer, name: str) -> None:
        """May this peer be the daemon `name`?"""
        if name == "bus":
            raise UnauthorisedError("Nobody but the bus itself is the bus.")
        if name not in self._daemons:
            raise UnauthorisedError(
                f"No enabled manifest describes the daemon {name!r}. "
                "Add one to daemons.d, or list the instance in bus.yaml."
            )
        if self.mode == "system" and peer.uid != _uid(self.user_of(name)):
            raise UnauthorisedError(f"The daemon {name} runs as {self.user_of(name)}, not as uid {peer.uid}.")

    def emit(self, peer: Peer, session: str | None, source: str, contract: Contract) -> None:
        """May this peer, attached as `session` or not at all, send such a signal under this source?"""
        if session is not None:
            self._as_daemon(session, source, contract)
        elif source.startswith(PERSON):
            self._as_person(peer, source, contract)
        else:
            raise UnauthorisedError(f"{source} has to attach before it emits; people emit as {PERSON}NAME.")

    def _as_daemon(self, session: str, source: str, contract: Contract) -> None:
        if source != session:
            raise UnauthorisedError(f"{session} may not emit in the name of {source}.")
        if contract.name not in self._may_emit[session]:
            raise UnauthorisedError(f"{session}'s manifest does not list {contract.name} under emits.")

    def _as_person(self, peer: Peer, source: str, contract: Contract) -> None:
        if self.is_admin(peer):
            return
        name = source.removeprefix(PERSON)
        if not self.is_person(peer) or name != _name(peer.uid):
            raise UnauthorisedError(f"uid {peer.uid} may not emit as {source}. People are in the group {PEOPLE}.")
        if contract.kind != "intent":
            raise UnauthorisedError(f"People emit intents; {contract.name} is of kind {contract.kind} and needs root.")

    def is_admin(self, peer: Peer) -> bool:
        """Root, and in user mode whoever runs the bus."""
        return peer.uid == 0 or (self.mode == "user" and peer.uid == self._own)

    def is_person(self, peer: Peer) -> bool:
        """Whether the peer may watch and administer."""
        return self.is_admin(peer) or (self.mode == "system" and self._in_people(peer.uid))

    def is_known(self, peer: Peer) -> bool:
        """Whether refused emits of this uid are worth keeping."""
        return self.is_person(peer) or peer.uid in self._uids

    def _in_people(self, uid: int) -> bool:
        self._forget_when_changed()
        found = self._groups.get(uid)
        if found is None:
            found = self._groups[uid] = _member(uid, PEOPLE)
        return found

    def _forget_when_changed(self) -> None:
        """Ask again who is in the group once its files have changed, and now and then where a directory knows it."""
        now, as_of = time.monotonic(), tuple(map(_stamp, ACCOUNTS))
        if as_of != self._groups_as_of or now >= self._look_again:
            self._groups.clear()
            self._groups_as_of, self._look_again = as_of, now + DIRECTORY_S


def check_users(daemons: Mapping[str, Manifest]) -> None:
    """Raise `ManifestError` when two daemons, or two instances, would be one user, and so could pose as each other."""
    seen: dict[int | str, str] = {}
    for name, manifest in daemons.items():
        uid = _uid(manifest.system_user)  # one user may have two names, and what a frame carries is the number
        other = seen.setdefault(manifest.system_user if uid is None else uid, name)
        if other != name:
            raise ManifestError(
                f"{manifest.origin}: {name} would run as {manifest.system_user}, like {other} "
                f"({daemons[other].origin}). Give it another one with the key `user`, with %i for an instance's name."
            )


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _uid(user: str) -> int | None:
    if user.isdecimal():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _member(uid: int, group: str) -> bool:
    try:
        user, found = pwd.getpwuid(uid), grp.getgrnam(group)
    except KeyError:
        return False
    return user.pw_gid == found.gr_gid or user.pw_name in found.gr_mem
