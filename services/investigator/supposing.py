"""What becomes of a question's hypothesis: confirmed or refuted by evidence that was read, else undecided and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.investigator.claims import Answer, checked
from services.investigator.logic import MAX_FINDINGS, Facts, fit
from services.investigator.prompts import CLAIM
from services.investigator.telling import MAX_FINDING
from services.investigator.words import MAX_SUMMARY, clip

UNDECIDED = "undecided"
DECIDED = ("confirmed", "refuted")
SUPPOSITION = "Supposition "
"""How the finding begins that says what became of it."""
_SCHEMA: dict[str, Any] = {
    **CLAIM,
    "required": [*CLAIM["required"], "verdict"],
    "properties": {**CLAIM["properties"], "verdict": {"enum": [*DECIDED, UNDECIDED]}},
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`word` is one of confirmed, refuted, undecided; `why` is a sentence with the numbers of what shows it."""

    word: str
    why: str

    @property
    def finding(self) -> str:
        """For a person."""
        return clip(f"{SUPPOSITION}{self.word}: {self.why}", MAX_FINDING)


def schema_of(base: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The form of an answer: with a verdict where something is supposed."""
    if not asked.get("hypothesis"):
        return dict(base)
    properties = {"hypothesis": _SCHEMA, **base["properties"]}
    return {**base, "required": list(properties), "properties": properties}


def judged(asked: Mapping[str, Any], answer: Mapping[str, Any], model: str, evidence: int) -> Verdict | None:
    """What a model's answer, which fits the schema, says of what is supposed, beside so many pieces of evidence.

    None where nothing is supposed. A verdict that cites nothing that was read decides nothing.
    """
    if not asked.get("hypothesis"):
        return None
    said = answer["hypothesis"]
    if said["verdict"] not in DECIDED:
        return Verdict(UNDECIDED, clip(said["text"], MAX_FINDING - 40))
    claim = checked("verdict", said, evidence)
    if claim is None:
        return Verdict(UNDECIDED, f"{clip(model, 80)} said {said['verdict']}, and cited nothing of what was read.")
    return Verdict(said["verdict"], claim.told)


def unjudged(asked: Mapping[str, Any], why: str) -> Verdict | None:
    """Where nobody judged it: reading alone decides nothing. None where nothing is supposed."""
    return Verdict(UNDECIDED, why) if asked.get("hypothesis") else None


def told(facts: Facts, verdict: Verdict | None) -> Facts:
    """The facts of an answer, and first among its findings what became of the supposition."""
    if verdict is None:
        return facts
    findings = [verdict.finding, *facts["findings"]][:MAX_FINDINGS]
    return fit(
        {**facts, "verdict": verdict.word, "findings": findings}, lists=("capabilities", "entry_points", "findings")
    )


def untold(facts: Facts) -> Facts:
    """An answer for a question that supposes nothing."""
    findings = [line for line in facts["findings"] if not line.startswith(SUPPOSITION)]
    return {name: value for name, value in facts.items() if name != "verdict"} | {"findings": findings}


def answers(answer: Answer, verdict: Verdict | None) -> bool:
    """Whether the model answered anything by what was read: by a claim, or by a verdict."""
    return bool(answer.claims) or (verdict is not None and verdict.word in DECIDED)


def summary(answered: str, verdict: Verdict | None) -> str:
    """The answer in words; the verdict where that is all there is."""
    return answered if answered or verdict is None else clip(verdict.finding, MAX_SUMMARY)
