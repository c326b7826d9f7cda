"""Changes the mode of one rule in a person's file, and nothing else of it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from ruamel.yaml import YAML

from services.runtime.yamlmarks import MAX_BYTES
from signals.files import read_regular


def set_mode(path: Path, rule: str, mode: str, judge: Callable[[Path], Any]) -> None:
    """Set a rule's mode; `judge` raises for a file that cannot be used, and then nothing is changed."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    path = Path(os.path.realpath(path))  # a link stays one
    text = read_regular(path, MAX_BYTES).decode() if path.exists() else ""
    document = yaml.load(text) or {"version": 1}
    own = next((one for one in document.get("rules") or () if one["id"] == rule), None)
    if own is not None and rule not in (document.get("modes") or {}):
        own["mode"] = mode
    else:
        document.setdefault("modes", {})[rule] = mode
    written = io.StringIO()
    yaml.dump(document, written)
    _replace(path, written.getvalue(), judge)


def _replace(path: Path, text: str, judge: Callable[[Path], Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8") as fresh:
        fresh.write(text)
        fresh.flush()
        os.fsync(fresh.fileno())
    made = Path(fresh.name)
    try:
        judge(made)
        made.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        made.replace(path)
    except BaseException:
        made.unlink()
        raise
