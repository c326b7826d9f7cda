"""Whether one setting is better than another: a paired comparison with a stated test and a least effect.

The test is the exact sign-flip permutation test, one-sided: if neither setting were better, each paired difference
would be as likely to have the other sign, so p is the share of all sign patterns whose sum is at least the sum observed
(R. A. Fisher, The Design of Experiments, 1935, §21). It assumes independent pairs and no shape of distribution.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.experiments.model import Objective
from services.experiments.space import MAX_MAGNITUDE

TEST = "exact sign-flip permutation test, paired, one-sided"
MAX_PAIRS = 32
_TINY = 1e-12
Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric: means of both, the share by which the candidate is better (negative: worse), and its p-value."""

    metric: str
    before: float
    after: float
    effect: float
    p: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the candidate wins; `reasons` say why not, or what it wins by. `metrics` are those of the objective."""

    wins: bool
    reasons: tuple[str, ...]
    metrics: tuple[Compared, ...]


def sign_flip_p(differences: Sequence[float]) -> float:
    """P of a sum at least as large, over all 2**n signs of at most `MAX_PAIRS` differences; 1.0 for none at all.

    Exact, by meeting in the middle: sums of either half, 2**(n/2) each.
    """
    sizes = [abs(one) for one in differences if one]
    if len(differences) > MAX_PAIRS:
        raise ValueError(f"{len(differences)} pairs; {MAX_PAIRS} are the most")
    observed = math.fsum(differences) - _TINY * math.fsum(sizes)
    half = len(sizes) // 2
    right = sorted(_sums(sizes[half:]))
    count = sum(len(right) - bisect_left(right, observed - left) for left in _sums(sizes[:half]))
    return count / 2.0 ** len(sizes)


def _sums(sizes: Sequence[float]) -> list[float]:
    sums = [0.0]
    for size in sizes:
        sums = [one + signed for one in sums for signed in (size, -size)]
    return sums


def effect(before: float, after: float, direction: str) -> float:
    """By which share of its magnitude `before` is bettered; the plain difference where it is 0. Always finite."""
    gain = after - before if direction == "maximize" else before - after
    share = gain / abs(before) if before else gain
    return max(-MAX_MAGNITUDE, min(MAX_MAGNITUDE, share))


def compare(baseline: Sequence[Metrics], candidate: Sequence[Metrics], objective: Objective) -> Verdict:
    """Judge paired measurements: the nth of each is the same case under the same conditions.

    The candidate wins when at least one metric of the objective is better by the test (alpha shared between several
    metrics) and by the least effect, none is worse on average, and no guardrail is crossed.
    """
    if not baseline or len(baseline) != len(candidate):
        raise ValueError(f"{len(baseline)} and {len(candidate)} measurements make no pairs")
    found = tuple(_compared(name, way, baseline, candidate) for name, way in objective.metrics.items())
    alpha = objective.alpha / len(found)
    crossed = objective.crossed({name: _mean(candidate, name) for name in objective.measured})
    worse = [f"{one.metric} is worse: {_shown(one)}" for one in found if one.effect < 0]
    better = [one for one in found if one.p <= alpha and one.effect > 0 and one.effect >= objective.least_effect]
    against = [f"a guardrail is crossed: {fault}" for fault in crossed] + worse
    if not better:
        against += [_why_not(one, alpha, objective.least_effect) for one in found if one.effect >= 0]
    return Verdict(not against, tuple(against or [f"{one.metric}: {_shown(one)}" for one in better]), found)


def _compared(name: str, way: str, baseline: Sequence[Metrics], candidate: Sequence[Metrics]) -> Compared:
    sign = 1.0 if way == "maximize" else -1.0
    differences = [sign * (new[name] - old[name]) for old, new in zip(baseline, candidate, strict=True)]
    before, after = _mean(baseline, name), _mean(candidate, name)
    return Compared(name, before, after, effect(before, after, way), sign_flip_p(differences))


def _mean(found: Sequence[Metrics], name: str) -> float:
    return math.fsum(one[name] for one in found) / len(found)


def _shown(one: Compared) -> str:
    return f"{one.after:.6g} against {one.before:.6g} ({one.effect:+.1%}, p = {one.p:.3g})"


def _why_not(one: Compared, alpha: float, least: float) -> str:
    if one.p > alpha:
        return f"{one.metric} may be chance: {_shown(one)}, above alpha = {alpha:.3g}"
    return f"{one.metric} is better by too little: {_shown(one)}, below {least:.1%}"
