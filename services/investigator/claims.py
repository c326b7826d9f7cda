"""What a model's answer is worth: only claims that cite what was really read. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from services.investigator.logic import MAX_FINDINGS, Facts, Outcome, failed, fit, question_of
from services.investigator.telling import MAX_CAPABILITIES, MAX_PHRASE
from services.investigator.words import MAX_SUMMARY, clip

MAXCLAIM = 360
MAXCLAIMS = 32
MAX_ANSWER = 3000
SURER_BY = 0.2
"""How much a model may add to the confidence that reading alone gave."""
SUREST = 0.95
_ID = re.compile(r"\[?\s*E?(\d{1,3})\s*\]?")
KINDS = {
    "purpose": "purpose",
    "capabilities": "capability",
    "integration_points": "integration",
    "risks": "risk",
    "answer": "answer",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """Something said, and the numbers (from 1) of the evidence that it cites; all of them exist."""

    kind: str
    text: str
    evidence: tuple[int, ...]

    @property
    def told(self) -> str:
        """For a person: the text and the numbers."""
        return f"{self.text} [{', '.join(map(str, self.evidence))}]"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is left of a model's answer; `dropped` claims cited nothing that was read."""

    claims: tuple[Claim, ...]
    dropped: int
    confidence: float
    unknowns: tuple[str, ...]
    more: tuple[Mapping[str, Any], ...] = field(default=())

    def of(self, kind: str) -> list[Claim]:
        """The claims of one kind."""
        return [claim for claim in self.claims if claim.kind == kind]

    @property
    def kept_share(self) -> float:
        """How many of its claims were kept, 0 to 1."""
        return len(self.claims) / max(1, len(self.claims) + self.dropped)


def read(parsed: Any, schema: Mapping[str, Any], evidence: int) -> Answer | None:
    """What a model's data is worth beside so many pieces of evidence; None when it does not fit the schema."""
    if not jsonschema_rs.is_valid(dict(schema), parsed):
        return None
    said = list(_said(parsed))
    kept = [claim for claim in (checked(kind, one, evidence) for kind, one in said) if claim is not None]
    unknowns = tuple(filter(None, (clip(one, MAXCLAIM - 20) for one in parsed["unknowns"])))
    return Answer(
        tuple(kept[:MAXCLAIMS]), len(said) - len(kept), float(parsed["confidence"]), unknowns,
        tuple(parsed.get("more", ())),
    )  # fmt: skip


def _said(parsed: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, kind in KINDS.items():
        found = parsed.get(name, [])
        yield from ((kind, one) for one in (found if isinstance(found, list) else [found]))


def checked(kind: str, said: Mapping[str, Any], evidence: int) -> Claim | None:
    """A claim of a model; None when it cites none of so many pieces of evidence."""
    named = [match for one in said["evidence"] if (match := _ID.fullmatch(one.strip()))]
    numbers = dict.fromkeys(number for match in named if 1 <= (number := int(match[1])) <= evidence)
    text = clip(said["text"], MAXCLAIM - 40)
    return Claim(kind, text, tuple(numbers)[:10]) if numbers and text else None


def with_model(static: Facts, answer: Answer, model: str, tokens: int, duration_s: float) -> Facts:
    """The answer about a module, as the model's claims and what was read make it together."""
    purpose = answer.of("purpose")
    capabilities = [clip(claim.text, MAX_PHRASE) for claim in answer.of("capability")]
    facts = static | {
        "capabilities": list(dict.fromkeys([*capabilities, *static["capabilities"]]))[:MAX_CAPABILITIES],
        "confidence": sure(static["confidence"], answer),
        "findings": _findings(answer, purpose, static["findings"]),
        "method": "model",
        "model": clip(model, 256) or "unnamed",
        "tokens": tokens,
        "duration_s": round(duration_s, 6),
    }
    if purpose:
        facts["summary"] = clip(f"{static['module_name']}: {purpose[0].text}", MAX_SUMMARY)
    return fit(facts, lists=("capabilities", "entry_points", "findings"))


def general(
    asked: Mapping[str, Any],
    identity: str,
    answer: Answer,
    evidence: Sequence[Mapping[str, Any]],
    *,
    model: str,
    tokens: int,
    duration_s: float,
) -> Facts:
    """The answer to a question that names no module: what the model can show, and on what it rests."""
    is_unit = any(one["kind"] == "unit_file" for one in evidence) and re.search(r"\.service\b", asked["question"])
    facts = {
        "investigation_id": identity,
        **question_of(asked),
        "subject": "unit" if is_unit else "general",
        "method": "model",
        "summary": clip(" ".join(claim.text for claim in answer.of("answer")), MAX_ANSWER),
        "findings": _findings(answer, answer.of("answer"), []),
        "capabilities": [],
        "entry_points": [],
        "confidence": round(min(answer.confidence * answer.kept_share, SUREST), 2),
        "evidence": list(evidence),
        "model": clip(model, 256) or "unnamed",
        "tokens": tokens,
        "duration_s": round(duration_s, 6),
    }
    return fit(facts, lists=("findings",))


def unanswered(
    asked: Mapping[str, Any], reason: str, why: str, evidence: Sequence[Mapping[str, Any]], retryable: bool
) -> Outcome:
    """The honest end of a question that nothing answers, with what was gathered for whoever looks further."""
    seen = [f"{one['ref']} (sha256 {one['sha256'][:12]})" if "sha256" in one else one["ref"] for one in evidence]
    gathered = (
        f"Gathered: {'; '.join(seen)}."
        if seen
        else "Nothing was found where it may look: `folders` in investigator.yaml says where."
    )
    return failed(asked, reason, f"{clip(why, MAXCLAIM)} {gathered}", retryable)


def _findings(answer: Answer, first: Sequence[Claim], before: Sequence[str]) -> list[str]:
    """The model's and what reading found: of each the most telling, so that neither crowds the other out."""
    told = [claim.told for claim in first][:8]
    told += [f"Integrates: {claim.told}" for claim in answer.of("integration")][:4]
    told += [f"Risk: {claim.told}" for claim in answer.of("risk")][:3]
    told += [f"Unknown: {one}" for one in answer.unknowns][:3]
    told += _dropped(answer)
    return [*told, *before][:MAX_FINDINGS]


def _dropped(answer: Answer) -> list[str]:
    if not answer.dropped:
        return []
    many = "1 claim" if answer.dropped == 1 else f"{answer.dropped} claims"
    return [f"Left out: {many} of the model that cited nothing of what was read."]


def sure(static: float, answer: Answer) -> float:
    """Between what reading gave and what the model says, less for each claim without evidence.

    A model cannot make a module that could hardly be read a sure thing.
    """
    value = (static + answer.confidence * answer.kept_share) / 2
    return round(max(0.0, min(value, static + SURER_BY, SUREST)), 2)


def without_model(static: Facts, reason: str, why: str) -> Facts:
    """The answer that reading alone gave, which says that no model helped and why."""
    findings = [*static["findings"][: MAX_FINDINGS - 1], f"No model helped: {clip(why, MAXCLAIM)}"]
    return fit(static | {"findings": findings, "without_model": reason})
