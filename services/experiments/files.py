"""One file that a person named: opened without following a link, and replaced whole or not at all.

All acts go through the open folder, so whatever happens to the names above it afterwards, they reach no other place.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from services.experiments.exchange import exchange
from services.experiments.likeness import OwnerError, liken
from signals.errors import LigandError

MAX_BYTES = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FileError(LigandError):
    """The file cannot be read or replaced safely; nothing was changed."""

    code: ClassVar[str] = "target"

    def __init__(self, message: str, reason: str = "target_refused") -> None:
        super().__init__(message)
        self.reason = reason


class ChangedError(FileError):
    """Somebody else has changed the file meanwhile; their bytes are kept."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "target_changed")


@dataclass(frozen=True, slots=True)
class Place:
    """A file beneath a folder that is trusted: `parts` are the names on the way, none of them may be a link."""

    base: Path
    parts: tuple[str, ...]

    @classmethod
    def of(cls, written: str, config: Path) -> Place:
        """What a person wrote: relative to the configuration folder, or absolute. Raises `FileError`."""
        names = written.split("/")
        if ".." in names or "\0" in written or names[-1] in ("", "."):
            raise FileError(f"{written!r}: name a file by its straight way, without `..`.")
        parts = tuple(name for name in names if name not in ("", "."))
        if written.startswith("/"):
            return cls(Path("/"), parts)
        return cls(Path(os.path.realpath(config)), parts)  # the folder itself may be reached by a link; beneath, none

    @property
    def path(self) -> Path:
        """The whole path."""
        return self.base.joinpath(*self.parts)


class OpenFile:
    """A regular file in its open folder."""

    def __init__(self, folder: int, place: Place) -> None:
        self._folder = folder
        self._name = place.parts[-1]
        self._beside = f".{self._name[:200]}.ligand-new"
        self.place = place
        self.path = place.path

    def read(self) -> bytes:
        """All of it. Raises `FileError` for what is no single regular file."""
        return self._bytes(self._name)

    def _bytes(self, name: str) -> bytes:
        with self._opened(name) as handle:
            self._need_plain(os.fstat(handle))
            with os.fdopen(os.dup(handle), "rb") as stream:
                found = stream.read(MAX_BYTES + 1)
        if len(found) > MAX_BYTES:
            raise FileError(f"{self.path} is larger than {MAX_BYTES >> 20} MiB.")
        return found

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        try:
            handle = os.open(name, _READ, dir_fd=self._folder)
        except OSError as error:
            raise self._refusal(error) from error
        try:
            yield handle
        finally:
            os.close(handle)

    def _refusal(self, error: OSError) -> FileError:
        if error.errno == errno.ELOOP:
            return FileError(f"{self.path} is a link; name the file itself.")
        return FileError(f"{self.path}: {error.strerror}.", "target_unreadable")

    def _need_plain(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise FileError(f"{self.path} is no regular file.")
        if found.st_nlink > 1:
            raise FileError(
                f"{self.path} has {found.st_nlink} names (hard links); the others would keep the old values."
            )

    def _need_in_its_folder(self) -> None:
        with self._opened(self._name) as handle:
            if _mount(handle) != _mount(self._folder):
                words = "is mounted there by itself, so nothing can take its place; name the file where it really lies"
                raise FileError(f"{self.path} {words}.")

    def require_in_place(self) -> None:
        """Raise `FileError` where its name leads elsewhere by now: a folder was moved, or a link put in its place."""
        with opened(self.place) as named:
            if not os.path.samestat(os.fstat(self._folder), os.fstat(named._folder)):
                raise FileError(f"{self.path} is another file by now; its folder was moved or replaced.")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among those who ask. Raises `FileError` when somebody is at it."""
        handle = os.open(".", _FOLDER, dir_fd=self._folder)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise FileError(f"Another Ligand is changing a file in {self.path.parent}; wait for it.", "busy") from error
        finally:
            os.close(handle)

    def replace(self, before: bytes, after: bytes) -> None:
        """Put `after` in the place of `before`, atomically and on disk, with the same owner, mode and attributes.

        Raises `ChangedError` when other bytes stand there, which are kept, and `FileError` when it cannot be done.
        """
        try:
            self._write_beside(after)
            self._swap(before)
            self._unlink_beside()
            os.fsync(self._folder)
        except OSError as error:
            words = f"{self.path} cannot be replaced: {error.strerror}. Let Ligand write in {self.path.parent}."
            raise FileError(words, "target_unwritable") from error

    def require_replaceable(self) -> None:
        """Raise `FileError` when it could not be replaced: found out by making the new file, and nothing else."""
        try:
            self._need_in_its_folder()
            self._write_beside(b"")
            self._unlink_beside()
        except OSError as error:
            words = f"{self.path} cannot be replaced: {error.strerror}. Let Ligand write in {self.path.parent}."
            raise FileError(words, "target_unwritable") from error

    def settle(self, before: str, after: str) -> None:
        """Clean up after a kill within `replace`: what somebody wrote meanwhile gets its place back.

        `before` and `after` are the SHA-256 of what should have been replaced by what. Raises `FileError`.
        """
        try:
            self._settle(before, after)
        except OSError as error:
            words = f"{self._beside} in {self.path.parent}, left by a kill, cannot be cleared away: {error.strerror}."
            raise FileError(f"{words} Take it away.", "target_unwritable") from error

    def _settle(self, before: str, after: str) -> None:
        if self._beside not in os.listdir(self._folder):
            return
        swapped = digest(self.read()) == after
        came_out = self._came_out()
        if swapped and (came_out is None or digest(came_out) != before):
            exchange(self._folder, self._beside, self._name)
        self._unlink_beside()
        os.fsync(self._folder)

    def _write_beside(self, data: bytes) -> None:
        self._unlink_beside()
        with self._opened(self._name) as present:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(self._beside, flags, 0o600, dir_fd=self._folder)
            try:
                with os.fdopen(handle, "wb") as stream:
                    self._liken(handle, present)
                    stream.write(data)
                    stream.flush()
                    os.fsync(handle)
            except (FileError, OSError):
                self._unlink_beside()
                raise

    def _liken(self, handle: int, present: int) -> None:
        self._need_plain(os.fstat(present))
        try:
            liken(handle, present)
        except OwnerError as error:
            words = f"{self.path} belongs to {error}, and would not any more"
            owner = f"chown {_own_name()}: {self.path}"
            raise FileError(f"{words}; have the deployer own it: {owner}", "target_unwritable") from error

    def _swap(self, before: bytes) -> None:
        """Exchange the two, then look at what came out: bytes of somebody else go back at once."""
        if self._bytes(self._name) != before:
            self._unlink_beside()
            raise self._changed()
        try:
            if not exchange(self._folder, self._beside, self._name):
                os.rename(self._beside, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
                return
        except OSError:
            self._unlink_beside()
            raise
        if self._came_out() != before:
            exchange(self._folder, self._beside, self._name)
            self._unlink_beside()
            raise self._changed()

    def _came_out(self) -> bytes | None:
        try:
            return self._bytes(self._beside)
        except FileError:  # somebody put a link or the like there
            return None

    def _changed(self) -> ChangedError:
        return ChangedError(f"{self.path} was changed by somebody else meanwhile; their text is kept.")

    def _unlink_beside(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._beside, dir_fd=self._folder)


def _mount(handle: int) -> str:
    """The mount through which it was opened (proc(5), /proc/pid/fdinfo); the same for all where that is not told."""
    try:
        told = Path(f"/proc/self/fdinfo/{handle}").read_text(encoding="ascii")
    except OSError:
        return ""
    return next((line for line in told.splitlines() if line.startswith("mnt_id:")), "")


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def opened(place: Place) -> Iterator[OpenFile]:
    """The file at a place. Raises `FileError` when a name on the way is a link, or nothing is there."""
    try:
        folder = os.open(place.base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FileError(f"{place.base}: {error.strerror}.", "target_unreadable") from error
    try:
        for nth, name in enumerate(place.parts[:-1]):
            deeper = _entered(folder, name, place.base.joinpath(*place.parts[: nth + 1]))
            os.close(folder)
            folder = deeper
        yield OpenFile(folder, place)
    finally:
        os.close(folder)


def _entered(folder: int, name: str, path: Path) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise FileError(f"{path} is a link or no folder; name the way without links.") from error
        raise FileError(f"{path}: {error.strerror}.", "target_unreadable") from error
