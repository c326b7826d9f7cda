"""The lines of many daemons on one terminal, each with its name in front."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TextIO

OWN = "ligand"
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


class Console:
    """Writes `name | line`; names are aligned, and coloured only on a terminal without `NO_COLOR`.

    When nobody reads any more (`ligand up | head`), `on_closed` is called once.
    """

    def __init__(
        self,
        stream: TextIO,
        names: Iterable[str],
        on_closed: Callable[[], None],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        known = [OWN, *names]
        width = max(map(len, known))
        coloured = stream.isatty() and not environ.get("NO_COLOR")
        self._prefix = {name: _prefix(name, nth, width, coloured) for nth, name in enumerate(known)}
        self._stream = stream
        self._on_closed: Callable[[], None] | None = on_closed

    def line(self, name: str, text: str) -> None:
        """Write one line of a daemon. Control characters are shown, not obeyed."""
        safe = _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text.rstrip("\r"))
        if self._on_closed is None:
            return
        try:
            self._stream.write(f"{self._prefix[name]}{safe}\n")
            self._stream.flush()
        except OSError:  # the pipe's reader or the terminal is gone
            closed, self._on_closed = self._on_closed, None
            closed()

    def say(self, text: str) -> None:
        """Write one line of `ligand up` itself."""
        self.line(OWN, text)


def _prefix(name: str, nth: int, width: int, coloured: bool) -> str:
    padded = name.ljust(width)
    return f"\x1b[{_COLOURS[nth % len(_COLOURS)]}m{padded} |\x1b[0m " if coloured else f"{padded} | "
