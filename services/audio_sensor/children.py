"""The daemon's children: one of its own modules in a process of its own, spoken with through pipes.

A child ends when the daemon has gone, because its standard input then ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from services.audio_sensor import messages
from services.runtime import children

END_S = 2.0
TAIL = 400
LIMIT = 1 << 16


class Child:
    """A module that runs: `await Child.start("ear", settings)`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said = b""
        self._errors = asyncio.create_task(self._read_errors())

    @classmethod
    async def start(cls, module: str, settings: Mapping[str, Any]) -> Child:
        """Run `services.audio_sensor.MODULE`; its settings are the first thing that it is told."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.audio_sensor.child",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LIMIT,
        )
        child = cls(process)
        await child.tell(settings)  # not as an argument: that is shown to everybody, and may be too long
        return child

    @property
    def runs(self) -> bool:
        return self._process.returncode is None

    @property
    def last_words(self) -> str:
        """The last line on its standard error: why it ended, when it said nothing else."""
        lines = self._said.decode(errors="replace").strip().splitlines()
        return lines[-1][-200:] if lines else f"it ended with {self._process.returncode}"

    async def tell(self, message: Mapping[str, Any], payload: bytes = b"") -> None:
        """Say something to it; when it has gone nobody hears it, and its end is told by `hear`."""
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(ConnectionError):
            stdin.write(messages.packed(message, payload))
            await stdin.drain()

    async def hear(self) -> tuple[dict[str, Any], bytes] | None:
        """The next thing it says; None when it has gone."""
        assert self._process.stdout is not None
        return await messages.receive(self._process.stdout)

    async def all(self) -> AsyncIterator[tuple[dict[str, Any], bytes]]:
        """Everything it says until it goes."""
        while (found := await self.hear()) is not None:
            yield found

    def ask_to_end(self) -> None:
        """SIGTERM."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    async def end(self) -> None:
        """See to it that it has ended."""
        await children.end(self._process, END_S)
        await asyncio.gather(self._errors, return_exceptions=True)

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        while part := await self._process.stderr.read(4096):
            self._said = (self._said + part)[-TAIL:]
