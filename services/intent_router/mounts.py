"""Tells whether a folder lies on a network file system, which does not report what others change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from signals.errors import ConfigError

# One text a family, split below: a column of forty names would hide the code.
_KERNEL = (
    "nfs nfs4 cifs smb3 smbfs ncpfs 9p virtiofs afs ceph coda lustre gpfs glusterfs beegfs ocfs2 "
    "gfs2 orangefs pvfs2 davfs vboxsf prl_fs "
)
_FUSE = "sshfs s3fs rclone glusterfs ceph ceph-fuse davfs davfs2 curlftpfs vmhgfs-fuse gcsfuse juicefs mfs "
NETWORK = frozenset(_KERNEL.split()) | {f"fuse.{name}" for name in _FUSE.split()}
MOUNTINFO = Path("/proc/self/mountinfo")

_ESCAPE = re.compile(r"\\([0-7]{3})")


def refuse_network(folder: Path, mountinfo: str | None = None) -> None:
    """Raise `ConfigError` when the folder lies on a network file system.

    `mountinfo` is the text of /proc/self/mountinfo, read when not given (format: proc_pid_mountinfo(5)).
    """
    kind = file_system(folder, MOUNTINFO.read_text("utf-8", "replace") if mountinfo is None else mountinfo)
    if kind in NETWORK:
        raise ConfigError(
            f"The drop folder {folder} lies on a network file system ({kind}), which does not report files "
            "that other machines put there and cannot promise atomic renames. Put the folder on a local "
            "disk, and copy intents into it.",
            folder=str(folder),
            file_system=kind,
        )


def file_system(folder: Path, mountinfo: str) -> str:
    """The type of the file system on which a folder is, or the empty text when no mount holds it."""
    real = folder.resolve()
    best, found = -1, ""
    for point, kind in _mounts(mountinfo):
        if real.is_relative_to(point) and len(point.parts) >= best:  # a later mount covers an earlier one
            best, found = len(point.parts), kind
    return found


def _mounts(mountinfo: str) -> Iterator[tuple[Path, str]]:
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) > 4:
            yield Path(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4])), after.split(" ")[0]
