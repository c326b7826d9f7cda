"""Decisions as facts of Q_POLICY_DECIDED."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from services.policy_engine.model import Decision, Outcome

MAX_SENTENCES, MAX_SENTENCE = 32, 512
MAX_BYTES = 20 * 1024
"""Of `because`, and of `would_have_needed`; an envelope has 64 KiB in all."""
_OUTCOMES = {
    Outcome.FIRED: "emitted",
    Outcome.WOULD_FIRE: "shadow",
    Outcome.SUPPRESSED: "suppressed",
    Outcome.LIMITED: "suppressed",
    Outcome.ERROR: "error",
}


def decided(decision: Decision, emitted: Sequence[str]) -> dict[str, Any]:
    """The facts that tell of a decision; sentences are cut to what the contract allows."""
    because = [*decision.because]
    if decision.outcome is Outcome.WOULD_FIRE:
        because.append("would have emitted " + ", ".join(name for name, _ in decision.actions))
    facts = {
        "rule": decision.rule,
        "trigger_id": decision.signal_id,
        "trigger_signal": decision.signal,
        "outcome": _OUTCOMES[decision.outcome],
        "emitted": list(emitted),
        "because": _cut(because) or [f"{decision.signal} came"],
        "would_have_needed": _cut(decision.needed),
        "mode": decision.by,
    }
    return facts | ({"model": decision.model[:256]} if decision.model else {})


def _cut(sentences: Iterable[str]) -> list[str]:
    """The last sentences, which matter most, as far as the contract and an envelope have room for them."""
    kept: list[str] = []
    left = MAX_BYTES
    for sentence in reversed([one for one in sentences if one][-MAX_SENTENCES:]):
        cut = sentence if len(sentence) <= MAX_SENTENCE else f"{sentence[: MAX_SENTENCE - 1]}…"
        left -= len(cut.encode("utf-8", "replace"))
        if left < 0:
            break
        kept.append(cut)
    return kept[::-1]
