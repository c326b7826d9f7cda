"""YAML as plain JSON data that remembers the line of every key.

Scalars follow YAML 1.2's core schema: `on`, `22:00` and `2026-01-01` are texts, not a truth value,
a number in base 60 and a date.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from signals.files import read_regular

PathTo = tuple[str | int, ...]
MAX_BYTES = 256 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 64

_CORE = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+",
        list("-+.0123456789"),
    ),
)


class YamlError(Exception):
    """The text is not the YAML that a configuration may be; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class TooDeepError(YamlError):
    """The text is nested so deep that no reader should try it."""


@dataclass
class Marked:
    """`data` as JSON would have it; `lines` gives the line (from 1) of each key or item by its path.

    `first` is the line of what has no other: 0 where no file was read.
    """

    data: Any
    lines: dict[PathTo, int] = field(default_factory=dict)
    first: int = 1

    def line(self, path: PathTo) -> int:
        """The line of the path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, self.first)


class _CoreLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """libyaml where PyYAML was built with it: ten times as fast, and each command reads every manifest."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


for _name, _pattern, _first in _CORE:
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _first)


def parse_file(path: Path) -> Marked:
    """Read the one document in a file. Raises `YamlError`, and OSError for what is no file that can be read."""
    return parse(read_regular(path, MAX_BYTES))


def parse(raw: bytes) -> Marked:
    """Read one document. Raises `YamlError` with the line; an empty text is `None`."""
    if len(raw) > MAX_BYTES:
        raise YamlError(f"the file is larger than {MAX_BYTES // 1024} KiB", 1)
    node = compose(raw)
    marked = Marked(None)
    if node is not None:
        marked.data = _Builder(marked).build(node, ())
    return marked


def compose(raw: bytes | str) -> Node | None:
    """The nodes of one document, each with its place in the text; None for an empty one. Raises `YamlError`."""
    try:
        _need_shallow(raw)
        loader = _CoreLoader(raw)
        try:
            node: Node | None = loader.get_single_node()
        finally:
            loader.dispose()
        return node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(error.problem or "not valid YAML", mark.line + 1 if mark else 1) from error
    except yaml.YAMLError as error:
        raise YamlError(" ".join(str(error).split()), 1) from error
    except RecursionError as error:
        raise TooDeepError(f"nested deeper than {MAX_DEPTH} levels", 1) from error


def _need_shallow(raw: bytes | str) -> None:
    """Raise `YamlError` for what is nested too deep: composing it would overflow the stack of libyaml's binding."""
    depth = 0
    for event in yaml.parse(raw, Loader=_CoreLoader):
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH + 1:
                raise TooDeepError(f"nested deeper than {MAX_DEPTH} levels", event.start_mark.line + 1)  # type: ignore[union-attr]
        elif isinstance(event, CollectionEndEvent):
            depth -= 1


class _Builder:
    def __init__(self, marked: Marked) -> None:
        self._lines = marked.lines
        self._left = MAX_NODES

    def build(self, node: Node, path: PathTo) -> Any:
        line = node.start_mark.line + 1
        self._lines.setdefault(path, line)
        self._left -= 1
        if self._left < 0:
            raise YamlError(f"more than {MAX_NODES} values, counting those that aliases repeat", line)
        if len(path) > MAX_DEPTH:
            raise YamlError(f"nested deeper than {MAX_DEPTH} levels", line)
        if isinstance(node, MappingNode) and node.tag.endswith(":map"):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode) and node.tag.endswith(":seq"):
            return [self.build(item, (*path, nth)) for nth, item in enumerate(node.value)]
        return scalar(node)

    def _mapping(self, node: MappingNode, path: PathTo) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = self._key(key_node), key_node.start_mark.line + 1
            if key in found:
                first = self._lines[(*path, key)]
                raise YamlError(f"the key {key!r} stands twice, first on line {first}; keep one", line)
            self._lines[(*path, key)] = line
            found[key] = self.build(value_node, (*path, key))
        return found

    @staticmethod
    def _key(node: Node) -> str:
        if isinstance(node, ScalarNode) and node.tag.endswith(":str"):
            return _text(str(node.value), node.start_mark.line + 1)
        shown = node.value if isinstance(node, ScalarNode) else "a list or mapping"
        raise YamlError(f"a key must be text, not {shown}; put it in quotes", node.start_mark.line + 1)


def _text(text: str, line: int) -> str:
    # only the escapes \ud800 to \udfff bring these in, and no text encoding can carry them out
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise YamlError(f"{text!a} is not text: write the character itself or \\UXXXXXXXX", line)
    return text


def scalar(node: Node) -> Any:
    """The plain value of a node. Raises `YamlError`."""
    line = node.start_mark.line + 1
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if not isinstance(node, ScalarNode) or kind not in ("null", "bool", "int", "float", "str"):
        raise YamlError(f"the tag {node.tag} is not allowed; plain values, lists and mappings are", line)
    text = _text(str(node.value), line)
    try:
        if kind == "int":
            return int(text, 0)
        if kind == "float":
            return float(text)
    except ValueError as error:
        raise YamlError(f"{text!r} is not a number", line) from error
    return {"null": None, "bool": text.lower() == "true"}.get(kind, text)
