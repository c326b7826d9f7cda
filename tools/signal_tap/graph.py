"""A story as a graph for other programs: Mermaid and Graphviz. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tools.signal_tap.story import Envelope, Step, headline_of, held_back, walk
from tools.text import clean, seconds_text, shorten

LONGEST = 100


@dataclass(frozen=True, slots=True)
class Node:
    """A signal (`kind` None) or a dead letter (`kind` "dead"), and the lines that name it."""

    key: str
    lines: tuple[str, ...]
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """What led to what; `label` is how long it took, `side` marks a further cause."""

    source: str
    target: str
    label: str = ""
    side: bool = False


def parts(roots: Sequence[Step]) -> tuple[list[Node], list[Edge]]:
    """The nodes and edges of a story."""
    found = list(walk(roots))
    keys = {str(step.envelope["id"]): f"n{number}" for number, step in enumerate(found, 1)}
    nodes: list[Node] = []
    edges: list[Edge] = []
    for step in found:
        key = keys[str(step.envelope["id"])]
        nodes.append(Node(key, tuple(_lines(step.envelope))))
        cause = keys.get(str(step.envelope.get("causation_id")))
        if cause and step.latency_s is not None:
            edges.append(Edge(cause, key, seconds_text(step.latency_s)))
        also = (keys.get(str(other)) for other in step.envelope.get("also_caused_by") or ())
        edges += [Edge(other, key, side=True) for other in also if other]
        for nth, letter in enumerate(step.dead, 1):
            nodes.append(Node(f"{key}d{nth}", tuple(_dead_lines(letter)), "dead"))
            edges.append(Edge(key, f"{key}d{nth}"))
    return nodes, edges


def _lines(envelope: Envelope) -> Iterator[str]:
    yield clean(envelope.get("signal"))
    yield f"#{envelope.get('seq')} {clean(envelope.get('source'))}"
    if note := held_back(envelope):
        yield note


def _dead_lines(letter: Envelope) -> Iterator[str]:
    yield shorten(headline_of(letter), LONGEST)
    yield shorten(clean(str(letter.get("error"))[:400]), LONGEST)


def mermaid(roots: Sequence[Step]) -> str:
    """A Mermaid flowchart."""
    nodes, edges = parts(roots)
    lines = ["flowchart TD"]
    for node in nodes:
        mark = ":::dead" if node.kind else ""
        lines.append(f'  {node.key}["{_joined(node.lines, _mermaid_text, "<br/>")}"]{mark}')
    for edge in edges:
        arrow = "-.->" if edge.side else "-->"
        label = f'|"{_mermaid_text(edge.label)}"|' if edge.label else ""
        lines.append(f"  {edge.source} {arrow}{label} {edge.target}")
    if any(node.kind for node in nodes):
        lines.append("  classDef dead fill:#fdd,stroke:#c00,color:#900")
    return "\n".join(lines)


def dot(roots: Sequence[Step]) -> str:
    """A Graphviz digraph."""
    nodes, edges = parts(roots)
    lines = ["digraph story {", "  node [shape=box, fontname=sans];", "  edge [fontname=sans, fontsize=10];"]
    for node in nodes:
        mark = ", color=red, fontcolor=red" if node.kind else ""
        lines.append(f'  {node.key} [label="{_joined(node.lines, _dot_text, chr(92) + "n")}"{mark}];')
    for edge in edges:
        label = f' [label="{_dot_text(edge.label)}"]' if edge.label else " [style=dashed]" if edge.side else ""
        lines.append(f"  {edge.source} -> {edge.target}{label};")
    return "\n".join([*lines, "}"])


def _joined(lines: Iterable[str], escape: Callable[[str], str], between: str) -> str:
    return between.join(map(escape, lines))


def _mermaid_text(text: str) -> str:
    """Every character that could end or shape a label as an entity."""
    return "".join(f"#{ord(mark)};" if mark in '"#<>&`[]{}()|\\;' else mark for mark in text)


def _dot_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
