"""Subjects whose investigation failed again and again are left alone until a person says otherwise. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Any

from services.investigator import logic
from services.investigator.logic import Facts, Outcome
from services.investigator.words import clip

KEPT = "failed|"
MAX_SUBJECTS = 1000
MAX_SUBJECT = 190
"""Characters: what is kept has names of at most 200."""
PASSING = frozenset({"no_model", "suppressed"})
"""Reasons that say nothing about the subject."""


def subject_of(asked: Mapping[str, Any]) -> str:
    """What a question is about: the module it names, else its words."""
    named = logic.candidates(asked)
    return clip(named[0] if named else f"question: {asked['question']}", MAX_SUBJECT)


def suppressed(state: Mapping[str, Any], asked: Mapping[str, Any], after: int) -> Outcome | None:
    """The end of a question about a subject that failed `after` times; None when it may be looked into."""
    subject = subject_of(asked)
    kept = state.get(KEPT + subject)
    if kept is None or kept["count"] < after:
        return None
    said = (
        f"{subject} was investigated {kept['count']} times in vain, the last time: {kept['reason']}: {kept['detail']}"
    )
    return logic.failed(
        asked, "suppressed", f"{said} To have it tried again: `ligand suppress clear {quote(subject)}`."
    )


def puts(state: Mapping[str, Any], asked: Mapping[str, Any], outcome: Outcome, at: str) -> dict[str, Facts | None]:
    """What is to be kept of an outcome: counted when it failed, forgotten when it did not."""
    key = KEPT + subject_of(asked)
    if outcome.signal == "Q_INVESTIGATION_COMPLETE":
        return {key: None} if key in state else {}
    if outcome.facts["reason"] in PASSING:
        return {}
    count = state[key]["count"] if key in state else 0
    told = {"reason": outcome.facts["reason"], "detail": clip(outcome.facts["detail"], 400)}
    return {**_oldest(state, key), key: {"count": count + 1, "at": at, **told}}


def _oldest(state: Mapping[str, Any], key: str) -> dict[str, None]:
    """What is forgotten to make room: made-up names must not fill the state."""
    kept = [name for name in state if name.startswith(KEPT)]
    if key in state or len(kept) < MAX_SUBJECTS:
        return {}
    return {min(kept, key=lambda name: str(state[name]["at"])): None}


def cleared(state: Mapping[str, Any], subject: str | None) -> dict[str, None]:
    """What a person wants forgotten: one subject, or all."""
    if subject is not None:
        return {KEPT + subject: None} if KEPT + subject in state else {}
    return {name: None for name in state if name.startswith(KEPT)}


def listed(state: Mapping[str, Any]) -> list[Facts]:
    """The subjects that failed, those that failed most first."""
    found = [{"subject": name.removeprefix(KEPT), **kept} for name, kept in state.items() if name.startswith(KEPT)]
    return sorted(found, key=lambda one: (-one["count"], one["subject"]))
