"""Giving a person's file another text: judged first, then whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile

from signals.files import dress, sync


def rewrite(path: Path, text: str, judge: Callable[[Path], object], copy: Path | None = None) -> None:
    """Put the text in place, durable when this returns; mode and owner stay, and what stood there is kept as `copy`.

    A link stays one. `judge` is given the new file before that, and raises for one that cannot be used; then nothing is
    changed. Raises OSError, and what `judge` raises.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as fresh:
        made = Path(fresh.name)
        try:
            fresh.write(text.encode())
            fresh.flush()
            judge(made)
            if not dress(fresh.fileno(), path):
                os.fchmod(fresh.fileno(), 0o644)
            os.fsync(fresh.fileno())
            if copy is not None and path.exists():
                shutil.copy2(path, copy)
            made.replace(path)
        except BaseException:
            made.unlink()
            raise
    sync(path.parent)
