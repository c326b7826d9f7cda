"""What a person seldom means to give to a daemon, and what a daemon could not reach although it was granted."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.ligand.layout import HOMES

KEYS = (
    ".ssh", ".gnupg", ".pki", ".password-store", ".netrc", ".git-credentials", ".aws", ".azure", ".kube", ".docker",
    ".config/gh", ".config/gcloud", ".config/rclone", ".config/keepassxc", ".local/share/keyrings",
    ".local/share/kwalletd",
)  # fmt: skip
KEYS_ANYWHERE = (".ssh", ".gnupg", ".password-store")
"""These are keys wherever they lie, for instance in a copy of a home."""
BROWSERS = (
    ".mozilla", ".thunderbird", ".config/mozilla", ".config/google-chrome", ".config/chromium", ".config/BraveSoftware",
    ".config/microsoft-edge", ".config/vivaldi", ".config/opera", ".var/app", "snap",
)  # fmt: skip
STARTED = (
    ".bashrc", ".bash_profile", ".bash_login", ".profile", ".zshrc", ".zshenv", ".zprofile", ".xsessionrc",
    ".config/autostart", ".config/systemd", ".config/environment.d", ".config/fish", ".local/bin", "bin",
)  # fmt: skip
SYSTEMS = tuple(map(Path, ("/var/log", "/var/spool", "/var/cache", "/var/lib", "/opt")))
SYSTEMS_SECRET = tuple(map(Path, ("/var/backups", "/var/lib", "/var/mail", "/var/spool")))
TEMPORARY = tuple(map(Path, ("/tmp", "/var/tmp")))
LEAST_PERSON = 1000
_ESCAPED = re.compile(r"\\([0-7]{3})")
PATIENCE_S = 10.0


def doubts(real: Path, *, write: bool) -> list[str]:
    """What speaks against granting this, each as half a sentence; empty for an ordinary folder of somebody's."""
    found = [f"it is the whole home folder of {name}" for name, home in _homes() if home == real]
    found += [f"it holds the home folder of {name}" for name, home in _homes() if real in home.parents]
    homes = [home for _, home in _homes()]
    for names, what in ((KEYS, "keys and passwords"), (BROWSERS, "what a browser or mailer knows of its person")):
        found += [f"{place} holds {what}" for place in _touched(real, homes, names)]
    found += [f"{place} holds keys and passwords" for place in _touched(real, [real, *real.parents], KEYS_ANYWHERE)]
    if write:
        found += [f"{place} is run when its person logs in" for place in _touched(real, homes, STARTED, there=False)]
    systems = SYSTEMS if write else SYSTEMS_SECRET
    found += [f"{place} is the system's own" for place in systems if real.is_relative_to(place)]
    if os.fspath(real) in _mounts():
        found.append("a whole file system is mounted there")
    return list(dict.fromkeys(found))


def _homes() -> Iterator[tuple[str, Path]]:
    """Who lives where: people, root, and whatever lies in /home without an account."""
    for one in pwd.getpwall():
        home = Path(one.pw_dir)
        if len(home.parts) > 1 and (one.pw_uid >= LEAST_PERSON or home in HOMES or home.parent in HOMES):
            yield one.pw_name, home.resolve()
    known = {Path(one.pw_dir).resolve() for one in pwd.getpwall()}
    for home in HOMES[0].glob("*"):
        if home.is_dir() and home.resolve() not in known:
            yield home.name, home.resolve()


def _mounts() -> set[str]:
    """Where something is mounted. Not by device numbers, which on overlayfs differ between a file and its folder."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return {_ESCAPED.sub(lambda found: chr(int(found[1], 8)), line.split(" ")[4]) for line in lines}


def _touched(real: Path, folders: Iterable[Path], names: Iterable[str], *, there: bool = True) -> Iterator[Path]:
    """Which of these in these folders would be given away: the thing itself, a part of it, or what it lies in.

    `there`: only what exists. Who may write can also make what does not.
    """
    for place in (folder / name for folder in folders for name in names):
        if real.is_relative_to(place) or (place.is_relative_to(real) and (place.exists() or not there)):
            yield place


def closed_above(real: Path, user: str) -> Path | None:
    """The folder above that lets this user through to nothing in it; None when the way is open."""
    account = pwd.getpwnam(user)
    groups = os.getgrouplist(user, account.pw_gid)
    for folder in reversed(real.parents):
        done = subprocess.run(
            ["test", "-x", str(folder)],
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=groups,
            check=False,
            timeout=PATIENCE_S,
        )
        if done.returncode:
            return folder
    return None
