"""Recordings: envelopes as the journal has them, one JSON object a line."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from signals.envelope import load
from signals.errors import LigandError, MalformedError, NotFoundError, UsageError
from signals.lookup import SHORTEST

STANDARD = "-"
LONGEST = 1 << 20
Envelope = dict[str, Any]


@contextlib.contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """A file to read; `-` is standard input. Raises `UsageError`."""
    if file == STANDARD:
        yield sys.stdin.buffer
        return
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(file).open("rb"))
        except OSError as error:
            raise UsageError(f"Cannot read {file}: {error.strerror}.") from error
        yield stream


def lines(file: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not empty, with their numbers. Raises `UsageError`."""
    with opened(file) as stream:
        number = 0
        while line := stream.readline(LONGEST):
            number += 1
            if not line.endswith(b"\n") and len(line) == LONGEST:
                raise UsageError(f"{file}, line {number}: longer than {LONGEST:,} bytes; this is no recording.")
            if line.strip():
                yield number, line.strip()


def envelopes(file: str) -> Iterator[tuple[int, Envelope]]:
    """The envelopes of a recording, with their lines. Raises `UsageError`."""
    for number, line in lines(file):
        try:
            found = load(line, LONGEST)
        except MalformedError as error:
            raise UsageError(
                f"{file}, line {number} is no envelope, as `record` writes them: {error.message}"
            ) from error
        if not _is_envelope(found):
            raise UsageError(f"{file}, line {number}: this is no envelope; a recording has one in each line.")
        yield number, found


def story_of(key: str, file: str) -> str:
    """The story of a recording's signal, by its sequence number, its id or the beginning of one.

    Raises `NotFoundError` when there is none, `UsageError` when it fits several stories.
    """
    key = key.strip().lower()
    digits = key.replace("-", "")
    found = {
        str(envelope.get("correlation_id")): envelope
        for _, envelope in envelopes(file)
        if str(envelope.get("seq")) == key
        or (len(digits) >= SHORTEST and str(envelope.get("id")).replace("-", "").startswith(digits))
    }
    if not found:
        raise NotFoundError(f"{file} has no signal {key[:80]}. `signal-tap play {file} --dry-run` shows what it has.")
    if len(found) > 1:
        raise UsageError(f"{key} is the beginning of {len(found)} stories in {file}. Give more digits.")
    return next(iter(found))


def _is_envelope(found: Envelope) -> bool:
    """Whether what playing looks into is there; the rest is judged by who takes the signal."""
    lists = (found.get(name, []) for name in ("also_caused_by", "taint"))
    texts = all(isinstance(each, list) and all(isinstance(item, str) for item in each) for each in lists)
    named = isinstance(found.get("signal"), str) and isinstance(found.get("causation_id", ""), str)
    return texts and named and isinstance(found.get("facts"), dict)


class RecordingError(LigandError):
    """The recording cannot be written."""


class Recording:
    """A file that is written to; whole lines, on disk at the end."""

    def __init__(self, path: Path, *, append: bool = False) -> None:
        """Make `path`, which must not exist unless it is appended to. Raises `UsageError`."""
        self.path = path
        self._is_new = not append or not path.exists()
        try:
            self._file = path.open("ab" if append else "xb", buffering=0)
        except FileExistsError as error:
            raise UsageError(f"{path} exists. Choose another name, or go on with it: --append.") from error
        except OSError as error:
            raise UsageError(f"Cannot write {path}: {error.strerror}.") from error
        self.count = 0

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with self._file:
            if error is None or isinstance(error, KeyboardInterrupt):
                with self._told():
                    _sync(self._file.fileno())
            elif self._is_new and not self.count:
                self.path.unlink(missing_ok=True)  # nothing is in it, and its name would be taken

    def write(self, raws: Iterable[bytes]) -> None:
        """Add envelopes; those that are there whole are counted, also when it fails. Raises `RecordingError`."""
        lines, written = b"".join(raw + b"\n" for raw in raws), 0
        try:
            with self._told():
                while written < len(lines):
                    written += self._file.write(memoryview(lines)[written:])
        finally:
            self.count += lines.count(b"\n", 0, written)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RecordingError(f"Cannot write {self.path}: {error.strerror}.") from error


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a pipe or a device has nothing to sync
            raise


def last_of(path: Path) -> tuple[int, str] | None:
    """`seq` and id of the last journaled signal of a recording; cuts a torn last line off. Raises `UsageError`."""
    found: tuple[int, str] | None = None
    whole = 0
    with opened(str(path)) as stream:
        while (line := stream.readline(LONGEST)).endswith(b"\n"):
            whole += len(line)
            try:
                envelope = orjson.loads(line)
                seq = envelope.get("seq")
            except (ValueError, AttributeError) as error:
                raise UsageError(f"{path} is no recording: {error}.") from error
            found = (seq, str(envelope.get("id", "-"))) if isinstance(seq, int) else found
    if whole != path.stat().st_size:
        os.truncate(path, whole)
    return found
