"""Where `ligand` and `signal-tap` begin: Ctrl-C ends them quietly also while they are still being loaded."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130


def ligand() -> None:
    """The command `ligand`."""
    _start("tools.ligand.__main__")


def signal_tap() -> None:
    """The command `signal-tap`."""
    _start("tools.signal_tap.__main__")


def _start(module: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # not where whoever began us had it ignored
        signal.signal(signal.SIGINT, _end)
    main = import_module(module).main
    signal.signal(signal.SIGINT, before)
    main()


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """Nothing was begun yet, so nothing is to be tidied up; unwinding through an import half done may hang."""
    os._exit(INTERRUPTED)
