"""YAML: one document; scalars as YAML 1.2's core schema reads them. Other tags are kept, not understood."""

from __future__ import annotations

import re
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from services.experiments.formats.values import (
    FormatError,
    Parts,
    Scalar,
    Span,
    decimal,
    line_of,
    shown,
)
from services.runtime.yamlmarks import MAX_DEPTH, MAX_NODES, YamlError, compose

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_OTHERWISE_READ = frozenset(["null", "true", "false", "yes", "no", "on", "off", "y", "n"])
"""Words that some reader of YAML takes for something else than a text."""


def parse(text: str) -> Any:
    """Mappings, lists and scalars; what has another tag is `(tag, value)`. Raises `FormatError`."""
    return _Builder().build(_composed(text), 0)


def locate(text: str, parts: Parts) -> Span:
    """Where a scalar stands. Raises `FormatError` for one that others share, and for texts of several lines."""
    node = _at(_composed(text), parts)
    span = Span(node.start_mark.index, node.end_mark.index)
    token, where = span.of(text), f"line {line_of(text, span.start)}: {shown(parts)}"
    if token[:1] in ("&", "*", "!"):
        raise FormatError(f"{where} has an anchor or a tag, which says more than its value; change it by hand.")
    if "\n" in token or token[:1] in ("|", ">"):
        raise FormatError(f"{where} is a text of several lines; change it by hand.")
    return span


def written(value: Scalar, present: str) -> str:
    """A scalar; a text keeps the kind of quotes, where it can be written with them."""
    gap = "" if present else " "  # `key:` without a value ends at its colon
    if not isinstance(value, str):
        return gap + _plain(value)
    if present[:1] == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if present[:1] != '"' and _PLAIN.fullmatch(value) and value.lower() not in _OTHERWISE_READ:
        return gap + value
    return gap + _quoted(value)


def _plain(value: float | bool | None) -> str:
    if isinstance(value, float):
        return decimal(value)
    return "null" if value is None else str(value).lower()


def _quoted(text: str) -> str:
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _composed(text: str) -> Node | None:
    try:
        return compose(text)
    except YamlError as error:
        raise FormatError(f"line {error.line}: {error}") from error


def _at(node: Node | None, parts: Parts) -> Node:
    for part in parts:
        if isinstance(node, SequenceNode):
            node = node.value[int(part)]
        else:
            assert isinstance(node, MappingNode)
            node = next(value for key, value in node.value if key.value == part)
    assert isinstance(node, ScalarNode)
    return node


class _Builder:
    def __init__(self) -> None:
        self._left = MAX_NODES

    def build(self, node: Node | None, depth: int) -> Any:
        self._left -= 1
        if node is None:
            return None
        if self._left < 0 or depth > MAX_DEPTH:
            raise FormatError(f"more than {MAX_NODES} values, or nested deeper than {MAX_DEPTH} levels")
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if isinstance(node, MappingNode):
            return _tagged(kind, "map", self._mapping(node, depth))
        if isinstance(node, SequenceNode):
            return _tagged(kind, "seq", [self.build(item, depth + 1) for item in node.value])
        return _scalar(kind, str(node.value))

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                raise FormatError(f"line {line}: a list or mapping as a key is not understood")
            if key.value in built:
                raise FormatError(f"line {line}: the key {key.value!r} stands twice; keep one")
            built[key.value] = self.build(value, depth + 1)
        return built


def _tagged(kind: str, usual: str, value: Any) -> Any:
    return value if kind == usual else (kind, value)


def _scalar(kind: str, text: str) -> Any:
    try:
        if kind == "int":
            return int(text, 0)
        if kind == "float":
            return float(text)
    except ValueError:
        return (kind, text)
    plain = {"null": None, "bool": text.lower() == "true", "str": text}
    return plain.get(kind, (kind, text))
