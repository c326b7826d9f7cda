"""The target's bytes as they were before each deployment, kept until many later ones have been made."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from services.winner_deployer.logic import Refused
from signals.files import sync


class Backups:
    """One folder a deployment, beneath the daemon's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, deployment_id: str, name: str, content: bytes) -> Path:
        """Write it down, on disk when this returns. Raises OSError."""
        folder = self._folder / deployment_id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path, fresh = folder / name, folder / ".new"
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(handle)
        os.replace(fresh, path)
        for each in (folder, self._folder, self._folder.parent):
            sync(each)
        return path

    def prune(self, keep: int, deployments: Sequence[str], but: Collection[str]) -> None:
        """Let go of the oldest beyond `keep`, never of those in `but`. Raises OSError.

        `deployments` are all ids, the oldest first: the files' times are not asked, for clocks are set back.
        """
        age = {name: nth for nth, name in enumerate(deployments)}
        with suppress(FileNotFoundError):
            found = (path for path in self._folder.iterdir() if path.is_dir())
            folders = sorted(found, key=lambda folder: age.get(folder.name, -1))
            for folder in folders[: max(0, len(folders) - keep)]:
                if folder.name not in but:
                    shutil.rmtree(folder)


def kept(path: str, sha256: str) -> bytes:
    """What was kept. Raises `Refused` when it is not there, or is not what was kept."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise Refused("backup_lost", f"The backup {path} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Refused("backup_lost", f"The backup {path} is not what was kept there.")
    return content
