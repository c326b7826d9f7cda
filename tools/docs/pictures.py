"""Pictures of `signal-tap top`, `signal-tap trace` and `ligand status`: what a real constellation really shows.

It lives in a temporary home and takes the example intents of the demonstration. Times, process ids and ids of signals
differ from one making to the next; the home's own path is shown as `~/ligand`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from signals.catalogue import Catalogue
from signals.journal import Journal
from signals.paths import Paths
from tools.demo import running
from tools.demo.__main__ import EXAMPLES, FILES, GIVEN_UP_S
from tools.demo.stories import Story, Watcher
from tools.docs.terminal import NotShownError, last_screen, on_terminal, picture
from tools.signal_tap.following import Tail
from tools.signal_tap.selection import Selection

COLUMNS, LINES = 110, 34
SHOWN_AS = b"~/ligand"
LAST_ERROR = b"no_model"
"""The reason of the last error that the example intents lead to."""


def draw_all() -> dict[str, str]:
    """Each picture's file name and SVG. Raises `NotReadyError`, `NotShownError`."""
    with running.home(keep=False) as paths, running.constellation(paths) as process:
        running.await_ready(paths, process)
        home = Path(str(paths.home))
        top, stories = _top(paths, home)
        story = next((found.id for found in stories if found.id), None)
        if story is None:
            raise NotShownError("No story of an example intent began.")
        return {
            "top.svg": _drawn(top, "signal-tap top", home),
            "trace.svg": _drawn(_said(["tools.signal_tap", "trace", story], home), "signal-tap trace ID", home),
            "status.svg": _drawn(_said(["tools.ligand", "status"], home), "ligand status", home),
        }


def _top(paths: Paths, home: Path) -> tuple[bytes, list[Story]]:
    """What `top` shows once the example intents have come to their ends, and their stories."""
    with on_terminal(["tools.signal_tap", "top"], home, COLUMNS, LINES) as terminal:
        terminal.read_until(_shows(b"Q_DAEMON_READY"))  # it counts now, and so knows rates later
        stories = _tell_all(paths)
        with Journal(paths.journal) as journal:
            head = f"#{journal.head():,} ".encode()
        terminal.read_until(_shows(head, b"Q_MODULE_INTEGRATED", LAST_ERROR))
        terminal.type(b"q")
        return last_screen(terminal.read_all()), stories


def _shows(*words: bytes) -> Callable[[bytes], bool]:
    return lambda said: all(word in last_screen(said) for word in words)


def _tell_all(paths: Paths) -> list[Story]:
    with Tail(paths, Selection(), 0) as tail:
        watcher = Watcher(tail, Catalogue.load(), lambda raw: None, time.monotonic() + GIVEN_UP_S)
        return [watcher.tell(EXAMPLES / name, paths.intents) for name in FILES]


def _said(command: list[str], home: Path) -> bytes:
    with on_terminal(command, home, COLUMNS, LINES) as terminal:
        return terminal.read_all()


def _drawn(said: bytes, title: str, home: Path) -> str:
    return picture(said.replace(str(home).encode(), SHOWN_AS), title, COLUMNS)
