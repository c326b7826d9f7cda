"""The registry read by libyaml and changed by position, where it is plain YAML.

What is not plain (flow mappings around entries, tags, merge keys, faults) is left to `document`, which takes any YAML
and costs a hundred times as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from services.runtime.yamlmarks import TooDeepError, YamlError, compose, scalar

MAX_NODES = 1_000_000
ENTRIES = "capabilities"


class NotPlainError(Exception):
    """The text is not YAML that is understood here."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A registry in plain YAML. `last` is the key of the last entry, None when there is no entry to stand after."""

    text: str
    data: dict[str, Any]
    last: Node | None

    @property
    def column(self) -> int:
        """How far the keys of entries are indented."""
        return int(self.last.start_mark.column) if self.last else 0

    def with_lines(self, key: str, entry: Mapping[str, Any], lines: str) -> str | None:
        """The text with the `lines` of an entry after the last one; None where that would not give just that."""
        end = self._end()
        if end is None:
            return None
        gap = "" if self.text[end - 1] == "\n" else "\n"
        written = f"{self.text[:end]}{gap}{lines}{self.text[end:]}"
        wanted = self.data | {ENTRIES: self.data[ENTRIES] | {key: dict(entry)}}
        after = read(written)
        return written if after is not None and after.data == wanted else None

    def _end(self) -> int | None:
        """Where the last entry ends, its comments with it, but not those of what follows."""
        if self.last is None:
            return None
        begin = int(self.last.start_mark.index)
        place = self.text.rfind("\n", 0, begin) + 1
        if self.text[place:begin] != " " * self.column:
            return None
        end = place = self._after(place)
        while place < len(self.text):
            after = self._after(place)
            line = self.text[place:after]
            indent = len(line) - len(line.lstrip(" "))
            is_comment = line.lstrip(" ").startswith("#")
            if line.strip() and not is_comment and indent <= self.column:
                break
            if line.strip() and indent >= self.column:
                end = after
            place = after
        return end

    def _after(self, place: int) -> int:
        """The beginning of the next line."""
        return (self.text.find("\n", place) + 1) or len(self.text)


def read(text: str) -> Plain | None:
    """The registry; None for what is not plain YAML or no mapping with entries. Raises `TooDeepError`."""
    if "\r" in text or text.startswith("\ufeff"):
        return None
    try:
        node = compose(text)
        data = _Values().of(node)
    except TooDeepError:
        raise
    except (YamlError, NotPlainError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get(ENTRIES), dict):
        return None
    return Plain(text, data, _last_entry(node))


def _last_entry(node: Any) -> Node | None:
    found = next(value for key, value in node.value if key.value == ENTRIES)
    return found.value[-1][0] if found.value and found.flow_style is False else None


class _Values:
    """Plain values of nodes, counting them, since aliases can multiply. Raises `NotPlainError`."""

    def __init__(self) -> None:
        self._left = MAX_NODES

    def of(self, node: Node | None) -> Any:
        self._left -= 1
        if node is None or self._left < 0:
            raise NotPlainError
        if isinstance(node, MappingNode) and node.tag.endswith(":map"):
            return self._mapping(node)
        if isinstance(node, SequenceNode) and node.tag.endswith(":seq"):
            return [self.of(item) for item in node.value]
        return scalar(node)

    def _mapping(self, node: MappingNode) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            is_text = isinstance(key, ScalarNode) and key.tag.endswith(":str")
            if not is_text or key.value in found or key.value == "<<":
                raise NotPlainError
            found[key.value] = self.of(value)
        return found
