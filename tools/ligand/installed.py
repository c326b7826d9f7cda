"""`installed.json`: which versions are kept, which is in use, and every file that the installation made."""

from __future__ import annotations

import json
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
    """The record. `kept` holds the version in use and, if there is one, the one before."""

    current: str = ""
    previous: str = ""
    kept: tuple[Version, ...] = ()
    files: tuple[str, ...] = ()
    services: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Installed:
        """What the file says; nothing installed when it is not there. Raises `InstallError`."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            kept = tuple(Version(**one) for one in found["kept"])
            return cls(found["current"], found["previous"], kept, tuple(found["files"]), tuple(found["services"]))
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

    def next_name(self) -> str:
        """A folder name that no kept version has."""
        return f"{max((int(one.name) for one in self.kept), default=0) + 1:04d}"

    def adopt(self, fresh: Version) -> Installed:
        """With a new version in use; the one in use until now is the one to go back to."""
        keep = tuple(one for one in self.kept if one.name == self.current)
        return replace(self, current=fresh.name, previous=self.current, kept=(*keep, fresh))

    def go_back(self) -> Installed:
        """With the one before in use; the other is kept. Raises `InstallError` when there is none."""
        if not self.previous:
            raise InstallError("There is no earlier version to go back to.")
        return replace(self, current=self.previous, previous=self.current)
