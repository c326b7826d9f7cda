"""SIGTERM ends a demonstration like Ctrl-C: what it started is stopped, what it made is removed."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn


def stop_when_asked() -> None:
    """Turn SIGTERM into an orderly exit with its usual status."""
    signal.signal(signal.SIGTERM, _asked_to_stop)


def _asked_to_stop(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
