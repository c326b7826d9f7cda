"""What a disk would have after a power cut, by the system calls that a program made: a model of files and folders.

Pessimistic as POSIX allows: content is there once its file was synced, a name once its folder was.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_CALL = re.compile(r"\d+ +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
CALLS = (
    "open,openat,creat,close,dup,dup2,dup3,fcntl,write,pwrite64,writev,ftruncate,truncate,fsync,fdatasync,"
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat"
)
EXCHANGE = "RENAME_EXCHANGE"


@dataclass(eq=False)
class File:
    """Its bytes now, and those that a power cut leaves."""

    now: bytes = b""
    kept: bytes = b""


@dataclass(eq=False)
class Folder:
    """Its names now, and those that a power cut leaves."""

    now: dict[str, File | Folder] = field(default_factory=dict)
    kept: dict[str, File | Folder] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> Folder:
        """A folder as it lies there, all of it on the disk."""
        found: dict[str, File | Folder] = {}
        for one in path.iterdir():
            found[one.name] = cls.of(one) if one.is_dir() else File(one.read_bytes(), one.read_bytes())
        return cls(dict(found), dict(found))


def traced(program: str, log: Path) -> list[str]:
    """Run a Python program under strace; its calls, one line each. Raises `CalledProcessError`."""
    strace = ["strace", "-f", "-qq", "-xx", "-s", str(1 << 22), "-e", f"trace={CALLS}", "-e", "signal=none"]
    subprocess.run(
        [*strace, "-o", str(log), sys.executable, "-c", program], check=True, capture_output=True, timeout=300
    )
    return log.read_text(encoding="ascii").splitlines()


class Disk:
    """Follows the calls that concern what lies beneath `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = Folder.of(root)
        self._open: dict[int, tuple[File | Folder, int]] = {}

    def follow(self, lines: list[str]) -> Iterator[str]:
        """Take each call in; gives the name of each that has changed something, after it."""
        for line in lines:
            if (call := _CALL.match(line)) is None or int(call["result"]) < 0:
                continue
            act = getattr(self, f"on_{call['name']}", None)
            if act is None:
                raise NotImplementedError(line[:200])
            if act(_arguments(call["arguments"]), int(call["result"])):
                yield call["name"]

    # -- what is left --------------------------------------------------------------------------------

    def left(self, *, names: bool) -> dict[str, bytes]:
        """Content by path after a power cut: all that was not synced is lost; with `names` the contents alone are."""
        return dict(_walk(self.top, "", names))

    # -- calls ---------------------------------------------------------------------------------------

    def on_openat(self, arguments: list[str], handle: int) -> bool:
        self._open.pop(handle, None)
        at = self._at(arguments[0], arguments[1])
        if at is None:
            return False
        folder, name = at
        flags = arguments[2]
        fresh = "O_CREAT" in flags and name not in folder.now
        if fresh:
            folder.now[name] = File()
        found = folder.now[name] if name else folder
        if "O_TRUNC" in flags and isinstance(found, File):
            found.now = b""
        self._open[handle] = (found, len(found.now) if "O_APPEND" in flags and isinstance(found, File) else 0)
        return fresh or "O_TRUNC" in flags

    def on_open(self, arguments: list[str], handle: int) -> bool:
        return self.on_openat(["AT_FDCWD", *arguments], handle)

    def on_close(self, arguments: list[str], _: int) -> bool:
        self._open.pop(int(arguments[0]), None)
        return False

    def on_fcntl(self, arguments: list[str], result: int) -> bool:
        return "F_DUPFD" in arguments[1] and self.on_dup(arguments, result)

    def on_dup(self, arguments: list[str], handle: int) -> bool:
        if int(arguments[0]) in self._open:
            self._open[handle] = self._open[int(arguments[0])]
        return False

    on_dup2 = on_dup3 = on_dup

    def on_write(self, arguments: list[str], count: int) -> bool:
        found, position = self._open.get(int(arguments[0]), (None, 0))
        if not isinstance(found, File):
            return False
        data = _text(arguments[1])[:count]
        found.now = found.now[:position].ljust(position, b"\0") + data + found.now[position + count :]
        self._open[int(arguments[0])] = (found, position + count)
        return True

    def on_ftruncate(self, arguments: list[str], _: int) -> bool:
        found, position = self._open.get(int(arguments[0]), (None, 0))
        if not isinstance(found, File):
            return False
        found.now = found.now[: int(arguments[1])]
        self._open[int(arguments[0])] = (found, min(position, len(found.now)))
        return True

    def on_fsync(self, arguments: list[str], _: int) -> bool:
        found, _position = self._open.get(int(arguments[0]), (None, 0))
        if isinstance(found, File):
            found.kept = found.now
        elif isinstance(found, Folder):
            found.kept = dict(found.now)
        return found is not None

    on_fdatasync = on_fsync

    def on_renameat2(self, arguments: list[str], _: int) -> bool:
        one, other = self._at(arguments[0], arguments[1]), self._at(arguments[2], arguments[3])
        if one is None or other is None:
            return False
        (there, name), (here, new) = one, other
        moved = there.now.pop(name)
        if arguments[4:] == [EXCHANGE]:
            there.now[name] = here.now[new]
        here.now[new] = moved
        return True

    on_renameat = on_renameat2

    def on_rename(self, arguments: list[str], result: int) -> bool:
        return self.on_renameat2(["AT_FDCWD", arguments[0], "AT_FDCWD", arguments[1]], result)

    def on_unlinkat(self, arguments: list[str], _: int) -> bool:
        if (at := self._at(arguments[0], arguments[1])) is None:
            return False
        at[0].now.pop(at[1])
        return True

    def on_unlink(self, arguments: list[str], result: int) -> bool:
        return self.on_unlinkat(["AT_FDCWD", *arguments], result)

    on_rmdir = on_unlink

    def on_mkdirat(self, arguments: list[str], _: int) -> bool:
        if (at := self._at(arguments[0], arguments[1])) is None:
            return False
        at[0].now[at[1]] = Folder()
        return True

    def on_mkdir(self, arguments: list[str], result: int) -> bool:
        return self.on_mkdirat(["AT_FDCWD", *arguments], result)

    # -- names ---------------------------------------------------------------------------------------

    def _at(self, folder: str, path: str) -> tuple[Folder, str] | None:
        """The folder and the name in it that a call means; None for what does not lie beneath the root."""
        name = os.fsdecode(_text(path))
        if name.startswith("/"):
            if name != str(self.root) and not name.startswith(f"{self.root}/"):
                return None
            start: File | Folder = self.top
            name = name[len(str(self.root)) :]
        elif folder.isdigit() and int(folder) in self._open:
            start = self._open[int(folder)][0]
        else:
            return None
        parts = [part for part in name.split("/") if part not in ("", ".")]
        for part in parts[:-1]:
            assert isinstance(start, Folder)
            start = start.now[part]
        assert isinstance(start, Folder)
        return start, parts[-1] if parts else ""


def _arguments(said: str) -> list[str]:
    return said.split(", ")  # texts are in hexadecimal, so none has a comma


def _text(word: str) -> bytes:
    return bytes.fromhex(word.strip('"').replace("\\x", ""))


def _walk(folder: Folder, path: str, names: bool) -> Iterator[tuple[str, bytes]]:
    for name, found in sorted((folder.now if names else folder.kept).items()):
        if isinstance(found, File):
            yield f"{path}{name}", found.kept
        else:
            yield f"{path}{name}/", b""
            yield from _walk(found, f"{path}{name}/", names)
