"""Where lines go, and when that place is gone."""

from __future__ import annotations

import os
import pty

import pytest

from tools.cli import ReaderGoneError
from tools.signal_tap.output import Output


def test_a_terminal_that_was_closed_is_a_reader_that_left() -> None:
    """Closing the window of a busy tap must end it quietly, as a closed pipe does."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "wb", buffering=0) as stream:
        output = Output(stream)
        assert output.terminal
        output.need_reader()
        os.close(ours)
        with pytest.raises(ReaderGoneError):
            output.line("x")
        with pytest.raises(ReaderGoneError):
            output.need_reader()
