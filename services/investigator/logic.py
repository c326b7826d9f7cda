"""What is asked, and the signal that a question ends in. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from services.investigator import telling
from services.investigator.report import Evidence, Report
from services.investigator.words import clip

MAX_CANDIDATES = 8
MAX_ENTRY_POINTS = 32
MAX_ENTRY_POINT = 160
MAX_EVIDENCE = 20
MAX_REF = 512
MAX_DEPENDENCIES = 48
MAX_DEPENDENCY = 64
MAX_FINDINGS = 20
UNCHANGED = "Unchanged and not investigated again"
MAX_DETAIL = 2_000
MAX_QUESTION_BYTES = 17_000
MAX_FACTS_BYTES = 48_000
LISTS = ("evidence", "capabilities", "entry_points", "findings")
_NAMESPACE = uuid.UUID("5d0a3f5e-6c1b-5c7e-9a44-0b9d6b1f2c11")

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The one signal that a question ends in; `texts` are of its evidence, one each, for a model to read."""

    signal: Literal["Q_INVESTIGATION_COMPLETE", "Q_INVESTIGATION_FAILED"]
    facts: Facts
    taint: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def investigation_id(signal_id: str) -> str:
    """The id of the investigation that a signal asks for: the same for a redelivery, a UUID."""
    return str(uuid.uuid5(_NAMESPACE, signal_id))


def candidates(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Names and paths that the question may mean, in order: the fact, `module:` and `path:` evidence."""
    evidence = [str(line) for line in facts.get("evidence") or ()]
    named = [str(facts.get("module_path") or "")]
    for mark in ("module:", "path:"):
        named += [line[len(mark) :] for line in evidence if line.startswith(mark)]
    kept = dict.fromkeys(name.strip() for name in named if name.strip())
    return tuple(kept)[:MAX_CANDIDATES]


def complete(asked: Mapping[str, Any], report: Report, identity: str, duration_s: float) -> Outcome:
    """The answer about a module. Its facts fit an envelope whatever the module holds."""
    sure, why = telling.confidence(report)
    facts: Facts = {
        "investigation_id": identity,
        **question_of(asked),
        "subject": "module",
        "module_name": report.name,
        "module_path": report.path,
        "py_files_count": report.py_files,
        "has_init": report.has_init,
        "size_bytes": report.size,
        "dependencies": [one for one in telling.foreign(report) if len(one) <= MAX_DEPENDENCY][:MAX_DEPENDENCIES],
        "has_tests": bool(report.tests),
        "method": "static",
        "summary": telling.summary(report),
        "findings": telling.findings(report, sure, why),
        "capabilities": telling.capabilities(report.interface.items),
        "entry_points": [clip(one, MAX_ENTRY_POINT) for one in report.entry_points[:MAX_ENTRY_POINTS]],
        "confidence": sure,
        "evidence": [cited(one) for one in report.evidence[:MAX_EVIDENCE]],
        "duration_s": round(duration_s, 6),
    }
    if report.digest:
        facts["evidence_sha256"] = report.digest
    fitted = fit(facts)
    texts = tuple(one.text for one in report.evidence[: len(fitted["evidence"])])
    return Outcome("Q_INVESTIGATION_COMPLETE", fitted, ("file",), texts)


def again(facts: Mapping[str, Any], asked: Mapping[str, Any], identity: str) -> Outcome:
    """An answer that still holds, for another question."""
    said = [line for line in facts["findings"] if not line.startswith(UNCHANGED)]
    fresh = {
        "investigation_id": identity,
        **question_of(asked),
        "findings": [*said[: MAX_FINDINGS - 1], f"{UNCHANGED} since investigation {facts['investigation_id']}."],
    }
    return Outcome("Q_INVESTIGATION_COMPLETE", fit({**facts, **fresh}))


def failed(asked: Mapping[str, Any], reason: str, detail: str, retryable: bool = False) -> Outcome:
    """The honest end of a question that found no answer."""
    told = {"reason": reason, "detail": clip(detail, MAX_DETAIL), "retryable": retryable}
    facts = {**question_of(asked), **told}
    if asked.get("module_path"):
        facts["module_path"] = asked["module_path"]
    return Outcome("Q_INVESTIGATION_FAILED", facts)


def no_model(asked: Mapping[str, Any]) -> Outcome:
    """A question that names no module cannot be answered by reading one."""
    return failed(
        asked,
        "no_model",
        "The question names no module, and no model is configured to answer "
        "it. Name the module (module_path, or evidence such as module:json or path:src/audio).",
    )


def question_of(asked: Mapping[str, Any]) -> Facts:
    """What every answer repeats of its question; a question too long for that is cut."""
    question = str(asked["question"])
    while len(json.dumps(question, ensure_ascii=False).encode("utf-8", "replace")) > MAX_QUESTION_BYTES:
        question = question[: len(question) * 3 // 4] + "…"
    return {"question_id": asked["question_id"], "question": question}


def cited(evidence: Evidence) -> Facts:
    """Evidence as facts name it."""
    ref = evidence.ref if len(evidence.ref) <= MAX_REF else "…" + evidence.ref[1 - MAX_REF :]
    named: Facts = {"kind": evidence.kind, "ref": ref}
    return named | {"sha256": evidence.sha256} if evidence.sha256 else named


def fit(facts: Facts, limit: int = MAX_FACTS_BYTES, lists: Sequence[str] = LISTS) -> Facts:
    """Shorten the longest of `lists` until the facts fit; the last finding says that something was left out."""
    fitted = dict(facts)
    shortened = False
    while len(json.dumps(fitted, ensure_ascii=False).encode("utf-8", "replace")) > limit:
        longest = max(lists, key=lambda key: len(str(fitted[key])))
        if not fitted[longest]:
            break
        fitted[longest] = fitted[longest][: len(fitted[longest]) * 3 // 4]
        shortened = True
    if shortened:
        fitted["findings"] = [*fitted["findings"], "Lists were shortened to fit one signal."]
    return fitted
