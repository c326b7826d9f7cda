"""What a cycle is going to do: read from the files once, when it begins, and kept with it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.dream_runner import logic
from services.dream_runner.logic import Past
from services.experiments import promotions
from services.experiments.definition import files, load_all
from services.experiments.files import digest, opened
from services.experiments.model import Experiment
from services.experiments.promotions import Promotion, PromotionError
from services.experiments.space import Params
from services.experiments.targets import FormatError, place_of, values_in
from signals.errors import LigandError

MAX_PROMOTIONS, MAX_REJECTED = 48, 24
MAX_EXPERIMENTS = 6
"""So many a cycle; what is left is due the next time."""
MAX_READ = 5000
"""So many promotions are looked at, of each experiment `MAX_PROMOTIONS`: one that cannot run keeps no other waiting."""
WRITING_S = 10.0
"""A promotion that cannot be read and is as young as this may still be being written."""
ACKNOWLEDGED, RAN, SURVIVORS = "acknowledged|", "ran|", "survivors|"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a trigger asks for. A person's wish is not held against what ran lately."""

    reason: str
    topic: str | None
    experiment: str | None
    by_person: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a cycle does not begin: a word, what a person can do, and whether it may succeed later by itself."""

    reason: str
    detail: str
    retryable: bool = False


@dataclass
class Plan:
    """The runs, as plain data that is kept; what was rejected or failed before anything ran; or a refusal."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, str]] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    refused: Refused | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The promotions that nobody has acknowledged: those that can be used, and why the others cannot."""

    found: Sequence[Promotion] = ()
    broken: Mapping[str, str] = field(default_factory=dict)


def waiting(folder: Path, state: Mapping[str, Any], now: float) -> Waiting:
    """Read the promotions that wait, the oldest first."""
    found, broken, counts = list[Promotion](), dict[str, str](), Counter[str]()
    for written, path in _oldest_first(folder):
        name = promotions.identifier(path.name.removesuffix(".json"))
        if f"{ACKNOWLEDGED}{name}" in state or counts.total() + len(broken) >= MAX_READ:
            continue
        try:
            one = promotions.read(path)
            counts[one.experiment] += 1
            if counts[one.experiment] <= MAX_PROMOTIONS:
                found.append(one)
        except OSError:  # gone meanwhile, or not to be read: it goes on waiting, and the monitor tells of it
            continue
        except PromotionError as error:
            if not 0 <= now - written < WRITING_S:
                broken[name] = f"it is no promotion: {error}"
    return Waiting(found, broken)


def _oldest_first(folder: Path) -> list[tuple[float, Path]]:
    dated = []
    for path in folder.glob("*.json") if folder.is_dir() else ():
        try:
            if not path.name.startswith(".") and path.is_file() and not path.is_symlink():
                dated.append((path.stat().st_mtime, path))
        except OSError:  # gone meanwhile
            continue
    return sorted(dated)


def plan(config: Path, folder: Path, wish: Wish, state: Mapping[str, Any], settings: Mapping[str, Any]) -> Plan:
    """What to do about a wish, by the files as they now are."""
    now = time.time()
    known, refused = load_all(config)
    names = {path.stem for path in files(config)}
    found = waiting(folder, state, now)
    made = Plan(rejected=[{"id": name, "reason": why} for name, why in found.broken.items()])
    made.failed += [_failure(Path(str(error.fields["file"])).stem, "not_usable", error.message) for error in refused]
    usable = _held_against(found.found, known, names, made)
    del made.rejected[MAX_REJECTED:]
    wanted = [one for one in known.values() if _is_wanted(one, wish)]
    if not wanted:
        made.refused = _nothing(wish, names, made.failed, config)
        return made
    runs = [(one, in_use) for one in wanted if (in_use := _in_use(one, made)) is not None]
    seen: dict[str, Any] = {"usable": usable, "state": state, "now": now, "settings": settings}
    due = [(one, in_use) for one, in_use in runs if wish.by_person or _is_due(one, in_use.values, **seen)]
    if not due:
        made.refused = _not_due(made.failed) if not runs else Refused("nothing_due", NOTHING_DUE, retryable=True)
        return made
    if not wish.by_person and logic.too_many(state.get("starts", ()), now, settings["cycles_per_day"]):
        words = f"{settings['cycles_per_day']} cycles began within a day (cycles_per_day in dream_runner.yaml)"
        made.refused = Refused("no_budget", words, retryable=True)
        return made
    del due[MAX_EXPERIMENTS:]
    each = (MAX_PROMOTIONS - len(made.rejected)) // len(due)
    made.runs = [_run(one, in_use, usable.get(one.name, [])[:each], state) for one, in_use in due]
    return made


NOTHING_DUE = (
    "Nothing has changed since the last cycle: no experiment, no value in use, no promotion. "
    "ligand dream run EXPERIMENT runs one anyway."
)


def _held_against(
    found: Sequence[Promotion], known: Mapping[str, Experiment], names: set[str], made: Plan
) -> dict[str, list[tuple[Promotion, Params]]]:
    """The promotions by experiment, their values in its types; the others are rejected."""
    usable: dict[str, list[tuple[Promotion, Params]]] = {}
    for one in found:
        experiment = known.get(one.experiment)
        if experiment is None:
            if one.experiment not in names:  # a file that cannot be used is going to be mended
                why = f"there is no experiment {one.experiment}: ligand dream new {one.experiment} begins one"
                made.rejected.append({"id": one.id, "reason": why})
            continue
        try:
            usable.setdefault(one.experiment, []).append((one, experiment.normal(one.params)))
        except ValueError as error:
            made.rejected.append({"id": one.id, "reason": f"not within the search space: {error}"[:500]})
    return usable


def _is_wanted(experiment: Experiment, wish: Wish) -> bool:
    if wish.experiment is not None:
        return experiment.name == wish.experiment
    return logic.is_about(experiment, wish.topic)


def _nothing(wish: Wish, names: set[str], failed: Sequence[Mapping[str, str]], config: Path) -> Refused:
    if wish.experiment in names:
        return _not_due([one for one in failed if one["experiment"] == wish.experiment])
    if wish.experiment is None and failed:
        return _not_due(failed)
    known = f"there are: {', '.join(sorted(names))}" if names else f"there is none in {config / 'experiments'}"
    if wish.experiment is not None:
        return Refused("no_such_experiment", f"No experiment is called {wish.experiment}; {known}.")
    about = f" about {wish.topic!r}" if wish.topic is not None else ""
    return Refused("no_experiments", f"No experiment{about} can be run; {known}. ligand dream new NAME begins one.")


def _not_due(failed: Sequence[Mapping[str, str]]) -> Refused:
    words = "\n".join(f"{one['experiment']}: {one['detail']}" for one in failed)
    return Refused("experiment_failed", (words or "no experiment can be run")[:2000])


def _failure(experiment: str, reason: str, detail: str) -> dict[str, str]:
    return {"experiment": logic.tellable(experiment, 64), "reason": reason, "detail": logic.tellable(detail, 500)}


@dataclass(frozen=True, slots=True)
class _InUse:
    """The values that stand in the target, and the SHA-256 of the very bytes they were read from."""

    values: Params
    sha256: str


def _in_use(experiment: Experiment, made: Plan) -> _InUse | None:
    try:
        with opened(place_of(experiment.target)) as file:
            raw = file.read()
        return _InUse(values_in(experiment, raw), digest(raw))
    except (LigandError, OSError) as error:
        where = f"{experiment.target.path}: " if isinstance(error, FormatError) else ""
        made.failed.append(
            _failure(experiment.name, "no_baseline", f"The values in use cannot be read: {where}{error}")
        )
        return None


def _is_due(
    experiment: Experiment, present: Params, *, usable: Mapping[str, Any], state: Mapping[str, Any], now: float,
    settings: Mapping[str, Any],
) -> bool:  # fmt: skip
    kept = state.get(f"{RAN}{experiment.name}")
    past = Past(kept["at"], kept["fingerprint"]) if kept else None
    print_now = logic.fingerprint(experiment.digest, present)
    return logic.is_due(now, past, print_now, experiment.name in usable, settings["again_after_h"] * 3600)


def _run(
    experiment: Experiment, found: _InUse, proposed: Sequence[tuple[Promotion, Params]], state: Mapping[str, Any]
) -> dict[str, Any]:
    seeds = [{"params": params, "from": f"promotion:{one.id}"} for one, params in proposed]
    for params in state.get(f"{SURVIVORS}{experiment.name}", ()):
        try:
            seeds.append({"params": experiment.normal(params), "from": "survivor"})
        except ValueError:  # the search space has changed since
            continue
    return {
        "experiment": experiment.name,
        "file": str(experiment.file),
        "digest": experiment.digest,
        "present": found.values,
        "target_sha256": found.sha256,
        "target": experiment.target.daemon or Path(experiment.target.file).name[:128],
        "fingerprint": logic.fingerprint(experiment.digest, found.values),
        "seeds": seeds,
        "promotions": [{"id": one.id, "params": params} for one, params in proposed],
    }
