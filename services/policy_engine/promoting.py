"""Changes the mode of one rule in a person's file, and not a character besides."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from services.runtime.rewriting import rewrite
from services.runtime.yamlmarks import MAX_BYTES
from signals.errors import ConfigError
from signals.files import read_regular

_WORD = re.compile(r"""\w+|"\w+"|'\w+'""")


def set_mode(path: Path, rule: str, mode: str, judge: Callable[[Path], Any]) -> None:
    """Set a rule's mode; `judge` raises for a file that cannot be used, and then nothing is changed.

    Raises `ConfigError` for a file that is written in a way which cannot be changed in one place.
    """
    text = read_regular(path, MAX_BYTES).decode() if path.exists() else ""
    edited = _edited(text, rule, mode)
    if edited is None or not _says(edited, _wanted(text, rule, mode)):
        raise ConfigError(f"{path} cannot be changed by a program as it is written. Set the mode of {rule} by hand.")
    rewrite(path, edited, judge)


def _says(text: str, wanted: Any) -> bool:
    try:
        return bool(_told(text) == wanted)
    except YAMLError:
        return False


def _told(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def _wanted(text: str, rule: str, mode: str) -> Any:
    """What the file is to say."""
    document = _told(text) or {"version": 1}
    own = next((one for one in document.get("rules", ()) if one["id"] == rule), None)
    if own is not None and rule not in document.get("modes", {}):
        own["mode"] = mode
    else:
        document.setdefault("modes", {})[rule] = mode
    return document


def _edited(text: str, rule: str, mode: str) -> str | None:
    document = YAML().load(text)
    if document is None:
        return f"{_whole_lines(text)}version: 1\nmodes:\n  {rule}: {mode}\n"
    modes = document.get("modes", {})
    own = next((one for one in document.get("rules", ()) if one["id"] == rule), None)
    if own is not None and rule not in modes:
        return _with(text, own, "mode", mode)
    if "modes" in document:
        return _with(text, modes, rule, mode) if modes else None
    if document.fa.flow_style():
        return _with(text, document, "modes", f"{{{rule}: {mode}}}")
    return f"{_whole_lines(text)}modes:\n  {rule}: {mode}\n"


def _whole_lines(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _with(text: str, mapping: CommentedMap, key: str, value: str) -> str | None:
    """The text with another value in the place of one word, or with a key more, behind the first."""
    places: dict[str, tuple[int, int, int, int]] = mapping.lc.data  # line and column of each key, and of its value
    if key in places:
        word = _WORD.match(text, _offset(text, *places[key][2:]))
        return word and f"{text[: word.start()]}{value}{text[word.end() :]}"
    line, column = list(places.values())[:2][-1][:2]
    at = _offset(text, line, column)
    after = ", " if mapping.fa.flow_style() else "\n" + " " * column
    return f"{text[:at]}{key}: {value}{after}{text[at:]}"


def _offset(text: str, line: int, column: int) -> int:
    return sum(map(len, text.splitlines(keepends=True)[:line])) + column
