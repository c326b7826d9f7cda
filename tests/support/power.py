"""A disk that remembers what was asked of it, so that a power cut can be tried before each of these acts.

`Disk` records every write, sync, truncate, delete and rename of the journal (an SQLite VFS) and of the dead-letter
file (the `os` functions that its module uses). `Cut` says what of that a power cut would leave. The VFS must be there
before the first journal is opened: the one that writes checksums sits upon it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import apsw

from services.bus import deadfile
from signals import checksums

SECTOR = 512
BASE = "unix"
VARIANTS = ("undone", "kept", "torn")


@dataclass(frozen=True, slots=True)
class Act:
    """One act on the disk. `other` is the new name of a rename."""

    kind: str
    path: str
    offset: int = 0
    data: bytes = b""
    other: str = ""


@dataclass
class Disk:
    """What was asked of the disk, in order. The acts themselves are done, so that who asks can read them back."""

    folder: Path
    acts: list[Act] = field(default_factory=list)

    def note(self, kind: str, path: str | Path, offset: int = 0, data: bytes = b"", other: str = "") -> None:
        self.acts.append(Act(kind, str(path), offset, bytes(data), other))

    @contextmanager
    def recording(self) -> Iterator[Disk]:
        """While this lasts, the databases that are opened in the folder and the dead-letter file are recorded."""
        with patch.object(_VFS, "disk", self), patch.object(deadfile, "os", _Os(self)):
            yield self


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._path = _path_of(name)
        if not Path(self._path).exists():
            disk.note("create", self._path)
        super().__init__(BASE, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.note("write", self._path, offset, data)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._disk.note("sync", self._path)  # the real disk need not be: what a power cut leaves is computed

    def xTruncate(self, size: int) -> None:
        self._disk.note("truncate", self._path, size)
        super().xTruncate(size)


class _Vfs(apsw.VFS):
    disk: Disk | None = None

    def __init__(self) -> None:
        super().__init__("power", BASE, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        if self.disk is None or name is None or Path(_path_of(name)).parent != self.disk.folder:
            return apsw.VFSFile(BASE, name, flags)
        return _File(self.disk, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:
        disk = self.disk if self.disk is not None and Path(name).parent == self.disk.folder else None
        if disk is not None:
            disk.note("delete", name)
        super().xDelete(name, syncdir)
        if disk is not None and syncdir:
            disk.note("sync_folder", Path(name).parent)


def _path_of(name: Any) -> str:
    return str(name.filename() if isinstance(name, apsw.URIFilename) else name)


if checksums.is_loaded():
    raise RuntimeError("The disk that remembers must be there before the first journal is opened.")
_VFS = _Vfs()


class _Os:
    """The `os` of the dead-letter file: what changes a file is recorded, all else goes through."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._paths: dict[int, Path] = {}
        self._ends: dict[int, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT and not Path(path).exists():
            self._disk.note("create", path)
        elif flags & os.O_TRUNC:
            self._disk.note("truncate", path, 0)
        file = os.open(path, flags, mode)
        self._paths[file] = Path(path)
        return file

    def write(self, file: int, data: bytes) -> int:
        self._disk.note("write", self._paths[file], os.fstat(file).st_size, data)  # it is only ever appended to
        return os.write(file, data)

    def fsync(self, file: int) -> None:
        path = self._paths[file]
        self._disk.note("sync_folder" if path.is_dir() else "sync", path)

    def ftruncate(self, file: int, size: int) -> None:
        self._disk.note("truncate", self._paths[file], size)
        os.ftruncate(file, size)

    def replace(self, source: Path, target: Path) -> None:
        self._disk.note("rename", source, other=str(target))
        os.replace(source, target)
        for file, path in self._paths.items():
            if path == source:
                self._paths[file] = Path(target)

    def unlink(self, path: Path) -> None:
        self._disk.note("delete", path)
        os.unlink(path)

    def close(self, file: int) -> None:
        os.close(file)
        del self._paths[file]


@dataclass
class _Inode:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Act] = field(default_factory=list)


class Cut:
    """The disk as it would be found. Goes through the acts once, from first to last."""

    def __init__(self, acts: list[Act], before: Mapping[str, bytes] | None = None) -> None:
        """`before`: what was on the disk when the acts began."""
        self._acts = acts
        self._done = 0
        self._live = {path: _Inode(bytearray(content)) for path, content in (before or {}).items()}
        self._durable = dict(self._live)
        self._folder: list[tuple[Act, _Inode | None]] = []

    def upto(self, point: int) -> None:
        """Do all acts before number `point`."""
        while self._done < point:
            self._do(self._acts[self._done])
            self._done += 1

    def _do(self, act: Act) -> None:
        if act.kind == "create":
            self._live[act.path] = _Inode()
            self._folder.append((act, self._live[act.path]))
        elif act.kind in ("delete", "rename"):
            inode = self._live.pop(act.path, None)
            if act.kind == "rename" and inode is not None:
                self._live[act.other] = inode
            self._folder.append((act, inode))
        elif act.kind == "sync_folder":
            self._sync_folder(self._durable, len(self._folder))
            self._folder.clear()
        elif act.kind == "sync":
            self._sync(act)
        else:
            self._live[act.path].pending.append(act)

    def _sync(self, act: Act) -> None:
        inode = self._live[act.path]
        for earlier in inode.pending:
            _apply(inode.durable, earlier)
        inode.pending.clear()
        new = any(made.kind == "create" and made.path == act.path for made, _ in self._folder)
        if new and act.path.endswith(("-wal", "-journal")):  # SQLite syncs the folder with the first sync of these
            self._sync_folder(self._durable, len(self._folder))
            self._folder.clear()

    def _sync_folder(self, names: dict[str, _Inode], count: int) -> None:
        for act, inode in self._folder[:count]:
            if act.kind != "create":
                names.pop(act.path, None)
            if act.kind != "delete" and inode is not None:
                names[act.other or act.path] = inode

    def files(self, variant: str, chance: random.Random) -> dict[str, bytes]:
        """What a power cut before the next act leaves of each file.

        `undone`: only what was synced. `kept`: all that was asked, as when only the process dies. `torn`: of what was
        not synced any part, by sectors, in any order; the act that was just being done is one of them.
        """
        if variant == "kept":
            return {path: _with(inode, inode.pending, None) for path, inode in self._live.items()}
        names = dict(self._durable)
        if variant == "torn":
            self._sync_folder(names, chance.randint(0, len(self._folder)))
        return {path: self._content(path, inode, variant, chance) for path, inode in names.items()}

    def _content(self, path: str, inode: _Inode, variant: str, chance: random.Random) -> bytes:
        if variant == "undone":
            return bytes(inode.durable)
        doing = self._acts[self._done] if self._done < len(self._acts) else None
        mine = doing is not None and doing.kind == "write" and self._live.get(doing.path) is inode
        pending = [*inode.pending, doing] if mine and doing is not None else inode.pending
        return _with(inode, pending, chance)


def _with(inode: _Inode, pending: list[Act], chance: random.Random | None) -> bytes:
    content = bytearray(inode.durable)
    for act in pending:
        if chance is None:
            _apply(content, act)
        elif act.kind == "truncate":
            if chance.random() < 0.5:
                _apply(content, act)
        else:
            for piece in _sectors(act):
                if chance.random() < 0.5:
                    _apply(content, piece)
    return bytes(content)


def _sectors(act: Act) -> Iterator[Act]:
    start = 0
    while start < len(act.data):
        size = SECTOR - (act.offset + start) % SECTOR
        yield Act("write", act.path, act.offset + start, act.data[start : start + size])
        start += size


def _apply(content: bytearray, act: Act) -> None:
    if act.kind == "truncate":
        del content[act.offset :]
        content.extend(bytes(max(0, act.offset - len(content))))
    else:
        content.extend(bytes(max(0, act.offset - len(content))))
        content[act.offset : act.offset + len(act.data)] = act.data
