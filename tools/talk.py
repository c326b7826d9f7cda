"""Who talks to whom, from manifests and contracts; as Mermaid and as Graphviz. Pure but for `load`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.runtime.manifest import Manifest, load_all, packaged
from signals.catalogue import Catalogue, Contract

PEOPLE = "people"
BUS = "bus"
How = Literal["consumes", "listens", "answer"]


@dataclass(frozen=True, slots=True)
class Talk:
    """One signal from one daemon to another. `people` stand for whoever drops files, emits or watches."""

    speaker: str
    signal: str
    hearer: str
    how: How


@dataclass(frozen=True, slots=True)
class World:
    """Every manifest by name, every contract, and what is said between them."""

    manifests: Mapping[str, Manifest]
    catalogue: Catalogue
    talks: tuple[Talk, ...]

    def speakers(self, signal: str) -> list[str]:
        """Who emits a signal: daemons, the bus for a time-out, people for an intent that no daemon emits."""
        found = [name for name, manifest in self.manifests.items() if signal in (*manifest.emits, *manifest.asks)]
        if any(c.expects and c.expects.timeout == signal for c in self.catalogue.values()) and BUS not in found:
            found.append(BUS)
        if not found and self.catalogue[signal].kind == "intent":
            found.append(PEOPLE)
        return found

    def hearers(self, signal: str) -> list[tuple[str, How]]:
        """Who hears a signal, and how."""
        return list(_hearers(self.manifests, self.catalogue, self.catalogue[signal]))


def load(users_manifests: Path | None = None, users_contracts: Path | None = None) -> World:
    """The packaged world, with a user's own manifests and contracts if given. Raises their errors."""
    catalogue = Catalogue.load([users_contracts] if users_contracts else [])
    if users_manifests is None:
        manifests = {manifest.daemon: manifest for manifest in map(Manifest.load, packaged())}
    else:
        manifests = load_all(users_manifests)
    return world(manifests, catalogue)


def world(manifests: Mapping[str, Manifest], catalogue: Catalogue) -> World:
    """The world of these manifests and contracts."""
    bare = World(manifests, catalogue, ())
    talks = [
        Talk(speaker, name, hearer, how)
        for name in catalogue
        for speaker in bare.speakers(name)
        for hearer, how in bare.hearers(name)
    ]
    return World(manifests, catalogue, tuple(sorted(talks, key=lambda t: (t.speaker, t.hearer, t.signal))))


def _hearers(manifests: Mapping[str, Manifest], catalogue: Catalogue, contract: Contract) -> Iterator[tuple[str, How]]:
    for name, manifest in manifests.items():
        if manifest.subscriptions(contract):
            yield name, "consumes"
        elif contract.name in manifest.listens:
            yield name, "listens"
        elif any(contract.name in _answers(catalogue, request) for request in manifest.asks):
            yield name, "answer"


def _answers(catalogue: Catalogue, request: str) -> tuple[str, ...]:
    found = catalogue.get(request)
    return (*found.expects.answers, found.expects.timeout) if found is not None and found.expects else ()


def only(talks: Iterable[Talk], names: Sequence[str]) -> list[Talk]:
    """Those in which one of these daemons or signals takes part; all when none is named."""
    wanted = set(names)
    return [talk for talk in talks if not wanted or wanted & {talk.speaker, talk.signal, talk.hearer}]


def bundled(talks: Iterable[Talk]) -> dict[tuple[str, str], list[Talk]]:
    """The signals between each two, in order."""
    found: dict[tuple[str, str], list[Talk]] = {}
    for talk in talks:
        found.setdefault((talk.speaker, talk.hearer), []).append(talk)
    return found


def mermaid(talks: Iterable[Talk]) -> str:
    """A flow chart; a dashed line is live and may miss something."""
    lines = ["flowchart LR"]
    edges = bundled(talks)
    for name in sorted({name for edge in edges for name in edge}):
        lines.append(f'  {_id(name)}(["{name}"])' if name == PEOPLE else f'  {_id(name)}["{name}"]')
    for (speaker, hearer), between in edges.items():
        label = "<br/>".join(talk.signal for talk in between)
        arrow = "-.->" if all(talk.how == "listens" for talk in between) else "-->"
        lines.append(f'  {_id(speaker)} {arrow}|"{label}"| {_id(hearer)}')
    return "\n".join(lines) + "\n"


def dot(talks: Iterable[Talk]) -> str:
    """The same for Graphviz."""
    lines = ["digraph ligand {", "  rankdir=LR;", '  node [shape=box, style=rounded, fontname="sans-serif"];']
    for (speaker, hearer), between in bundled(talks).items():
        label = "\\n".join(talk.signal for talk in between)
        style = ", style=dashed" if all(talk.how == "listens" for talk in between) else ""
        lines.append(f'  "{speaker}" -> "{hearer}" [label="{label}"{style}];')
    return "\n".join([*lines, "}"]) + "\n"


def _id(name: str) -> str:
    return name.replace("@", "_at_").replace("-", "_") + ("_" if name == "end" else "")
