"""A furnished home, and cores over it that start where the one before was killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from signals.emitter import Emitter
from signals.envelope import Signal
from signals.errors import BusUnreachableError
from tests.support.constellation import Constellation
from tests.support.inprocess import InProcess
from tests.support.keeping import furnish


@pytest.fixture
def home(tmp_path: Path) -> Constellation:
    home = Constellation(tmp_path)
    furnish(home)
    return home


@pytest.fixture
def buses(home: Constellation) -> Iterator[Callable[..., InProcess]]:
    running: list[InProcess] = []

    def start(**config: Any) -> InProcess:
        if running:
            running.pop().close()
        running.append(InProcess(home, **config))
        return running[-1]

    yield start
    running.pop().close()


def acknowledged(emitter: Emitter, signal: Signal) -> bool:
    """Whether the bus took it; False when it is gone."""
    try:
        emitter.emit(signal)
    except BusUnreachableError:
        return False
    return True
