"""Where an installation lies: for the whole machine, or for one user."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from signals.errors import LigandError


def with_targets(folders: Iterable[str]) -> tuple[Path, ...]:
    """These, and what they lead to."""
    named = [*map(Path, folders)]
    return tuple(dict.fromkeys((*named, *(one.resolve() for one in named))))


HOMES = with_targets(("/home", "/root", "/run/user"))
"""What `ProtectHome=` hides; `/home` is a link to `/var/home` on some systems."""
PASSING = tuple(map(Path, ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp")))
"""What is emptied at a boot, or hidden from the daemons."""
DEFAULT_PREFIX = Path("/opt/ligand")
DEFAULT_STATE = Path("/var/lib/ligand")
FISH = Path("/etc/fish")
RECORD = "installed.json"
_STARTED = re.compile(r"^ExecStart=(/.*)/venv/bin/python ", re.MULTILINE)
_PLAIN = re.compile(r"[^\x00-\x1f\x7f\"'\\:;$\ud800-\udfff]+")


class InstallError(LigandError):
    """The installation could not be done."""

    code = "install"


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one installation. `prefix/venv` is a link to the environment in use."""

    system: bool
    prefix: Path
    units: Path
    config: Path
    state: Path
    run: Path
    commands: Path
    share: Path

    @classmethod
    def for_system(cls, prefix: Path | None = None) -> Layout:
        """The machine's. Raises `InstallError` for a prefix that the daemons could not see."""
        chosen = _nameable(prefix or DEFAULT_PREFIX)
        if any(chosen.resolve().is_relative_to(home) for home in HOMES):
            raise InstallError(f"{chosen} is in a home folder, which the daemons cannot see. Choose another --prefix.")
        if any(chosen.resolve().is_relative_to(one) for one in PASSING):
            raise InstallError(f"{chosen} does not outlast a boot, or is hidden from daemons. Choose another --prefix.")
        local = Path("/usr/local")
        return cls(
            True,
            chosen,
            Path("/etc/systemd/system"),
            Path("/etc/ligand"),
            DEFAULT_STATE,
            Path("/run/ligand"),
            local / "bin",
            local / "share",
        )

    @classmethod
    def for_user(cls, prefix: Path | None = None, environ: Mapping[str, str] = os.environ) -> Layout:
        """One user's, in the folders of the XDG base directory specification."""
        home = Path(environ.get("HOME") or Path.home())
        config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        data = Path(environ.get("XDG_DATA_HOME") or home / ".local/share")
        state = Path(environ.get("XDG_STATE_HOME") or home / ".local/state")
        run = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
        chosen = _nameable(prefix or data / "ligand" / "program")
        return cls(
            False,
            chosen,
            config / "systemd" / "user",
            config / "ligand",
            state / "ligand",
            run / "ligand",
            home / ".local/bin",
            data,
        )

    def installed_prefix(self) -> Path | None:
        """Where the program of the installation is whose units are there, whatever prefix this layout has."""
        try:
            text = self.signpost.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        found = _STARTED.search(text)
        prefix = None if found is None else Path(found[1].replace("\\x20", " ").replace("%%", "%"))
        return prefix if prefix is not None and (prefix / RECORD).exists() else None

    @property
    def signpost(self) -> Path:
        """The unit that tells where the program is."""
        return self.units / "ligand-bus.service"

    @property
    def link(self) -> Path:
        """The environment in use, as the units name it."""
        return self.prefix / "venv"

    @property
    def versions(self) -> Path:
        """Every environment that is kept, one folder each."""
        return self.prefix / "versions"

    @property
    def record(self) -> Path:
        """What is installed, as JSON."""
        return self.prefix / RECORD

    @property
    def sysusers(self) -> Path:
        """The users' file of a system installation."""
        return Path("/etc/sysusers.d/ligand.conf")

    @property
    def instance_users(self) -> Path:
        """The users of the instances that a system installation runs."""
        return Path("/etc/sysusers.d/ligand-instances.conf")

    @property
    def lock(self) -> Path:
        """Held while this installation is being changed."""
        return self.run.with_name("ligand-install.lock")

    @property
    def tmpfiles(self) -> Path:
        """The folders' file of a system installation."""
        return Path("/etc/tmpfiles.d/ligand.conf")

    def completions(self, program: str) -> dict[str, Path]:
        """Where each shell looks for a program's completion without being told to."""
        found = {
            "bash": self.share / "bash-completion" / "completions" / program,
            "zsh": self.share / "zsh" / "site-functions" / f"_{program}",
            "fish": self.share / "fish" / "vendor_completions.d" / f"{program}.fish",
        }
        if self.system and FISH.is_dir():  # /usr/local/share it reads only where XDG_DATA_DIRS says so
            found["fish"] = FISH / "completions" / f"{program}.fish"
        return found

    @property
    def purged(self) -> tuple[Path, ...]:
        """Everything that is not the program: configuration, what the daemons know, sockets, the drop folder."""
        own = (self.config, self.state, self.run, self.run.with_name("ligand-failures"))
        return own if self.system else (*own, self.share / "ligand")

    @property
    def first_folders(self) -> tuple[Path, ...]:
        """What a user's installation needs before the daemons start; a system's are made by tmpfiles.d."""
        return () if self.system else (self.config, self.config / "contracts.d", self.config / "daemons.d")


def require_free(layout: Layout) -> None:
    """Raise `InstallError` where somebody else's things have the names that an installation needs in its prefix."""
    for path in (layout.versions, layout.link):
        if path.is_symlink() or path.exists():
            what = f"{path} is there already and is not Ligand's"
            raise InstallError(f"{what}. Move it away, or choose another --prefix.")


def require_roots_own(prefix: Path) -> None:
    """Raise `InstallError` where somebody but root could put another program in the place of what root runs."""
    real = prefix.resolve()
    for path in dict.fromkeys((prefix, *prefix.parents, real, *real.parents)):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        open_to_others = not stat.S_ISLNK(found.st_mode) and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if found.st_uid != 0 or open_to_others:
            why = "others than root may write to it" if found.st_uid == 0 else f"it belongs to the user {found.st_uid}"
            raise InstallError(
                f"{prefix} cannot be the prefix, since root would run programs from there that others could change: "
                f"{path}: {why}. Choose a --prefix whose folders are root's alone."
            )


def _nameable(prefix: Path) -> Path:
    """The absolute path. Raises `InstallError` for one that a unit or a program's first line cannot name."""
    found = prefix.absolute()
    if not _PLAIN.fullmatch(str(found)) or len(found.parts) < 2:
        raise InstallError(
            f"{str(found)!r} cannot be the prefix: name a folder, not the root, "
            "in UTF-8, without quotes, colons, semicolons, backslashes, dollars and control characters."
        )
    return found
