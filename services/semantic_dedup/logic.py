"""When two findings say the same, and when they contradict each other. Pure.

A near neighbour by embedding decides nothing alone: "call mother" and "call the bank" are near. Subject and key terms
must agree as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

STEM = 6
"""Characters of a word that count: `service`, `serviced` and `services` are one term."""
LEAST_SHARED = 2
ASKED_ALIKE = 0.5
DISAGREE = 0.1
MAX_LISTED = 32
MAX_KEY = 190
"""Characters: what is kept has names of at most 200."""
AGAIN = "contradiction."
"""How the question ids begin of what is asked because of a contradiction; their answers never lead to another."""
_WORD = re.compile(r"[^\W\d_]{3,}")
_NUMBER = re.compile(r"\d+(?:[.:,]\d+)*")
_NOT = re.compile(
    r"\b(not|no|never|none|nothing|nobody|neither|nor|without|cannot|nicht|kein\w*|nie|\w+n't)\b", re.IGNORECASE
)
_COMMON = frozenset(
    word
    for line in (
        "the and for are was were what which who why how when where does did has have had can could would should this",
        "that these those there with from into about your you mine our any all not use uses used using one its they",
        "them their been being will may might must than then also only such each other some more most very just over",
        "under nor neither never every since because module package library python code file files class classes",
        "function functions provides provide offers contains implements implement allows lets makes made said says",
        "simple small based",
    )
    for word in line.split()
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """From where on two texts say the same, each 0 to 1: by the embedding's cosine, and by the key terms they share.

    A module's name has told much already: `agree_on_a_module` holds for two findings about one.
    """

    near: float
    agree: float = 0.7
    agree_on_a_module: float = 0.55


@dataclass(frozen=True, slots=True)
class Finding:
    """What is kept of an investigation. `subject` is a module's full name, else empty; `of` is what it repeats."""

    id: str
    question_id: str
    subject: str
    question: str
    text: str
    method: str
    dependencies: tuple[str, ...] = ()
    evidence: str = ""
    verdict: str = ""
    of: str = ""

    @property
    def stands_for(self) -> str:
        """The id of the first finding that said this."""
        return self.of or self.id


@dataclass(frozen=True, slots=True)
class Compared:
    """How a finding stands to another: by what, how near (0 to 1), and which terms they share."""

    kind: Literal["duplicate", "contradiction", "other"]
    similarity: float
    shared: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Links:
    """What a finding is linked with."""

    duplicate: tuple[Finding, Compared] | None = None
    contradicted: tuple[tuple[Finding, Compared], ...] = ()
    integrates_with: tuple[str, ...] = ()
    used_by: tuple[str, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.duplicate or self.contradicted or self.integrates_with or self.used_by)


def finding_of(facts: Mapping[str, Any]) -> Finding:
    """From the facts of a Q_INVESTIGATION_COMPLETE."""
    subject = str(facts.get("module_name") or "")
    text = str(facts["summary"]).removeprefix(f"{subject}: ")
    return Finding(
        id=facts["investigation_id"],
        question_id=facts["question_id"],
        subject=subject,
        question=facts["question"][:1000],
        text=text[:2000],
        method=facts["method"],
        dependencies=tuple(facts.get("dependencies", ())),
        evidence=facts.get("evidence_sha256", ""),
        verdict=facts.get("verdict", ""),
    )


def terms(text: str) -> frozenset[str]:
    """The words that tell what a text is about, cut to their stems."""
    return frozenset(_stem(word) for word in _WORD.findall(text.lower()) if word not in _COMMON)


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word.removesuffix("e")[:STEM]


def agreement(one: frozenset[str], other: frozenset[str]) -> float:
    """How much of their terms two texts share, 0 to 1 (Dice's coefficient)."""
    return 2 * len(one & other) / max(1, len(one) + len(other))


def agree(new: Finding, old: Finding, bounds: Bounds) -> bool:
    """Whether two findings are about the same, by subject and key terms: without that no embedding decides."""
    mine, theirs = terms(new.text), terms(old.text)
    shared, least = len(mine & theirs), bounds.agree_on_a_module if new.subject else bounds.agree
    enough = shared >= min(LEAST_SHARED, len(mine | theirs)) > 0
    return new.subject == old.subject and enough and agreement(mine, theirs) >= least


def compare(new: Finding, old: Finding, similarity: float, bounds: Bounds) -> Compared:
    """How `new` stands to `old`, whose texts are `similarity` near."""
    mine, theirs = terms(new.text), terms(old.text)
    shared = tuple(sorted(mine & theirs))
    if new.subject != old.subject:
        return Compared("other", similarity, shared, "another subject")
    asked_alike = bool(new.subject) or agreement(terms(new.question), terms(old.question)) >= ASKED_ALIKE
    if asked_alike and {new.verdict, old.verdict} == {"confirmed", "refuted"}:
        return Compared("contradiction", similarity, shared, "one confirms what the other refutes")
    if similarity >= bounds.near and agree(new, old, bounds):
        against = _against(new.text, old.text)
        return Compared("contradiction" if against else "duplicate", similarity, shared, against)
    if _read_otherwise(new, old, agreement(mine, theirs)):
        return Compared("contradiction", similarity, shared, "the same evidence was read as something else")
    return Compared("other", similarity, shared, "too far apart" if similarity < bounds.near else "other key terms")


def _against(one: str, other: str) -> str:
    """What two texts that say nearly the same differ in; empty when nothing that matters."""
    if bool(_NOT.search(one)) is not bool(_NOT.search(other)):
        return "one denies what the other says"
    mine, theirs = set(_NUMBER.findall(one)), set(_NUMBER.findall(other))
    if mine and theirs and not (mine <= theirs or theirs <= mine):
        return f"{', '.join(sorted(mine - theirs))} is not {', '.join(sorted(theirs - mine))}"
    return ""


def _read_otherwise(new: Finding, old: Finding, agreeing: float) -> bool:
    """A model made of the same files something wholly different."""
    by_model = new.method == old.method == "model"
    return bool(new.subject and by_model and new.evidence and new.evidence == old.evidence and agreeing <= DISAGREE)


def links(
    new: Finding, compared: Sequence[tuple[Finding, Compared]], using: Sequence[str], users: Sequence[str]
) -> Links:
    """What to link: the nearest that says the same, all that contradict, and what goes with it."""
    same = [pair for pair in compared if pair[1].kind == "duplicate"]
    against = [pair for pair in compared if pair[1].kind == "contradiction"]
    first = max(same, key=lambda pair: pair[1].similarity, default=None)
    return Links(first, tuple(against[:8]), tuple(using[:MAX_LISTED]), tuple(users[:MAX_LISTED]))


def facts_of(new: Finding, found: Links, embedding: str) -> dict[str, Any]:
    """The facts of the Q_FINDING_LINKED."""
    facts: dict[str, Any] = {
        "investigation_id": new.id,
        "question_id": new.question_id,
        "integrates_with": list(found.integrates_with),
        "used_by": list(found.used_by),
        "contradicts": [
            {"investigation_id": one.id, "why": how.why[:200], "similarity": _share(how.similarity)}
            for one, how in found.contradicted
        ],
        "embedding": embedding,
    }
    if new.subject:
        facts["subject"] = new.subject
    if found.duplicate:
        old, how = found.duplicate
        facts["duplicate_of"] = old.stands_for
        facts |= {"similarity": _share(how.similarity), "shared_terms": list(how.shared[:MAX_LISTED])}
    return facts


def _share(similarity: float) -> float:
    return round(min(1.0, max(0.0, similarity)), 3)


def question(new: Finding, found: Links) -> dict[str, Any]:
    """The facts of the Q_CURIOSITY_INVESTIGATE that looks into a contradiction."""
    old, how = found.contradicted[0]
    about = new.subject or new.question[:200]
    facts: dict[str, Any] = {
        "question": f"Two findings about {about} contradict each other ({how.why[:200]}). "
        f"One: {old.text[:1500]} The other: {new.text[:1500]} Which of them holds?",
        "question_id": f"{AGAIN}{min(old.id, new.id)[:100]}.{max(old.id, new.id)[:100]}",
        "priority": "low",
        "evidence": [f"investigation:{old.id}", f"investigation:{new.id}"],
    }
    return facts | {"module_path": new.subject} if new.subject else facts


def may_ask(new: Finding, asked: Mapping[str, float], now: float, again_after_s: float, per_day: int) -> bool:
    """Whether a contradiction about a finding's subject is looked into: seldom, and never because of such an answer.

    `asked` is subject -> when one was last looked into, seconds since the epoch.
    """
    if new.question_id.startswith(AGAIN):
        return False
    last = asked.get(key_of(new))
    today = sum(1 for at in asked.values() if at > now - 86400)
    return today < per_day and (last is None or last <= now - again_after_s)


def key_of(finding: Finding) -> str:
    """What contradictions are counted by."""
    return (finding.subject or " ".join(sorted(terms(finding.question))))[:MAX_KEY]
