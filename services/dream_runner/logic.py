"""What a cycle decides: which experiments are due, which candidate is worth proving, what becomes of each promotion."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from services.experiments.comparing import effect
from services.experiments.model import Experiment, Objective
from services.experiments.space import Parameter, Params, Space, Value

COLLAPSED = 0.02
"""A spread below which the candidates of late are one and the same."""
LOOKED_AT = 8
MAX_REASON = 160
MAX_VERDICT = 120
PER_DIMENSION = 60
"""So many trials a parameter, and CMA-ES finds as good a minimum as TPE at a fraction of the cost of each proposal."""
Metrics = Mapping[str, float]


# -- which experiments are due -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Past:
    """When an experiment last ran (Unix seconds), and of which definition and values."""

    at: float
    fingerprint: str


def fingerprint(digest: str, present: Params) -> str:
    """What an experiment's result depends on: its definition, and the values in use."""
    return sha256(f"{digest}\0{canonical(present)}".encode()).hexdigest()[:32]


def canonical(params: Params) -> str:
    """The same text for the same values."""
    return json.dumps(dict(sorted(params.items())), ensure_ascii=True)


def winner_id(experiment: str, digest: str, params: Params) -> str:
    """A winner's id: of what it is, so that the same winner is the same whichever cycle finds it."""
    found = sha256("\0".join((experiment, digest, canonical(params))).encode())
    return f"w-{found.hexdigest()[:32]}"


def is_due(now: float, past: Past | None, print_now: str, promoted: bool, again_after_s: float) -> bool:
    """Whether trying again could find anything new: something was proposed, changed, or it is long ago."""
    if past is None or promoted or past.fingerprint != print_now:
        return True
    return not 0 <= now - past.at < again_after_s


def is_about(experiment: Experiment, topic: str | None) -> bool:
    """Whether a topic means this experiment: by its name, its daemon, or what it says it is about."""
    if topic is None:
        return True
    said = (experiment.name, experiment.target.daemon or "", experiment.about)
    return any(topic.casefold() in text.casefold() for text in said)


def too_many(starts: Iterable[float], now: float, most: int) -> bool:
    """Whether so many cycles began within a day that no further one may."""
    return sum(is_of_today(at, now) for at in starts) >= most


def is_of_today(at: float, now: float) -> bool:
    """Within a day; what seems to come was before the clock was set back."""
    return abs(now - at) < 86400


def to_forget(judged: Mapping[str, float], there: Collection[str], most: int) -> list[str]:
    """The promotions (id -> when it was judged) to be forgotten: the oldest beyond `most` of those that are gone.

    One that still lies there is never forgotten: it would be tried anew, for ever.
    """
    gone = sorted((name for name in judged if name not in there), key=lambda name: judged[name])
    return gone[: max(0, len(gone) - most)]


# -- candidates ----------------------------------------------------------------------------------------


def sampler(experiment: Experiment) -> str:
    """Which sampler proposes: `nsga2` for several metrics, `cmaes` for many trials over plain numbers, else `tpe`."""
    parameters = experiment.space.parameters
    if len(experiment.objective.metrics) > 1:
        return "nsga2"
    plain = all(one.kind == "float" and one.step is None and not one.when for one in parameters)
    if plain and len(parameters) > 1 and experiment.budget.trials >= PER_DIMENSION * len(parameters):
        return "cmaes"
    return "tpe"


def uniform(space: Space, draw: random.Random) -> dict[str, Value]:
    """A setting drawn evenly from the whole space; constraints are not looked at."""
    found: dict[str, Value] = {}
    for one in space.parameters:
        if space.is_active(one, found):
            found[one.name] = _drawn(one, draw)
    return found


def _drawn(one: Parameter, draw: random.Random) -> Value:
    if one.kind == "categorical":
        return draw.choice(one.choices)
    if one.step is not None:
        value = one.low + draw.randint(0, int((one.high - one.low) / one.step + 1e-9)) * one.step
        return int(value) if one.kind == "int" else value
    if one.log:
        value = math.exp(draw.uniform(math.log(one.low), math.log(one.high)))
    elif one.kind == "int":
        value = draw.randint(int(one.low), int(one.high))
    else:
        value = draw.uniform(one.low, one.high)
    value = min(max(value, one.low), one.high)
    return round(value) if one.kind == "int" else value


def spread(space: Space, candidates: Sequence[Params]) -> float:
    """How far apart settings are, 0 to 1: the mean over parameters of the range they take up of what they may."""
    shares = [_share(one, [each[one.name] for each in candidates if one.name in each]) for one in space.parameters]
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else 1.0


def _share(one: Parameter, values: Sequence[Value]) -> float | None:
    if len(values) < 2:
        return None
    if one.kind == "categorical":
        return (len(set(map(repr, values))) - 1) / (min(len(one.choices), len(values)) - 1)
    scale = math.log if one.log else float
    numbers = [scale(float(value)) for value in values]
    return (max(numbers) - min(numbers)) / (scale(one.high) - scale(one.low))


def has_collapsed(space: Space, candidates: Sequence[Params]) -> bool:
    """Whether the latest candidates hardly differ, so that a fresh one tells more than another like them."""
    latest = candidates[-LOOKED_AT:]
    return len(latest) == LOOKED_AT and spread(space, latest) < COLLAPSED


# -- which candidate to prove --------------------------------------------------------------------------


def gain(objective: Objective, baseline: Metrics, found: Metrics) -> float:
    """How much better all in all, as a share of the baseline; 0 where any metric is worse or a guardrail is crossed."""
    effects = [effect(baseline[name], found[name], way) for name, way in objective.metrics.items()]
    if objective.crossed(found) or any(one < 0 for one in effects):
        return 0.0
    return sum(effects)


def finalist(objective: Objective, baseline: Metrics, trials: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The one candidate to be proven: only one, so that the test's level is the cycle's. None if none looks better."""
    complete = [one for one in trials if one["state"] == "complete"]
    best = max(complete, key=lambda one: gain(objective, baseline, one["metrics"]), default=None)
    return best if best is not None and gain(objective, baseline, best["metrics"]) > 0 else None


def front(objective: Objective, trials: Sequence[Mapping[str, Any]]) -> list[int]:
    """The numbers of the candidates that no other beats in every metric."""
    fit = [one for one in trials if one["state"] == "complete" and not one["crossed"]]
    return [
        one["n"] for one in fit if not any(_dominates(objective, other["metrics"], one["metrics"]) for other in fit)
    ]


def _dominates(objective: Objective, one: Metrics, other: Metrics) -> bool:
    effects = [effect(other[name], one[name], way) for name, way in objective.metrics.items()]
    return all(value >= 0 for value in effects) and any(value > 0 for value in effects)


def survivors(objective: Objective, baseline: Metrics, trials: Sequence[Mapping[str, Any]], most: int) -> list[Params]:
    """The best candidates, for the next cycle to begin with."""
    complete = [one for one in trials if one["state"] == "complete" and not one["crossed"]]
    ranked = sorted(complete, key=lambda one: -gain(objective, baseline, one["metrics"]))
    return [one["params"] for one in ranked[:most]]


# -- what becomes of promotions ------------------------------------------------------------------------


def verdict(origin: str, params: Params, record: Mapping[str, Any]) -> tuple[str, str] | None:
    """What became of a promotion in its experiment's record: verdict and reason; None when its turn never came."""
    if canonical(params) == canonical(record["present"]):
        return "rejected", "it is what is in use already"
    same = canonical(params)
    trial = next((one for one in record["trials"] if one["from"] == origin or canonical(one["params"]) == same), None)
    if trial is None:
        return None
    if record["winner"] is not None and canonical(record["winner"]["params"]) == canonical(trial["params"]):
        return "accepted", _cut(f"it won: {'; '.join(record['verdict']['reasons'])}")
    return "rejected", _cut(_why(trial, record))


def _why(trial: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    if trial["state"] == "failed":
        return f"its evaluation failed: {trial['reason']}: {trial['detail']}"
    if trial["state"] == "pruned":
        return "given up early: it fell behind the others"
    if trial["crossed"]:
        return f"it crosses a guardrail: {trial['crossed'][0]}"
    if trial["n"] == record["finalist"]:
        return f"not proven: {'; '.join(record['verdict']['reasons'])}"
    name = next(iter(record["objective"]["metrics"]))
    before, after = record["baseline"][name], trial["metrics"][name]
    better = "another candidate was better" if record["winner"] else "no better than what is in use"
    return f"{better}: {name} {after:.6g}, in use {before:.6g}"


def _cut(text: str, most: int = MAX_REASON) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def tellable(text: str, most: int) -> str:
    """As a signal can carry it: cut, and without what is no character, as in the name of a file."""
    return _cut(text.encode("utf-8", "replace").decode(), most)


# -- what is told --------------------------------------------------------------------------------------


def told(record: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment in `Q_DREAM_COMPLETE`: by its first metric; on held-out cases if a candidate was to be proven."""
    name, way = next(iter(record["objective"]["metrics"].items()))
    compared = next((one for one in record["verdict"]["compared"] if one["metric"] == name), None)
    before = compared["before"] if compared else record["baseline"][name]
    after = compared["after"] if compared else _best(record, name, way, before)
    found = {
        "name": record["experiment"],
        "trials": len(record["trials"]),
        "baseline": before,
        "best": after,
        "improvement": effect(before, after, way),
        "significant": bool(compared) and any(_is_sure(one, record) for one in record["verdict"]["compared"]),
        "verdict": _cut("; ".join(record["verdict"]["reasons"]), MAX_VERDICT),
        "failed_trials": sum(record["failed"].values()),
        "spread": record["spread"],
    }
    return found | ({"p_value": compared["p"], "pairs": record["verdict"]["pairs"]} if compared else {})


def _is_sure(compared: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    alpha = record["verdict"]["alpha"] / len(record["verdict"]["compared"])
    return bool(compared["p"] <= alpha and compared["effect"] > 0)


def _best(record: Mapping[str, Any], name: str, way: str, before: float) -> float:
    """The best value of a candidate that crosses nothing; that of the baseline where none is better."""
    complete = [one for one in record["trials"] if one["state"] == "complete" and not one["crossed"]]
    values = [float(one["metrics"][name]) for one in complete] + [before]
    return max(values) if way == "maximize" else min(values)


def winner(run: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """A winner in `Q_DREAM_COMPLETE`: its fitness is that on held-out cases."""
    first = record["verdict"]["compared"][0]
    params = record["winner"]["params"]
    return {
        "winner_id": winner_id(record["experiment"], record["digest"], params),
        "experiment": record["experiment"],
        "params": params,
        "fitness": first["after"],
        "baseline_fitness": first["before"],
        "target": run["target"],
        "target_sha256": run["target_sha256"],
        "digest": record["digest"],
    }
