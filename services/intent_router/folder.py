"""The drop folder on disk: claim a file by renaming it, read it, and move it to where it belongs.

`intents/` is what people see; a file goes from there to `working/<id>.<name>`, then to `done/` or to
`rejected/` under the same name. Nothing is ever overwritten and no symbolic link is followed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import stat
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NamedTuple

from services.intent_router.logic import too_large
from services.intent_router.refusal import IntentRefused
from signals.errors import ConfigError, LigandError
from signals.files import sync

SUBFOLDERS = ("working", "done", "rejected")
CLAIM_PREFIX = 37  # a UUID and a dot
ROOM_FOR_SUFFIXES = len(".answer.json") + len(".~12345678")
SURELY_FITTING = 64  # bytes; no file system that could hold the folder takes fewer with the rest

_CLAIMED = re.compile(
    r"(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})\.(?P<name>.+)", re.DOTALL
)
_TEMPORARY = re.compile(
    r"(\..*|#.*#|.*~|.*\.(tmp|temp|part|partial|filepart|crdownload|swp|swx|swo))", re.DOTALL | re.IGNORECASE
)
_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _RENAME_NOREPLACE = -100, 1
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class StillWrittenError(LigandError):
    """The file changed while it was read; somebody still writes it."""


class Claim(NamedTuple):
    """A file in hand: its id, its name in `working/`, and the name it was dropped under."""

    claim_id: str
    name: str

    @property
    def file(self) -> str:
        """The dropped name as text; bytes that are not UTF-8 are shown as escapes."""
        return shown(self.name.partition(".")[2])


class State(NamedTuple):
    """By what a change is noticed: the size in bytes and the time of the last change."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> State:
        """The state that a stat tells."""
        return cls(found.st_size, found.st_mtime_ns)


def shown(name: str) -> str:
    """A file name as text that can be printed and sent."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_temporary(name: str) -> bool:
    """Whether a name is hidden or an editor's or a downloader's, not to be touched until it is renamed."""
    vims_probe = name.isascii() and name.isdigit() and int(name) >= 4913 and (int(name) - 4913) % 123 == 0
    return vims_probe or _TEMPORARY.fullmatch(name) is not None


def as_claim(name: str) -> Claim | None:
    """The claim whose file has this name, or None when it is not a claim's name."""
    match = _CLAIMED.fullmatch(name)
    return Claim(match["id"], name) if match else None


def claimed_at_ms(name: str) -> int | None:
    """When the file of this name was claimed, in Unix milliseconds, from its id (RFC 9562, UUIDv7)."""
    claim = as_claim(name)
    return int(claim.claim_id.replace("-", "")[:12], 16) if claim else None


class Folder:
    """The drop folder. `new_id` gives a fresh UUIDv7."""

    def __init__(self, root: Path, new_id: Callable[[], str]) -> None:
        self.root = root
        self.new_id = new_id
        self.working, self.done, self.rejected = (root / name for name in SUBFOLDERS)
        self._waiting_at, self._working_at, self._done_at = f"{root}/", f"{self.working}/", f"{self.done}/"

    def ensure(self) -> None:
        """Make the folder and those in it; raises `ConfigError` when one of these is a link or a file."""
        for path in (self.root, self.working, self.done, self.rejected):
            path.mkdir(parents=True, exist_ok=True)
            if path != self.root and not stat.S_ISDIR(path.lstat().st_mode):
                raise ConfigError(f"{path} must be a folder, not a link; move it away.", folder=str(path))

    def identity(self) -> tuple[int, int] | None:
        """Device and inode of the folder, None when it is gone."""
        try:
            found = self.root.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def names(self) -> Generator[str, None, None]:
        """What stands in the drop folder, without its own subfolders and without temporary names."""
        with os.scandir(self.root) as entries:
            yield from (entry.name for entry in entries if not self.is_own(entry.name))

    def left_over(self) -> list[str]:
        """What an earlier run claimed and did not finish."""
        return [name for name in os.listdir(self.working) if not is_temporary(name)]

    def is_own(self, name: str) -> bool:
        """Whether a name in the drop folder is none that a person drops."""
        return name in SUBFOLDERS or is_temporary(name)

    def claim(self, name: str, *, in_working: bool = False) -> Claim | None:
        """Take a file for this router; None when it is gone (another took it, or its owner did).

        A name in `working/` that is a claim's already is taken as it is.
        """
        if in_working and (claim := as_claim(name)):
            return claim
        source = self.place(name, in_working=in_working)
        claim_id = self.new_id()
        claim = Claim(claim_id, f"{claim_id}.{self._fitting(name)}")
        target = self.place(claim.name, in_working=True)
        try:
            rename_new(source, target)
        except FileNotFoundError:
            if not os.path.lexists(source):
                return None
            self.ensure()
            rename_new(source, target)
        return claim

    def place(self, name: str, *, in_working: bool = False) -> str:
        """Where a dropped or a claimed file stands."""
        return (self._working_at if in_working else self._waiting_at) + name

    def sync(self) -> None:
        """Make the claims durable, so that a power cut cannot bring a file back that was emitted."""
        for path in (self.working, self.root):
            sync(path)

    def read(self, claim: Claim, limit: int) -> tuple[bytes, State]:
        """The bytes of a claimed file, at most `limit`, and its state as they were read.

        Raises `IntentRefused` (not a regular file, unreadable, too large), `StillWrittenError`, and
        `FileNotFoundError` when somebody took the file away.
        """
        path = self.place(claim.name, in_working=True)
        try:
            raw, before, after = _read(path, limit + 1, os.lstat(path))
        except PermissionError as error:
            raise IntentRefused(
                "unreadable",
                "The router may not read the file: permission denied.",
                f"Give it read permission: chmod a+r {claim.file}",
            ) from error
        except BlockingIOError as error:
            raise StillWrittenError(file=claim.file) from error
        if State.of(before) != State.of(after):
            raise StillWrittenError(file=claim.file)
        if after.st_size > limit:
            raise too_large(after.st_size, limit)
        return raw, State.of(after)

    def state(self, claim: Claim) -> State | None:
        """The state of a claim's file, in `done/` or still in `working/`; None when it is gone."""
        for folder in (self._done_at, self._working_at):
            try:
                return State.of(os.lstat(folder + claim.name))
            except FileNotFoundError:
                continue
        return None

    def finish(self, claim: Claim) -> None:
        """Move a claimed file to `done/`; raises `FileNotFoundError` when somebody took it away."""
        self._keep(claim, self.done)

    def reject(self, claim: Claim) -> None:
        """Move a claimed file to `rejected/`; raises `FileNotFoundError` when somebody took it away."""
        self._keep(claim, self.rejected)

    def explain(self, claim: Claim, text: str) -> None:
        """Write the `.error` file of a refused claim."""
        write_whole(self.rejected / f"{claim.name}.error", text)

    def prune(self, before_ms: int) -> int:
        """Remove what was claimed before then (Unix milliseconds) from `done/` and `rejected/`."""
        return sum(_remove(path) for path in self._older(before_ms))

    def _older(self, before_ms: int) -> Iterator[Path]:
        for folder in (self.done, self.rejected):
            with os.scandir(folder) as entries:
                for entry in entries:
                    at = claimed_at_ms(entry.name)
                    if at is not None and at < before_ms and not entry.is_dir(follow_symlinks=False):
                        yield folder / entry.name

    def _keep(self, claim: Claim, folder: Path) -> None:
        source, target = self.place(claim.name, in_working=True), f"{folder}/{claim.name}"
        while True:
            try:
                rename_new(source, target)
                return
            except FileExistsError:
                target = f"{folder}/{self.new_id()}.{claim.name.partition('.')[2]}"
            except FileNotFoundError:
                if folder.is_dir() or not os.path.lexists(source):
                    raise
                self.ensure()

    def _fitting(self, name: str) -> str:
        """The name without the id of an earlier claim, short enough to carry a new one and every suffix."""
        while earlier := _CLAIMED.fullmatch(name):
            name = earlier["name"]
        raw = os.fsencode(name)
        if len(raw) <= SURELY_FITTING:
            return name
        room = os.pathconf(self.root, "PC_NAME_MAX") - CLAIM_PREFIX - ROOM_FOR_SUFFIXES
        if len(raw) <= room:
            return name
        stem, dot, ending = raw.rpartition(b".")
        if not dot or len(ending) > 16:
            stem, dot, ending = raw, b"", b""
        return _cut(stem, room - len(dot + ending)) + os.fsdecode(dot + ending)


def _cut(stem: bytes, room: int) -> str:
    """The start of a name in at most `room` bytes of UTF-8; bytes that are not UTF-8 become escapes."""
    readable = stem.decode("utf-8", "backslashreplace").encode()
    return readable[:room].decode("utf-8", "ignore")


def rename_new(source: str, target: str) -> None:
    """Rename without ever overwriting; raises `FileExistsError` (renameat2(2), RENAME_NOREPLACE)."""
    old, new = os.fsencode(source), os.fsencode(target)
    if _libc.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(number, os.strerror(number), source, None, target)
    if os.path.lexists(target):  # a file system without the flag; only this router writes there
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    os.rename(source, target)


def write_whole(path: Path, text: str) -> None:
    """Write a text so that readers, and a crash, see all of it or nothing."""
    part = path.with_name(f"{path.name}.~{os.getpid() % 10**8}")
    with part.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def peek(path: str, limit: int, found: os.stat_result) -> bytes | None:
    """The first `limit` bytes of a regular file of which lstat(2) told `found`; None when it cannot be read."""
    try:
        return _read(path, limit, found)[0]
    except (OSError, IntentRefused):
        return None


def _read(path: str, most: int, before: os.stat_result) -> tuple[bytes, os.stat_result, os.stat_result]:
    _require_regular(before.st_mode)  # before the open, which could wake a device
    fd = os.open(path, _READING)
    try:
        raw = b"" if before.st_size >= most else os.read(fd, most)
        after = os.fstat(fd)
    finally:
        os.close(fd)
    _require_regular(after.st_mode)
    return raw, before, after


def _require_regular(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFDIR: "a folder",
        stat.S_IFBLK: "a device",
        stat.S_IFCHR: "a device",
    }
    kind = kinds.get(stat.S_IFMT(mode), "something else")
    raise IntentRefused("not_regular", f"It is {kind}, not a file.", "Drop the file itself: cp it into the folder.")


def _remove(path: Path) -> int:
    try:
        path.unlink()
    except FileNotFoundError:
        return 0
    return 1
