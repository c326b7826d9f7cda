"""Reads rules files, and refuses what could not work: each fault with its file, its line and the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import jsonschema_rs
import orjson

from services.policy_engine.expressions import Environment, Expression, ExpressionError, fits
from services.policy_engine.model import Absent, Action, Choice, Count, Limit, Rule
from services.policy_engine.schema import LONGEST_WAIT, SCHEMA, seconds
from services.policy_engine.shapes import types_of
from services.runtime.config_errors import explain
from services.runtime.yamlmarks import Marked, PathTo, YamlError, parse_file
from signals.catalogue import Catalogue, Contract
from signals.errors import ConfigError, LigandError

DAEMON = "policy_engine"
MAX_QUESTION = 10_000
MAX_FACTS = 60 * 1024
"""Bytes; an envelope has 64 KiB in all."""
NOT_FOR_RULES = frozenset({"Q_POLICY_DECIDED", "Q_POLICY_DUE"})
_VALID = jsonschema_rs.validator_for(SCHEMA).is_valid


@dataclass(frozen=True, slots=True)
class World:
    """What rules are held against: the contracts, and what the engine may emit."""

    catalogue: Catalogue
    may_emit: frozenset[str]
    environment: Environment


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of one file; `modes` are those it sets for rules by their id."""

    rules: tuple[Rule, ...]
    modes: Mapping[str, str]
    file: str
    marked: Marked


def load(path: Path, world: World) -> RuleSet:
    """The rules in a file. Raises `ConfigError` with `file`, `line` and the reason."""
    try:
        marked = parse_file(path)
    except YamlError as error:
        raise refusal(path, error.line, str(error)) from error
    except OSError as error:
        raise ConfigError(f"Cannot read the rules {path}: {error.strerror}.", file=str(path), line=0) from error
    if not _VALID(marked.data):
        raise explain(marked.data, SCHEMA, marked, path, DAEMON)
    reader = _Reader(path, marked, world)
    rules = _each(reader, len(marked.data.get("rules", ())), path)
    _unique(rules, path)
    return RuleSet(rules, marked.data.get("modes", {}), str(path), marked)


def _each(reader: _Reader, count: int, path: Path) -> tuple[Rule, ...]:
    """Every rule; raises one `ConfigError` with the first fault of each that has one."""
    rules, faults = [], []
    for nth in range(count):
        try:
            rules.append(reader.rule(nth))
        except ConfigError as error:
            faults.append(error)
    if faults:
        told = [problem for fault in faults for problem in fault.fields["problems"]]
        raise ConfigError(
            f"{DAEMON}: " + "\n  ".join(told), file=str(path), line=faults[0].fields["line"], problems=told
        )
    return tuple(rules)


def combine(sets: Sequence[RuleSet]) -> tuple[Rule, ...]:
    """The rules of several files; a later one replaces the rule of the same id. Raises `ConfigError`."""
    found: dict[str, Rule] = {}
    for rules in sets:
        found |= {rule.id: rule for rule in rules.rules}
    for rules in sets:
        for name, mode in rules.modes.items():
            if name not in found:
                known = ", ".join(sorted(found))
                raise refusal(
                    Path(rules.file), rules.marked.line(("modes", name)), f"there is no rule {name}; there are {known}"
                )
            found[name] = replace(found[name], mode=mode)
    return tuple(found.values())


def refusal(path: Path | str, line: int, words: str) -> ConfigError:
    """The error that names a place and a reason."""
    told = f"{path}:{line}: {words}"
    return ConfigError(f"{DAEMON}: {told}", file=str(path), line=line, problems=[told])


def _unique(rules: Sequence[Rule], path: Path) -> None:
    first: dict[str, int] = {}
    for rule in rules:
        if rule.id in first:
            raise refusal(path, rule.line, f"the rule {rule.id} stands twice, first on line {first[rule.id]}; keep one")
        first[rule.id] = rule.line


class _Reader:
    def __init__(self, path: Path, marked: Marked, world: World) -> None:
        self._path = path
        self._marked = marked
        self._world = world
        self._at: PathTo = ()
        self._rule = ""
        self._signals: tuple[str, ...] = ()
        self._known: frozenset[tuple[str, ...]] = frozenset()

    def _refuse(self, place: PathTo, words: str) -> NoReturn:
        where = ".".join(str(part) for part in place[len(self._at) :])
        raise refusal(
            self._path, self._marked.line(place), f"rule {self._rule}{f', {where}' if where else ''}: {words}"
        )

    def rule(self, nth: int) -> Rule:
        """The nth rule."""
        data, defaults = self._marked.data["rules"][nth], self._marked.data.get("defaults", {})
        self._at, self._rule, self._known = ("rules", nth), data["id"], frozenset()
        for place, name in enumerate(data["signals"]):
            self._heard((*self._at, "signals", place), name)
        self._signals = tuple(data["signals"])
        when = tuple(self._conditions(data.get("when", ())))
        self._known = frozenset(path for _, expression in when for path in expression.guarded)
        found = Rule(
            id=data["id"],
            signals=self._signals,
            mode=data.get("mode", defaults.get("mode", "shadow")),
            when=when,
            key=self._expression((*self._at, "key"), data["key"]) if "key" in data else None,
            hold=self._wait((*self._at, "hold"), data.get("hold", "0s")),
            cooldown=seconds(data.get("cooldown", defaults.get("cooldown", "60s"))),
            limit=self._limit(data["limit"]) if "limit" in data else None,
            count=self._count(data["count"]) if "count" in data else None,
            absent=self._absent(data["absent"]) if "absent" in data else None,
            do=self._actions((*self._at, "do"), data.get("do", ())),
            choose=self._choice(data["choose"]) if "choose" in data else None,
            examples=tuple(data.get("examples", ())),
            about=data.get("about", ""),
            file=str(self._path),
            line=self._marked.line(self._at),
        )
        self._check_whole(found)
        return found

    def _check_whole(self, rule: Rule) -> None:
        if bool(rule.do) == (rule.choose is not None):
            self._refuse(self._at, "say either what to do, or what a model may choose among")
        if rule.hold and rule.absent:
            self._refuse((*self._at, "hold"), "hold and absent cannot both be waited for; make two rules")
        if rule.choose and (rule.hold or rule.absent):
            self._refuse((*self._at, "choose"), "a model is asked at once; take hold or absent out")
        if rule.choose and not (rule.cooldown or rule.limit):
            self._refuse((*self._at, "choose"), "a model costs time; give the rule a cooldown or a limit")
        for nth, example in enumerate(rule.examples):
            self._example((*self._at, "examples", nth), example)

    def _heard(self, place: PathTo, name: str) -> None:
        contract = self._world.catalogue.get(name)
        if contract is None:
            self._refuse(place, f"no contract describes {name}")
        if contract.delivery == "live":
            self._refuse(place, f"{name} is live: it may be missed, so no rule can rest on it")
        if name in NOT_FOR_RULES:
            self._refuse(place, f"{name} is the engine's own word; a rule on it would hear itself")

    def _conditions(self, given: Sequence[Mapping[str, str]]) -> list[tuple[str, Expression]]:
        found = []
        for nth, names in enumerate(given):
            for name, text in names.items():
                place = (*self._at, "when", nth, name)
                expression = self._expression(place, text)
                if expression.kind not in ("boolean", "any"):
                    self._refuse(place, f"a condition is true or false; {text!r} is a {expression.kind}")
                found.append((name, expression))
        return found

    def _expression(self, place: PathTo, text: str, *, other: str | None = None, optional: bool = False) -> Expression:
        try:
            return self._world.environment.compile(
                text, self._signals, other=other, known=self._known, optional=optional
            )
        except ExpressionError as error:
            self._refuse(place, f"{text!r}: {error}")

    def _span(self, place: PathTo, text: str) -> float:
        found = seconds(text)
        if not found:
            self._refuse(place, "nothing happens within no time; say 1s, 10m, 24h")
        return found

    def _wait(self, place: PathTo, text: str) -> float:
        found = seconds(text)
        if found > LONGEST_WAIT:
            self._refuse(place, "waits longer than 7 days; what it follows from may be gone by then")
        return found

    def _count(self, data: Mapping[str, Any]) -> Count:
        place = (*self._at, "count", "distinct")
        distinct = self._expression(place, data["distinct"]) if "distinct" in data else None
        return Count(data["at_least"], self._span((*self._at, "count", "within"), data["within"]), distinct)

    def _limit(self, data: Mapping[str, Any]) -> Limit:
        return Limit(data["max"], self._span((*self._at, "limit", "per"), data["per"]))

    def _absent(self, data: Mapping[str, Any]) -> Absent:
        place = (*self._at, "absent")
        self._heard((*place, "signal"), data["signal"])
        where = None
        if "where" in data:
            where = self._expression((*place, "where"), data["where"], other=data["signal"])
            if where.kind not in ("boolean", "any"):
                self._refuse((*place, "where"), f"a condition is true or false; this is a {where.kind}")
        self._span((*place, "within"), data["within"])
        return Absent(data["signal"], self._wait((*place, "within"), data["within"]), where)

    def _choice(self, data: Mapping[str, Any]) -> Choice:
        place = (*self._at, "choose")
        actions: dict[str, tuple[str, tuple[Action, ...]]] = {}
        for nth, one in enumerate(data["actions"]):
            if one["name"] in actions or one["name"] == "nothing":
                self._refuse((*place, "actions", nth, "name"), f"{one['name']} is named twice, or means to do nothing")
            actions[one["name"]] = (one["about"], self._actions((*place, "actions", nth, "do"), one["do"]))
        words = [data["question"], *(about for about, _ in actions.values())]
        if sum(len(text.encode()) for text in words) > MAX_QUESTION:
            self._refuse(place, f"the question and what the actions are about take more than {MAX_QUESTION} bytes")
        deadline = seconds(data.get("deadline", "120s"))
        wanted = self._world.catalogue["Q_MODEL_REQUEST"].schema["properties"]["deadline_s"]
        if not jsonschema_rs.validator_for(wanted).is_valid(deadline):
            most = wanted["maximum"]
            self._refuse((*place, "deadline"), f"a model has more than 0 s and at most {most} s to answer")
        return Choice(data["question"], actions, deadline, data.get("history", 10))

    # -- what is emitted -----------------------------------------------------------------------------

    def _actions(self, place: PathTo, given: Sequence[Mapping[str, Any]]) -> tuple[Action, ...]:
        return tuple(self._action((*place, nth), one) for nth, one in enumerate(given))

    def _action(self, place: PathTo, data: Mapping[str, Any]) -> Action:
        name = data["emit"]
        if name not in self._world.catalogue:
            self._refuse((*place, "emit"), f"no contract describes {name}")
        if name not in self._world.may_emit or name in NOT_FOR_RULES:
            self._refuse(
                (*place, "emit"),
                f"policy_engine may not emit {name}; a file in daemons.d with `overlay: {DAEMON}`, `emits: [{name}]` "
                "lets it",
            )
        schema = self._world.catalogue[name].schema
        facts, optional = {}, set()
        for given, value in data.get("facts", {}).items():
            fact = given.removesuffix("?")
            if given.endswith("?"):
                optional.add(fact)
            facts[fact] = self._fact(
                (*place, "facts", given), fact, value, self._world.catalogue[name], optional=fact in optional
            )
        missing = [fact for fact in schema.get("required", ()) if fact not in facts or fact in optional]
        if missing:
            self._refuse((*place, "facts"), f"{name} needs the fact{'s' * (len(missing) > 1)} {', '.join(missing)}")
        action = Action(name, facts, frozenset(optional))
        if not any(isinstance(value, Expression) for value in facts.values()):
            self._check_facts((*place, "facts"), name, facts)
        return action

    def _fact(self, place: PathTo, fact: str, value: Any, contract: Contract, *, optional: bool) -> Any:
        signal, inner = contract.name, contract.schema.get("properties", {}).get(fact)
        if inner is None:
            known = ", ".join(contract.schema.get("properties", {}))
            self._refuse(place, f"{signal} has no fact {fact}; it has {known}")
        if isinstance(value, str) and value.startswith("="):
            expression = self._expression(place, value[1:].strip(), optional=optional)
            if not fits(expression.kind, inner):
                self._refuse(place, f"{value!r} is a {expression.kind}; {signal} wants {' or '.join(types_of(inner))}")
            return expression
        if not _may_be(fact, value, contract.schema):
            self._refuse(place, f"{value!r} is not what {signal} wants of {fact}")
        return value

    def _check_facts(self, place: PathTo, name: str, facts: Mapping[str, Any]) -> None:
        try:
            self._world.catalogue[name].check(facts)
        except LigandError as error:
            self._refuse(place, error.message)

    def _example(self, place: PathTo, example: Mapping[str, Any]) -> None:
        if example["signal"] not in self._signals:
            self._refuse((*place, "signal"), f"the rule is not about {example['signal']}")
        self._check_facts((*place, "facts"), example["signal"], example["facts"])


def _may_be(fact: str, value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a fact of a contract may have this value, by itself, and a signal could carry it."""
    parts = {name: schema[name] for name in ("$defs", "properties") if name in schema}
    try:
        orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits
        return False
    return jsonschema_rs.validator_for(parts).is_valid({fact: value})


def checker(catalogue: Catalogue) -> Any:
    """`check(signal, facts)` for the engine: raises `ExpressionError` for facts that no signal could carry."""

    def check(signal: str, facts: Mapping[str, Any]) -> None:
        try:
            catalogue[signal].check(facts)
        except LigandError as error:
            raise ExpressionError(f"{signal}: {error.message}") from error
        if (size := len(orjson.dumps(facts))) > MAX_FACTS:
            raise ExpressionError(f"{signal}: its facts would take {size} bytes, more than {MAX_FACTS}")

    return check
