"""What is said of a candidate that was to be proven, and why there is none, as plain data for the record. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from services.experiments.comparing import TEST, Metrics, Verdict


def no(why: str) -> dict[str, Any]:
    """Nothing was proven."""
    return {"wins": False, "reasons": [why], "compared": [], "pairs": 0}


def none(trials: Sequence[Mapping[str, Any]], ended: str) -> dict[str, Any]:
    """Why there is nothing to prove."""
    if not trials:
        words = {"time": "the time was over before a candidate was tried", "exhausted": "there is no candidate to try"}
        return no(words.get(ended, "no candidate was tried"))
    failed = [one for one in trials if one["state"] == "failed"]
    if len(failed) == len(trials):
        most = Counter(one["reason"] for one in failed).most_common(1)[0][0]
        return no(f"every one of {len(trials)} trials failed, most of them: {most}")
    return no("none of the candidates looked better than what is in use")


def verdict(found: Verdict, alpha: float, measured: Mapping[str, Sequence[Metrics]]) -> dict[str, Any]:
    """What the comparison says, with all that was compared."""
    compared = [
        {"metric": one.metric, "before": one.before, "after": one.after, "effect": one.effect, "p": one.p}
        for one in found.metrics
    ]
    pairs = [dict(one) for one in measured["baseline"]], [dict(one) for one in measured["candidate"]]
    said = {"wins": found.wins, "reasons": list(found.reasons), "compared": compared, "pairs": len(pairs[0])}
    return {**said, "test": TEST, "alpha": alpha, "measured": {"baseline": pairs[0], "candidate": pairs[1]}}
