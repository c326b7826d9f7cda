"""What was granted: the lines of `grants.json`, and the drop-in of a daemon's unit that is made from them."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tools.ligand.layout import HOMES, InstallError

Access = Literal["read", "write"]
State = Literal["open", "pending", "opening", "closing"]
NSENTER = "/usr/bin/nsenter"
HELD = Path("/run/ligand-grants")
"""Where what was granted is mounted while a daemon starts; only root may enter."""


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One daemon, one path. `object` is what was there when it was granted, see `identity`.

    `user` and `uid` are whose access it is, also when the daemon is listed no more. `state` is "pending" from before
    the first access list is set until every one is, then "opening" until the daemon has been restarted with it; and
    "closing" until every one has been taken back.
    """

    daemon: str
    path: str
    access: Access
    object: str = ""
    user: str = ""
    uid: int = -1
    state: State = "open"

    @property
    def rights(self) -> str:
        """As setfacl(1) says it."""
        return "rwX" if self.access == "write" else "rX"

    @property
    def is_given(self) -> bool:
        """Whether the daemon has it from its next start on."""
        return self.state in ("open", "opening")

    @property
    def in_home(self) -> bool:
        return any(Path(self.path).is_relative_to(home) for home in HOMES)

    @property
    def bound(self) -> bool:
        """Whether the daemon needs a bind to see it, or to write it."""
        return self.in_home or self.access == "write"

    @property
    def held(self) -> Path:
        """Where it is mounted while the daemon starts."""
        return HELD / self.daemon / hashlib.sha256(os.fsencode(self.path)).hexdigest()[:32]

    @property
    def bound_at(self) -> Path:
        """Where the daemon gets it: systemd mounts in the order of names, and a home that is a link by the link's."""
        path = Path(self.path)
        links = ((home, home.resolve()) for home in HOMES if home.is_symlink())
        return next((home / path.relative_to(real) for home, real in links if path.is_relative_to(real)), path)

    @property
    def unfinished(self) -> str:
        """What there is to do about one that was broken off, in a sentence; empty for one that is open."""
        path = shlex.quote(self.path)
        again, back = f"ligand grant {self.daemon} {path} --{self.access}", f"ligand revoke {self.daemon} {path}"
        return {
            "open": "",
            "pending": f"Not finished, a part of it may be open. Finish it: {again}. Or take it back: {back}",
            "opening": f"{self.daemon} was not restarted for it and may not see it yet. Finish it: {again}. "
            f"Or take it back: {back}",
            "closing": f"Not all of it is taken back. Go on: {back}",
        }[self.state]

    def shown(self) -> dict[str, str]:
        """What a person is shown of it."""
        state = {} if self.state == "open" else {"state": str(self.state)}
        return {"daemon": self.daemon, "path": self.path, "access": self.access, **state}


def identity(descriptor: int) -> str:
    """`FILESYSTEM:INODE` of an open file. Not st_dev, which for some file systems is another after each boot."""
    return f"{os.fstatvfs(descriptor).f_fsid:x}:{os.fstat(descriptor).st_ino}"


def drop_in_for(grants: Sequence[Grant], python: Path) -> str:
    """The drop-in of one daemon's unit; `python` is the installed one.

    systemd would follow links in a path of a person's at every start, as root. So it binds from root's own folder,
    where `hold_grants` has mounted the very object that was granted.
    """
    lines = ["# made by `ligand grant`; `ligand grants` lists them, `ligand revoke` takes one back", "[Service]"]
    if any(one.in_home for one in grants):
        lines.append("ProtectHome=tmpfs")
    bound = [one for one in grants if one.bound]
    for one in bound:
        key = {"read": "BindReadOnlyPaths", "write": "BindPaths"}[one.access]
        # "-": a daemon whose granted folder has gone starts without it; a colon in quotes would be part of the name
        lines.append(f'{key}="-{_named(one.held)}":"{_named(one.bound_at)}"')
    if bound:
        # "+" frees from the sandbox, yet leaves a namespace of mounts; what is mounted there systemd would not see
        program = f"{NSENTER} --target 1 --mount -- {_named(python).replace(' ', chr(92) + 'x20')}"
        # ExecStopPost= for a daemon that does not get as far as ExecStartPost=
        for key, what in (("ExecStartPre", "hold"), ("ExecStartPost", "release"), ("ExecStopPost", "release")):
            lines.append(f"{key}=+-{program} -I -m tools.ligand.hold_grants {what} {_named(bound[0].daemon)}")
    return "\n".join(lines) + "\n"


def _named(path: Path | str) -> str:
    return str(path).replace("%", "%%")


def load(file: Path) -> tuple[Grant, ...]:
    """Every grant; none when there is no file. Raises `InstallError`."""
    try:
        return tuple(sorted(Grant(**one) for one in json.loads(file.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        raise InstallError(f"{file} cannot be read: {error}. Mend it by hand.") from error
