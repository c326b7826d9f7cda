"""Whether an investigation becomes an entry, and what stands in it: pure decisions."""

from __future__ import annotations

import hashlib
import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

MAX_NAME = 256
MAX_DETAIL = 2_000
SUBJECT = "module"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STORY = ("question_id", "question", "investigation_id", "summary")

Facts = dict[str, Any]
Ending = Literal["Q_MODULE_INTEGRATED", "Q_INTEGRATION_SKIPPED", "Q_INTEGRATION_FAILED"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The one signal that an investigation ends in."""

    signal: Ending
    facts: Facts


@dataclass(frozen=True, slots=True)
class Written:
    """What stands on disk at the end: the registry's path and digest, and whether the entry is enabled."""

    registry: str
    sha256: str
    enabled: bool
    created_init: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Why an investigation does not become an entry; `failed` when something is wrong with it."""

    reason: str
    detail: str
    failed: bool = False
    retryable: bool = False


def judge(facts: Mapping[str, Any], min_confidence: float) -> Stop | None:
    """What speaks against registering an investigation, whatever the registry holds; None if nothing does."""
    if facts["subject"] != SUBJECT:
        return Stop("not_a_module", f"The investigation was about a {facts['subject']}, not about a module.")
    name = facts.get("module_name")
    if not isinstance(name, str) or not is_module_name(name):
        return Stop("bad_name", f"{str(name)[:200]!r} is not a dotted Python name.", failed=True)
    if not has_source(facts):
        return Stop("phantom", f"No file that was read stands behind {name}; a claim is not registered.")
    if float(facts["confidence"]) < min_confidence:
        sure = f"The investigation is {facts['confidence']} sure, below min_confidence {min_confidence}."
        return Stop("low_confidence", f"{sure} Document the module, or lower the bound, and investigate again.")
    return None


def is_module_name(name: str) -> bool:
    """A full dotted name that `import` would take, in ASCII, in which names have one form."""
    parts = name.split(".")
    return len(name) <= MAX_NAME and all(map(_IDENTIFIER.fullmatch, parts)) and not any(map(keyword.iskeyword, parts))


def has_source(facts: Mapping[str, Any]) -> bool:
    """Whether at least one cited piece of evidence was really read, and at least one Python file counted."""
    return facts.get("py_files_count") != 0 and any(one.get("sha256") for one in facts["evidence"])


def is_same(entry: Mapping[str, Any], signal_id: str) -> bool:
    """Whether an entry was made from this very signal, so that handling it again is a redelivery."""
    return entry.get("signal_id") == signal_id


def entry_of(facts: Mapping[str, Any], signal_id: str, timestamp: str) -> Facts:
    """A new entry, disabled; a pure function of the signal, so that a redelivery writes the same bytes."""
    return {
        "enabled": False,
        "summary": facts["summary"],
        "capabilities": list(facts["capabilities"]),
        "entry_points": list(facts["entry_points"]),
        "path": facts.get("module_path", ""),
        "confidence": facts["confidence"],
        "investigation_id": facts["investigation_id"],
        "signal_id": signal_id,
        "integrated_at": timestamp,
        "evidence_sha256": evidence_sha256(facts),
    }


def evidence_sha256(facts: Mapping[str, Any]) -> str:
    """One digest over all evidence, in the order in which it was given."""
    written = json.dumps(facts["evidence"], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


def integrated(facts: Mapping[str, Any], written: Written) -> Outcome:
    """The module stands in the registry."""
    told = {
        **{name: facts[name] for name in _STORY},
        "module_name": facts["module_name"],
        "module_path": facts.get("module_path") or facts["module_name"],
        "capability_key": facts["module_name"],
        "registry": written.registry,
        "registry_sha256": written.sha256,
        "created_init": written.created_init,
        "enabled": written.enabled,
    }
    return Outcome("Q_MODULE_INTEGRATED", told)


def stopped(facts: Mapping[str, Any], stop: Stop) -> Outcome:
    """The module was left out, or could not be registered."""
    where = facts.get("module_path") or facts.get("module_name")
    told = {name: facts[name] for name in _STORY} | {
        "reason": stop.reason,
        "detail": stop.detail[:MAX_DETAIL],
    }
    name = facts.get("module_name")
    if isinstance(name, str) and is_module_name(name):
        told["module_name"] = name
    if stop.failed:
        return Outcome("Q_INTEGRATION_FAILED", told | {"module_path": where or "unknown", "retryable": stop.retryable})
    told["confidence"] = facts["confidence"]
    return Outcome("Q_INTEGRATION_SKIPPED", told | ({"module_path": where} if where else {}))
