"""What must have happened, each claim against what is on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from signals.journal import Journal
from signals.paths import Paths
from tools.demo.stories import Story

MODULE = "json"


@dataclass(frozen=True, slots=True)
class Check:
    """A claim, and whether it held."""

    claim: str
    holds: bool


def registry_of(paths: Paths) -> Path:
    """The registry of capabilities."""
    return paths.state_of("capability_integrator") / "capabilities.yaml"


def entries_in(registry: Path) -> dict[str, Any]:
    """The registry's entries; empty when there is none."""
    if not registry.exists():
        return {}
    found: dict[str, Any] = (yaml.safe_load(registry.read_text()) or {}).get("capabilities") or {}
    return found


def entry_text(registry: Path, key: str) -> str:
    """An entry as it stands in the file."""
    lines = registry.read_text().splitlines() if registry.exists() else []
    start = next((nth for nth, line in enumerate(lines) if line == f"  {key}:"), None)
    if start is None:
        return ""
    rest = lines[start + 1 :]
    length = next((nth for nth, line in enumerate(rest) if line and not line.startswith("    ")), len(rest))
    return "\n".join(lines[start : start + 1 + length])


def judge(paths: Paths, found: Story, phantom: Story, broken: Story, question: Story) -> list[Check]:
    """Every claim of the demonstration."""
    return [
        *_integrated(paths, found),
        *_failed(phantom, "phantom", "a package that does not exist is a phantom, not a finding"),
        Check("nothing was registered for it", list(entries_in(registry_of(paths))) == [MODULE]),
        *_refused(broken),
        *_failed(question, "no_model", "a general question without a model is refused honestly"),
        *_journal(paths, (found, phantom, broken, question)),
    ]


def _integrated(paths: Paths, story: Story) -> Iterable[Check]:
    registry = registry_of(paths)
    entry = entries_in(registry).get(MODULE, {})
    facts = story.end["facts"] if story.end else {}
    digest = hashlib.sha256(registry.read_bytes()).hexdigest() if registry.exists() else None
    names = [envelope["signal"] for envelope in story.envelopes]
    chain = ["Q_INTENT_READY", "Q_CURIOSITY_INVESTIGATE", "Q_INVESTIGATION_COMPLETE", "Q_MODULE_INTEGRATED"]
    yield Check(f"{story.file} went through {' → '.join(chain)}", names == chain)
    yield Check(f"{registry.name} has an entry for {MODULE}, not enabled", entry.get("enabled") is False)
    yield Check("the entry cites the investigation", entry.get("signal_id") in [e["id"] for e in story.envelopes])
    yield Check("the registry is byte for byte what was reported", digest == facts.get("registry_sha256"))
    yield Check("its answer stands beside it in done/", _answer(story).get("outcome") == "integrated")


def _failed(story: Story, reason: str, claim: str) -> Iterable[Check]:
    facts = story.end["facts"] if story.end else {}
    ended = story.end is not None and story.end["signal"] == "Q_INVESTIGATION_FAILED"
    yield Check(f"{story.file}: {claim} ({reason})", ended and facts.get("reason") == reason)
    told = _answer(story)
    yield Check("its answer says so in done/", told.get("outcome") == "failed" and told.get("reason") == reason)


def _refused(story: Story) -> Iterable[Check]:
    ended = story.end is not None and story.end["signal"] == "Q_INTENT_REJECTED"
    kept = story.kept is not None and story.kept.parent.name == "rejected"
    yield Check(f"{story.file} was refused and is kept in rejected/", ended and kept)
    text = story.beside.read_text() if story.beside else ""
    yield Check("its .error file says where and how to mend it", "Where:" in text and "How to mend it:" in text)


def _journal(paths: Paths, stories: Iterable[Story]) -> Iterable[Check]:
    with Journal(paths.journal) as journal:
        whole = all(
            [orjson.loads(raw)["id"] for raw in journal.story(story.id)] == [e["id"] for e in story.envelopes]
            for story in stories
            if story.id
        )
        dead = list(journal.dead())
    yield Check("the journal holds every story whole", whole and all(story.id for story in stories))
    yield Check("nothing became a dead letter", not dead)


def _answer(story: Story) -> dict[str, Any]:
    if story.beside is None or story.beside.parent.name != "done":
        return {}
    found: dict[str, Any] = orjson.loads(story.beside.read_bytes())
    return found
