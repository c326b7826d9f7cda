"""Secrets, as systemd hands them over by `LoadCredential=`; never in the environment or a configuration.

In the foreground, without systemd, they are files in `credentials/` of the configuration folder.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from signals.errors import ConfigError
from signals.files import read_regular
from signals.paths import Paths

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_BYTES = 64 * 1024


def read(name: str, daemon: str, paths: Paths, environ: Mapping[str, str] = os.environ) -> str:
    """The secret of this name, without the line break at its end. Raises `ConfigError`: absent, empty, not text."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{daemon}: {name!r} is no name of a credential.")
    file = _handed(name, daemon, environ) if "STATE_DIRECTORY" in environ else _own(name, daemon, paths)
    try:
        text = read_regular(file, MAX_BYTES).decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{daemon}: the credential {file} cannot be read: {error}") from error
    if not text.strip() or len(text) > MAX_BYTES:
        raise ConfigError(f"{daemon}: the credential {file} is empty, or larger than {MAX_BYTES} bytes.")
    return text


def _handed(name: str, daemon: str, environ: Mapping[str, str]) -> Path:
    """The file that systemd made for this unit alone."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder and name in os.listdir(folder):
        return Path(folder) / name
    unit = f"ligand-{daemon.replace('_', '-')}"
    raise ConfigError(
        f"{daemon}: there is no credential {name}. Put the secret into /etc/ligand/credentials/{name}, then "
        f"`systemctl edit {unit}`: [Service] LoadCredential={name}:/etc/ligand/credentials/{name}"
    )


def _own(name: str, daemon: str, paths: Paths) -> Path:
    """The file of a foreground run; one that others can read is no secret."""
    file = paths.config / "credentials" / name
    try:
        found = file.stat()
    except OSError as error:
        raise ConfigError(f"{daemon}: there is no credential {name}. Put the secret into {file}.") from error
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(f"{daemon}: others can read {file}. Close it: chmod 600 {file}")
    return file
