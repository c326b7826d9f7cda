"""Judging contracts themselves: is this document one that the bus can hold signals to?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

import jsonschema_rs

from signals.errors import ContractError
from signals.secrecy import ASIDE, Marks, holds_secret, resolved, secret_paths

Kind = Literal["intent", "advisory", "trigger", "completion", "error", "sensor", "model", "system"]
KINDS: tuple[str, ...] = get_args(Kind)
DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME = re.compile(r"Q_[A-Z0-9]+(_[A-Z0-9]+)*")
OWN_KEYS = {
    "kind", "version", "delivery", "terminal", "expects", "unconsumed", "story_limit", "counter_examples",
}  # fmt: skip
LIMITS = {"type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf", "x-open"}
UNMASKABLE = "cannot be masked here"
EXPECTS_KEYS = {"answers", "within_s", "queued_at_most_s", "timeout", "copy"}

Document = dict[str, Any]


def judge(document: Any, origin: Path | str, known: Mapping[str, Document] | None = None) -> None:
    """Raise ContractError, naming origin and place, unless the document is a sound contract.

    `origin` is the file it came from (its name is compared with the title) or any words for a person.
    `known` maps signal names to their documents; without it, what `expects` names is not looked up.
    """
    Judgement(document, str(origin), known).run(origin if isinstance(origin, Path) else None)


class Judgement:
    """One document being judged; every rule is a method that fails by raising."""

    def __init__(self, document: Any, origin: str, known: Mapping[str, Document] | None) -> None:
        self.document = document
        self.origin = origin
        self.known = known

    def run(self, file: Path | None) -> None:
        """Apply all rules, those that others rest on first."""
        self.need(isinstance(self.document, dict), "$", "a contract is one JSON object")
        self.references()
        self.dialect()
        self.heading()
        self.own: Document = self.document.get("x-ligand", {})
        self.own_fields()
        if file is not None:
            self.file_name(file)
        self.shape()
        self.secrets()
        self.samples()
        if "expects" in self.own:
            self.expects(self.own["expects"])

    def need(self, holds: bool, place: str, what: str) -> None:
        """Fail unless it holds."""
        if not holds:
            self.fail(place, what)

    def fail(self, place: str, what: str) -> NoReturn:
        """Raise the error of this document."""
        raise ContractError(f"{self.origin}: at {place}: {what}", file=self.origin, path=place)

    def references(self) -> None:
        for place, part in subschemas(self.document):
            self.need("$id" not in part, f"{place}.$id", "leave $id out; a contract has no address")
            for key in ("$ref", "$dynamicRef"):
                inside = str(part.get(key, "#")).startswith("#")
                self.need(inside, f"{place}.{key}", "a contract may only refer to itself (#/$defs/…)")

    def dialect(self) -> None:
        from jsonschema import Draft202012Validator  # noqa: PLC0415 - 70 ms that loading does not need
        from jsonschema.exceptions import SchemaError as BadSchema  # noqa: PLC0415

        self.need(self.document.get("$schema") == DIALECT, "$.$schema", f"write {DIALECT}")
        try:
            Draft202012Validator.check_schema(self.document)
        except BadSchema as error:
            place = ".".join(["$", *map(str, error.absolute_path)])
            raise ContractError(
                f"{self.origin}: at {place}: is not valid JSON Schema 2020-12: {error.message[:200]}",
                file=self.origin,
                path=place,
            ) from error

    def heading(self) -> None:
        title = str(self.document.get("title", ""))
        self.need(
            bool(NAME.fullmatch(title)),
            "$.title",
            "signals are named like Q_ACTION_STATE",
        )
        self.need(bool(self.document.get("description")), "$.description", "say what the signal means")

    def file_name(self, file: Path) -> None:
        version = self.own["version"]
        wanted = str(self.document["title"]) + (".json" if version == 1 else f".{version}.json")
        self.need(file.name == wanted, "$.title", f"the file of this title and version is named {wanted}")

    def own_fields(self) -> None:
        place = "$.x-ligand"
        self.need(isinstance(self.own, dict) and bool(self.own), place, "say kind, version and counter_examples")
        if unknown := sorted(self.own.keys() - OWN_KEYS):
            self.fail(f"{place}.{unknown[0]}", f"is not known; known are {', '.join(sorted(OWN_KEYS))}")
        self.need(self.own.get("kind") in KINDS, f"{place}.kind", f"is one of {', '.join(KINDS)}")
        self.need(_is_count(self.own.get("version")), f"{place}.version", "is a whole number from 1")
        self.need(_is_count(self.own.get("story_limit", 1)), f"{place}.story_limit", "is a whole number from 1")
        delivery = self.own.get("delivery", "durable")
        self.need(delivery in ("durable", "live"), f"{place}.delivery", "is durable or live")
        self.need(isinstance(self.own.get("terminal", False), bool), f"{place}.terminal", "is true or false")
        self.need(bool(self.own.get("unconsumed", "why")), f"{place}.unconsumed", "says why nobody consumes it")
        kept = delivery == "durable" or not (self.own.get("terminal") or "expects" in self.own)
        self.need(kept, f"{place}.delivery", "a live signal is not kept: it neither ends a story nor expects")

    def shape(self) -> None:
        self.need(self.document.get("type") == "object", "$.type", "facts are an object")
        for place, part in subschemas(self.document):
            if "object" in _types(part):
                closed = part.get("additionalProperties") is False or "x-open" in part
                self.need(closed, place, 'close it (additionalProperties: false) or say "x-open": why not')
                for name, inner in part.get("properties", {}).items():
                    self.described(f"{place}.properties.{name}", inner)
            for name, inner in part.get("$defs", {}).items():
                self.limited(f"{place}.$defs.{name}", inner)
            if "array" in _types(part):
                self.limited(f"{place}.items", part.get("items", {}))

    def described(self, place: str, part: Any) -> None:
        self.limited(place, part)
        self.need(bool(part.get("description")), f"{place}.description", "say what the property means")

    def limited(self, place: str, part: Any) -> None:
        kept = isinstance(part, dict) and bool(LIMITS & part.keys())
        self.need(kept or part is False, place, 'give it a type, or say "x-open": why anything goes')

    def secrets(self) -> None:
        """Nothing may be marked secret and be shown all the same."""
        if not holds_secret(self.document, self.document):
            return
        marks = Marks(self.document)
        self.need(not marks.endless, "$", "a part that refers to itself holds a secret; not every depth can be masked")
        for place, part in subschemas(self.document):
            masked = not part.get("x-secret") or id(part) in marks.reached or place.startswith("$.$defs.")
            self.need(masked, f"{place}.x-secret", f"{UNMASKABLE}; mark the property or the items that hold it")
            for key in ASIDE:
                self.need(not holds_secret(self.document, part.get(key)), f"{place}.{key}", f"a secret {UNMASKABLE}")
            self.found(place, part)

    def found(self, place: str, part: Document) -> None:
        """What a reference leads to could be marked, so it has to be found."""
        words = "leads nowhere, or by an anchor, and this contract has secrets to mask: write #/$defs/NAME"
        self.need("$dynamicRef" not in part, f"{place}.$dynamicRef", words)
        ref = part.get("$ref", "#")
        self.need(resolved(self.document, str(ref)) is not None, f"{place}.$ref", words)

    def samples(self) -> None:
        fits = self.validator()
        examples, against = self.document.get("examples"), self.own.get("counter_examples")
        self.need(isinstance(examples, list) and bool(examples), "$.examples", "give at least one example")
        place = "$.x-ligand.counter_examples"
        self.need(isinstance(against, list) and bool(against), place, "give facts that must be refused, and why")
        for n, facts in enumerate(examples or ()):
            self.need(fits(facts), f"$.examples[{n}]", "does not fit the contract itself")
        for n, sample in enumerate(against or ()):
            whole = isinstance(sample, dict) and sample.keys() == {"facts", "why"} and bool(sample["why"])
            self.need(whole, f"{place}[{n}]", "is an object of facts and why")
            self.need(not fits(sample["facts"]), f"{place}[{n}]", "fits the contract, so it shows nothing")

    def validator(self) -> Callable[[Any], bool]:
        """The verdict of both validators; a contract on which they differ is not sound."""
        from jsonschema import Draft202012Validator  # noqa: PLC0415
        from referencing import Registry  # noqa: PLC0415

        slow = Draft202012Validator(self.document, registry=Registry()).is_valid
        try:
            fast = jsonschema_rs.Draft202012Validator(self.document, retriever=refuse).is_valid
        except ValueError as error:
            self.fail("$", f"cannot be compiled: {str(error).splitlines()[0]}")

        def fits(facts: Any) -> bool:
            verdict: bool = slow(facts)
            self.need(fast(facts) == verdict, "$", f"validators differ on {str(facts)[:80]}: simplify its rules")
            return verdict

        return fits

    def expects(self, expects: Any) -> None:
        place = "$.x-ligand.expects"
        self.need(isinstance(expects, dict), place, "is an object")
        if unknown := sorted(expects.keys() - EXPECTS_KEYS):
            self.fail(f"{place}.{unknown[0]}", f"is not known; known are {', '.join(sorted(EXPECTS_KEYS))}")
        answers, copy = expects.get("answers"), expects.get("copy", [])
        self.need(isinstance(answers, list) and bool(answers), f"{place}.answers", "names at least one signal")
        self.need(isinstance(expects.get("timeout"), str), f"{place}.timeout", "names the signal of the timeout")
        self.within(f"{place}.within_s", expects.get("within_s"))
        queued = expects.get("queued_at_most_s", 1)
        self.need(_is_duration(queued), f"{place}.queued_at_most_s", "is a number of seconds above 0")
        for fact in copy:
            self.need(fact in self.properties(), f"{place}.copy", f"{fact} is not among the properties")
        if self.known is not None:
            self.known_signals(place, [*answers, expects["timeout"]])
            self.timeout(place, expects["timeout"], copy)

    def within(self, place: str, within: Any) -> None:
        if not isinstance(within, dict):
            self.need(_is_duration(within), place, 'is a number of seconds above 0, or {"fact": name}')
            return
        fact = within.get("fact")
        self.need(within.keys() == {"fact"}, place, 'is a number of seconds above 0, or {"fact": name}')
        self.need(fact in self.document.get("required", ()), place, f"{fact} is not a required property")
        numeric = self.properties().get(str(fact), {}).get("type") in ("number", "integer")
        self.need(numeric, place, f"{fact} is not a number")

    def known_signals(self, place: str, names: list[str]) -> None:
        for name in names:
            self.need(name in (self.known or {}), place, f"{name} has no contract")

    def timeout(self, place: str, name: str, copy: list[str]) -> None:
        """The bus writes the timeout, so it must be able to fill it."""
        target = (self.known or {})[name]
        given = {"waited_s", "expected", *copy}
        have, wanted = target.get("properties", {}).keys(), set(target.get("required", ()))
        missing, unfilled = sorted(given - have), sorted(wanted - given)
        self.need(not missing, f"{place}.timeout", f"{name} has no property {', '.join(missing)}")
        self.need(not unfilled, f"{place}.copy", f"{name} also requires {', '.join(unfilled)}")
        here, there = ({path[0] for path in secret_paths(each)} for each in (self.document, target))
        shown = sorted(here.intersection(copy) - there)
        self.need(not shown, f"{place}.copy", f"{', '.join(shown)} is secret here; mark it x-secret in {name} too")

    def properties(self) -> Document:
        found: Document = self.document.get("properties", {})
        return found


def refuse(uri: str) -> NoReturn:
    """The retriever of every validator: nothing is ever fetched."""
    raise ValueError(f"a contract may only refer to itself, not to {uri}")


def subschemas(schema: Any, place: str = "$") -> Iterator[tuple[str, Document]]:
    """Every part of a schema that is a schema itself, the whole one first, with its place."""
    if not isinstance(schema, dict):
        return
    yield place, schema
    for key in ("properties", "patternProperties", "$defs", "dependentSchemas"):
        for name, inner in _items(schema.get(key)):
            yield from subschemas(inner, f"{place}.{key}.{name}")
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for n, inner in enumerate(_list(schema.get(key))):
            yield from subschemas(inner, f"{place}.{key}[{n}]")
    for key in (
        "items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "contains",
        "propertyNames", "not", "if", "then", "else", "contentSchema",
    ):  # fmt: skip
        yield from subschemas(schema.get(key), f"{place}.{key}")


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    return iter(value.items() if isinstance(value, dict) else ())


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _types(part: Document) -> list[str]:
    types = part.get("type", [])
    return [types] if isinstance(types, str) else types


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_duration(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
