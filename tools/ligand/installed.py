"""`installed.json`: which versions are kept, which is in use, and every file that the installation made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tools.ligand.layout import InstallError


@dataclass(frozen=True, slots=True)
class Version:
    """One environment: its folder's name, Ligand's version, and the digest of what it was made from."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Installed:
    """The record. `kept` holds the version in use and those that were `ready`.

    `ready`: the versions of which every daemon became ready, the last one first, at most two.
    `unfinished`: a change of version began and did not end, because it was killed; which one runs is not known.
    `going_back`: that change leads back to a version that was ready. `extras` are what a person wanted beside it,
    `reloads` the units that D-REAM's deployer may reload.
    `off`: daemons of any version that a person had switched off when the last change began.
    """

    current: str = ""
    ready: tuple[str, ...] = ()
    kept: tuple[Version, ...] = ()
    files: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    unfinished: bool = False
    going_back: bool = False
    extras: tuple[str, ...] = ()
    reloads: tuple[str, ...] = ()
    off: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Installed:
        """What the file says; nothing installed when it is not there. Raises `InstallError`."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            kept = tuple(Version(**one) for one in found["kept"])
            files, services = tuple(found["files"]), tuple(found["services"])
            more: dict[str, Any] = {key: bool(found.get(key, False)) for key in ("unfinished", "going_back")}
            more |= {key: tuple(found.get(key, ())) for key in ("extras", "reloads", "off")}
            return cls(found["current"], _ready(found), kept, files, services, **more)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InstallError(
                f"{path} cannot be read ({error}). Where it is Ligand's, remove it and install again."
            ) from error

    def text(self) -> str:
        """The file's content; with `previous` for versions of Ligand that know no `ready`."""
        return json.dumps({**asdict(self), "previous": self.previous}, indent=2) + "\n"

    @property
    def last_ready(self) -> str:
        """The version that was ready last; empty when there was none yet."""
        return next(iter(self.ready), "")

    @property
    def previous(self) -> str:
        """The version to go back to by hand; empty when there is none."""
        return next((name for name in self.ready if name != self.current), "")

    def version(self, name: str) -> Version:
        """The version in a folder. Raises `InstallError`."""
        for one in self.kept:
            if one.name == name:
                return one
        raise InstallError(f"No version {name!r} is kept.")

    def next_name(self, there: Iterable[str] = ()) -> str:
        """A folder name that no kept version has, nor anything that is there: what was killed may still write to it."""
        names = [one.name for one in self.kept] + [name for name in there if name.isdecimal()]
        return f"{max(map(int, names), default=0) + 1:04d}"

    def adopt(self, fresh: Version) -> Installed:
        """With a new version in use, of which it is not known yet whether it becomes ready."""
        return replace(self, kept=(*self.kept, fresh))._change_to(fresh.name, going_back=False)

    def go_back(self) -> Installed:
        """With the one before in use; the other is kept. Raises `InstallError` when there is none.

        Where going back was killed half-way, it is that change which goes on: a second one would lead forward again.
        """
        if self.unfinished and self.going_back:
            return self
        if not self.previous:
            raise InstallError("There is no earlier version to go back to.")
        return self._change_to(self.previous, going_back=True)

    def give_up(self) -> Installed:
        """With the version in use that was ready last, in place of one that does not become so."""
        return self._change_to(self.last_ready, going_back=True)

    def ended(self) -> Installed:
        """With the change over: the version in use is ready."""
        ready = (self.current, *(name for name in self.ready if name != self.current))[:2]
        return replace(self, ready=ready, unfinished=False, going_back=False)._narrowed()

    def _change_to(self, name: str, *, going_back: bool) -> Installed:
        return replace(self, current=name, unfinished=True, going_back=going_back)._narrowed()

    def _narrowed(self) -> Installed:
        needed = {self.current, *self.ready}
        return replace(self, kept=tuple(one for one in self.kept if one.name in needed))


def _ready(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Also of a record that was written before it was noted: of an unfinished change the one before was ready."""
    before = (found.get("previous", ""),) if found.get("unfinished") else (found["current"], found.get("previous", ""))
    return tuple(found["ready"] if "ready" in found else filter(None, before))
