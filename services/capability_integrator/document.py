"""The text of the registry: read with everything a person wrote in it, checked, and one entry added."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from services.capability_integrator import plain

MAX_BYTES = 16 * 1024 * 1024
VERSION = 1
HEADER = """\
# What Ligand has found that this machine can do: one entry a module, by its full dotted name.
# An entry is added disabled; set `enabled: true` to let it be used. Comments and your own keys are kept.
"""
_TEXTS = {"type": "array", "items": {"type": "string"}}
_ENTRY = {
    "type": "object",
    "properties": {
        "enabled": {"type": "boolean"},
        "summary": {"type": "string"},
        "capabilities": _TEXTS,
        "entry_points": _TEXTS,
        "path": {"type": "string"},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "investigation_id": {"type": "string"},
        "signal_id": {"type": "string"},
        "evidence_sha256": {"type": "string"},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {
        "version": {"const": VERSION},
        "capabilities": {
            "type": ["object", "null"],
            "propertyNames": {"type": "string", "pattern": r"^[^\W\d]\w*(\.[^\W\d]\w*)*$"},
            "additionalProperties": _ENTRY,
        },
    },
}
_IS_VALID = jsonschema_rs.validator_for(SCHEMA).is_valid


class RegistryInvalid(Exception):
    """The registry is not what it should be; the message says in which line and what to mend."""


class Document:
    """One reading of the registry. `data` is None when nothing but comments stands in it."""

    def __init__(self, raw: bytes) -> None:
        """Read and check. Raises `RegistryInvalid`."""
        self._text = _decoded(raw)
        self._yaml = _reader(self._text)
        self._plain = plain.read(self._text)
        if self._plain is not None and not _IS_VALID(self._plain.data):
            self._plain = None  # the slower reading says in which line
        self._data = self._plain.data if self._plain else self._loaded()

    def entry(self, key: str) -> Mapping[str, Any] | None:
        """The entry under a dotted name."""
        entries = (self._data.get("capabilities") if self._data else None) or {}
        found = entries.get(key)
        return found if isinstance(found, Mapping) else None

    def with_entry(self, key: str, entry: Mapping[str, Any]) -> bytes:
        """The text with one entry more; everything else stays as it was. Raises `RegistryInvalid`."""
        if self._data is None:
            return (self._text + self._fresh(key, entry)).encode()
        if self._plain is not None:
            quick = self._plain.with_lines(key, entry, self._lines(key, entry, self._plain.column))
            if quick is not None:
                return quick.encode()
        return self._rewritten(key, entry)

    def _lines(self, key: str, entry: Mapping[str, Any], column: int) -> str:
        """The entry as it stands among others, indented as the file has it."""
        yaml = _reader(self._text)
        yaml.explicit_start = False
        return textwrap.indent(_dumped(yaml, CommentedMap({key: _quoted(entry)})).decode(), " " * column)

    def _rewritten(self, key: str, entry: Mapping[str, Any]) -> bytes:
        """The whole file read and written anew, with what a person wrote in it."""
        data = self._loaded()
        assert data is not None
        if data.get("capabilities") is None:
            data["capabilities"] = CommentedMap()
        data["capabilities"][key] = _quoted(entry)
        written = _dumped(self._yaml, data)
        Document(written)
        return written

    def _fresh(self, key: str, entry: Mapping[str, Any]) -> str:
        gap = "" if not self._text or self._text.endswith("\n") else "\n"
        new = CommentedMap({"version": VERSION, "capabilities": CommentedMap({key: _quoted(entry)})})
        return gap + (HEADER if not self._text else "") + _dumped(self._yaml, new).decode()

    def _loaded(self) -> CommentedMap | None:
        """Everything, with its comments. Raises `RegistryInvalid`."""
        try:
            data = self._yaml.load(self._text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else "?"
            raise RegistryInvalid(f"line {line}: {error.problem or error.context or 'not YAML'}") from error
        except (YAMLError, ValueError, RecursionError) as error:
            raise RegistryInvalid(f"not YAML: {str(error).splitlines()[0]}") from error
        if data is not None and not isinstance(data, CommentedMap):
            raise RegistryInvalid("line 1: the file is not a mapping with the key 'capabilities'")
        if data is not None:
            _check(data)
        return data


def _quoted(entry: Mapping[str, Any]) -> CommentedMap:
    """The entry, with texts in double quotes where plain YAML would fold or lose a character such as U+0085."""
    return CommentedMap({name: _text(value) for name, value in entry.items()})


def _text(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_text(item) for item in value]
    if isinstance(value, str) and not value.isprintable():
        return DoubleQuotedScalarString(value)
    return value


def _decoded(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise RegistryInvalid(f"larger than {MAX_BYTES} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise RegistryInvalid(f"line {line}: not UTF-8") from error


def _reader(text: str) -> YAML:
    """A round-trip reader that writes lists and long lines as the file has them."""
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = 1_000_000
    yaml.explicit_start = any(line.startswith("---") for line in text.splitlines()[:50])
    offset = _list_offset(text)
    yaml.indent(mapping=_mapping_indent(text), sequence=offset + 2, offset=offset)
    return yaml


def _mapping_indent(text: str) -> int:
    """The spaces before the first indented key, 2 if there is none."""
    for line in text.splitlines():
        bare = line.lstrip(" ")
        if bare and len(bare) < len(line) and bare[0] not in "#-":
            return len(line) - len(bare)
    return 2


def _list_offset(text: str) -> int:
    """How much deeper than its key the first list stands; 2 if there is none."""
    key_column = None
    for line in text.splitlines():
        bare = line.lstrip(" ")
        column = len(line) - len(bare)
        if bare.startswith("- ") and key_column is not None and column >= key_column:
            return column - key_column
        if bare and not bare.startswith("#"):
            key_column = column if bare.rstrip().endswith(":") else None
    return 2


def _dumped(yaml: YAML, data: CommentedMap) -> bytes:
    stream = io.BytesIO()
    yaml.dump(data, stream)
    return stream.getvalue()


def _check(data: CommentedMap) -> None:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 70 ms that only a registry with faults is worth
    from jsonschema.exceptions import best_match  # noqa: PLC0415

    error = best_match(Draft202012Validator(SCHEMA).iter_errors(data))
    if error is not None:
        path = list(error.absolute_path)
        raise RegistryInvalid(f"line {_line(data, path)}: {'.'.join(map(str, path)) or 'file'}: {error.message[:300]}")


def _line(data: Any, path: list[Any]) -> int:
    """The line of a place in the document, as near as it is known."""
    line = 1
    for step in path:
        if isinstance(data, CommentedMap) and step in data:
            line = data.lc.key(step)[0] + 1
        data = data[step]
    return line
