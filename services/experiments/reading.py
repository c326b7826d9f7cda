"""Reads an experiment's file, and refuses what could not work: each fault with its file, line, key and what to do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema_rs

from services.experiments import programs
from services.experiments.constraints import Constraint, ConstraintError, compiled
from services.experiments.formats.editing import TEXTS_ONLY, as_text
from services.experiments.model import NAME, Budget, Evaluate, Experiment, Guardrail, Health, Objective, Target
from services.experiments.schema import BUDGET, SCHEMA
from services.experiments.space import Parameter, Space
from services.experiments.startable import faults
from services.runtime.config import fill
from services.runtime.config_errors import dotted, explain
from services.runtime.yamlmarks import Marked, YamlError, parse
from signals.errors import ConfigError

_VALID = jsonschema_rs.validator_for(SCHEMA).is_valid
NUMBERS = ("float", "int")
MOST_STEPS = 1_000_000_000


def read(raw: bytes, path: Path, config: Path, sha256: str, *, startable: bool) -> Experiment:
    """The experiment in these bytes of `path`, and their SHA-256. Raises `ConfigError`.

    `startable`: one whose evaluation could not be started is refused.
    """
    try:
        marked = parse(raw)
    except YamlError as error:
        raise _refusal(path, [_Fault(error.line, "", str(error))]) from error
    data = fill({} if marked.data is None else marked.data, SCHEMA, SCHEMA)
    if not _VALID(data):
        raise explain(data, SCHEMA, marked, path, f"experiment {path.stem}")
    reader = _Reader(data, marked, path, config)
    found = [*reader.faults(), *(reader.not_startable() if startable else ())]
    if found:
        raise _refusal(path, sorted(found, key=lambda fault: fault.line))
    return reader.experiment(sha256)


@dataclass(frozen=True, slots=True)
class _Fault:
    line: int
    key: str
    words: str


def _refusal(path: Path, faults: list[_Fault]) -> ConfigError:
    problems = [f"{path}:{one.line}: {one.key + ': ' if one.key else ''}{one.words}" for one in faults]
    words = f"experiment {path.stem}: " + "\n  ".join(problems[:10])
    first, lines = faults[0], [one.line for one in faults]
    return ConfigError(words, file=str(path), line=first.line, key=first.key, problems=problems, lines=lines)


class _Reader:
    def __init__(self, data: dict[str, Any], marked: Marked, path: Path, config: Path) -> None:
        self._data = data
        self._marked = marked
        self._path = path
        self._config = config
        self._parameters = {name: _parameter(name, said) for name, said in data["search_space"].items()}
        self._constraints: list[Constraint] = []

    def _fault(self, words: str, *place: str | int) -> _Fault:
        return _Fault(self._marked.line(place), dotted(place) if place else "", words)

    def faults(self) -> Iterator[_Fault]:
        """Everything that the schema cannot say."""
        if not NAME.fullmatch(self._path.stem):
            yield self._fault("the file's name must be small letters, digits, - and _, and begin with a letter")
        yield from self._target()
        for name, said in self._data["search_space"].items():
            yield from self._bounds(name, said)
            yield from self._conditions(name, said)
        yield from self._compile()
        yield from self._evaluate()
        yield from self._objective()

    def _target(self) -> Iterator[_Fault]:
        said = self._data["target"]
        if ".." in PurePosixPath(said["file"]).parts or "\0" in said["file"]:
            yield self._fault("may not lead out of its folder with ..; write the whole path", "target", "file")
        elif said["file"].rsplit("/")[-1] in ("", "."):
            yield self._fault("names a folder; name the file itself", "target", "file")
        if "daemon" in said and "reload" in said:
            yield self._fault(
                "a Ligand daemon is reloaded by its signal; take reload or daemon away", "target", "reload"
            )
        keys: dict[str, str] = {}
        for name, key in said["keys"].items():
            where = ("target", "keys", name)
            if name not in self._parameters:
                yield self._fault("is no parameter of search_space; take it away, or add it there", *where)
            if key in keys:
                yield self._fault(f"{key} is the key of {keys[key]} already; two values cannot share one", *where)
            keys[key] = name
        for name in self._parameters.keys() - said["keys"].keys():
            yield self._fault(f"has no key in the target; add it to target.keys: {name}: …", "search_space", name)

    def _bounds(self, name: str, said: Mapping[str, Any]) -> Iterator[_Fault]:
        where = ("search_space", name)
        if said["type"] == "categorical":
            if "choices" not in said:
                yield self._fault("a categorical parameter needs choices: a list of at least two values", *where)
            for wrong in ("low", "high", "step", *(["log"] if said["log"] else [])):
                if wrong in said:
                    yield self._fault("is for numbers; a categorical parameter has choices", *where, wrong)
            yield from self._choices(name, said.get("choices", ()))
            return
        if "choices" in said:
            yield self._fault(f"is for type categorical, not {said['type']}", *where, "choices")
        if "low" not in said or "high" not in said:
            yield self._fault("a number needs low and high", *where)
            return
        yield from self._range(name, said)

    def _choices(self, name: str, choices: Sequence[Any]) -> Iterator[_Fault]:
        texts = self._data["target"]["format"] in TEXTS_ONLY
        for nth, one in enumerate(choices):
            alike = [other for other in choices[:nth] if one == other or (texts and as_text(one) == as_text(other))]
            if alike:
                words = f"{one!r} and {alike[0]!r} cannot be told apart in the file or by the optimiser; keep one"
                yield self._fault(words, "search_space", name, "choices", nth)

    def _range(self, name: str, said: Mapping[str, Any]) -> Iterator[_Fault]:
        where, low, high, step = ("search_space", name), said["low"], said["high"], said.get("step")
        numbers = [key for key in ("low", "high", "step") if key in said]
        for key in numbers:
            if said["type"] == "int" and said[key] != int(said[key]):
                yield self._fault("must be a whole number", *where, key)
        if not low < high:
            yield self._fault(f"must be more than low ({low}), not {high}", *where, "high")
        if said["log"] and low <= 0:
            yield self._fault(f"must be above 0 on a log scale, not {low}", *where, "low")
        if said["log"] and step is not None:
            yield self._fault("cannot go with log; take one away", *where, "step")
        if step is not None and low < high and not low + step <= high:
            yield self._fault(f"is larger than the range from {low} to {high}", *where, "step")
        if step is not None and low < high and high - low > step * MOST_STEPS:
            yield self._fault(f"makes more than {MOST_STEPS:,} steps; make it larger, or leave it away", *where, "step")

    def _conditions(self, name: str, said: Mapping[str, Any]) -> Iterator[_Fault]:
        order = list(self._parameters)
        for other in said.get("when", ()):
            where = ("search_space", name, "when", other)
            if other not in order[: order.index(name)]:
                yield self._fault("is no parameter above this one; put what decides first", *where)
                continue
            parent = self._parameters[other]
            if parent.kind != "categorical":
                yield self._fault("only a categorical parameter can decide whether another takes part", *where)
                continue
            for value in _listed(said["when"][other]):
                try:
                    parent.normal(value)
                except ValueError as error:
                    yield self._fault(str(error), *where)

    def _compile(self) -> Iterator[_Fault]:
        kinds = {name: parameter.kind for name, parameter in self._parameters.items()}
        for nth, text in enumerate(self._data["constraints"]):
            try:
                self._constraints.append(compiled(text, kinds))
            except ConstraintError as error:
                yield self._fault(str(error), "constraints", nth)

    def _evaluate(self) -> Iterator[_Fault]:
        said = self._data["evaluate"]
        if ("command" in said) == ("python" in said):
            yield self._fault("give it either command (a list) or python (module:function)", "evaluate")
        most = self._data["budget"]["wall_clock_s"]
        if said["timeout_s"] > most:
            words = f"is longer than the whole budget ({most:g} s); no evaluation could take so long"
            yield self._fault(words, "evaluate", "timeout_s")
        cases = said.get("cases", {})
        for nth, case in enumerate(cases.get("held_out", ())):
            if case in cases["tuning"]:
                words = f"{case} is a tuning case too; what is held out must not have been tuned on"
                yield self._fault(words, "evaluate", "cases", "held_out", nth)

    def not_startable(self) -> Iterator[_Fault]:
        """What keeps its evaluation from being started, by the files that are there."""
        said = _evaluation(self._data["evaluate"])
        if bool(said.command) is (said.python is None):
            for one in faults(self._path.parent, said.command, said.python):
                place = ("evaluate", "python") if one.word is None else ("evaluate", "command", one.word)
                yield self._fault(one.words, *place)

    def _objective(self) -> Iterator[_Fault]:
        said = self._data["objective"]
        for name, bounds in said.get("guardrails", {}).items():
            if bounds.get("min", -math.inf) > bounds.get("max", math.inf):
                yield self._fault("min is above max: nothing could be within", "objective", "guardrails", name)
        pairs = _evaluation(self._data["evaluate"]).pairs
        needed = math.ceil(math.log2(len(said["metrics"]) / said["alpha"]) - 1e-9)
        if pairs < needed:
            words = (
                f"with {pairs} pairs to compare nothing could ever be significant at alpha {said['alpha']:g}; "
                f"name at least {needed} held_out cases, or without cases set repeats to at least {needed}"
            )
            yield self._fault(words, "evaluate", *(("cases", "held_out") if "cases" in self._data["evaluate"] else ()))

    def experiment(self, sha256: str) -> Experiment:
        data = self._data
        evaluate = _evaluation(data["evaluate"])
        measure = programs.digests(self._path.parent, evaluate.command, evaluate.python)
        return Experiment(
            name=self._path.stem,
            file=self._path,
            digest=programs.whole(sha256, measure),
            programs=measure,
            about=data["about"],
            target=_target(data["target"], self._config),
            space=Space(tuple(self._parameters.values()), tuple(self._constraints)),
            evaluate=evaluate,
            objective=_objective(data["objective"]),
            budget=Budget(**fill(data.get("budget", {}), BUDGET, BUDGET)),
            autonomy=data["autonomy"],
        )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _parameter(name: str, said: Mapping[str, Any]) -> Parameter:
    when = {other: tuple(_listed(values)) for other, values in said.get("when", {}).items()}
    found = Parameter(name, said["type"], choices=tuple(said.get("choices", ())), log=said["log"], when=when or None)
    bounds = {key: said[key] for key in ("low", "high", "step") if key in said}
    return replace(found, **bounds) if found.kind in NUMBERS else found


def _target(said: Mapping[str, Any], config: Path) -> Target:
    health = said.get("health")
    return Target(
        file=said["file"],
        path=config / said["file"],
        format=said["format"],
        keys=dict(said["keys"]),
        daemon=said.get("daemon"),
        reload=tuple(said.get("reload", ())),
        health=Health(tuple(health["command"]), health["windows"], health["window_s"]) if health else None,
    )


def _evaluation(said: Mapping[str, Any]) -> Evaluate:
    cases = said.get("cases", {})
    return Evaluate(
        command=tuple(said.get("command", ())),
        python=said.get("python"),
        timeout_s=said["timeout_s"],
        memory_mib=said["memory_mib"],
        repeats=said["repeats"],
        tuning=tuple(cases.get("tuning", ())),
        held_out=tuple(cases.get("held_out", ())),
    )


def _objective(said: Mapping[str, Any]) -> Objective:
    guards = said.get("guardrails", {})
    return Objective(
        metrics=dict(said["metrics"]),
        guardrails=tuple(Guardrail(name, bounds.get("min"), bounds.get("max")) for name, bounds in guards.items()),
        alpha=said["alpha"],
        least_effect=said["least_effect"],
    )
