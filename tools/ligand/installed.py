"""`installed.json`: which versions are kept, which is in use, and every file that the installation made."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tools.ligand.layout import InstallError


@dataclass(frozen=True, slots=True)
class Version:
    """One environment: its folder's name, Ligand's version, and the digest of what it was made from."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Installed:
    """The record. `kept` holds the version in use and, if there is one, the one before.

    `unfinished`: a change of version began and did not end, because it was killed; which one runs is not known.
    `going_back`: that change leads back to the version before. `extras` are what a person wanted beside it.
    """

    current: str = ""
    previous: str = ""
    kept: tuple[Version, ...] = ()
    files: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    unfinished: bool = False
    going_back: bool = False
    extras: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Installed:
        """What the file says; nothing installed when it is not there. Raises `InstallError`."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            kept = tuple(Version(**one) for one in found["kept"])
            files, services = tuple(found["files"]), tuple(found["services"])
            left = {key: bool(found.get(key, False)) for key in ("unfinished", "going_back")}
            extras = tuple(found.get("extras", ()))
            return cls(found["current"], found["previous"], kept, files, services, extras=extras, **left)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InstallError(f"{path} cannot be read ({error}). Remove it and install again.") from error

    def text(self) -> str:
        """The file's content."""
        return json.dumps(asdict(self), indent=2) + "\n"

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
        """With a new version in use; the one in use until now is the one to go back to."""
        keep = tuple(one for one in self.kept if one.name == self.current)
        fresh_one = replace(self, current=fresh.name, previous=self.current, kept=(*keep, fresh))
        return replace(fresh_one, unfinished=True, going_back=False)

    def go_back(self) -> Installed:
        """With the one before in use; the other is kept. Raises `InstallError` when there is none.

        Where going back was killed half-way, it is that change which goes on: a second one would lead forward again.
        """
        if self.unfinished and self.going_back:
            return self
        if not self.previous:
            raise InstallError("There is no earlier version to go back to.")
        return replace(self, current=self.previous, previous=self.current, unfinished=True, going_back=True)

    def ended(self) -> Installed:
        """With the change over."""
        return replace(self, unfinished=False, going_back=False)
