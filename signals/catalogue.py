"""The catalogue of contracts: which signals exist and what their facts look like.

One file a contract, `contracts/Q_NAME.json` (a later major version stands beside it as `Q_NAME.2.json`):
a JSON Schema 2020-12 of the facts, and under `x-ligand` what the bus must know. Users add their own
in `contracts.d`. Loading parses; a contract is compiled at its first check.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

import jsonschema_rs
import orjson

from signals.errors import ContractError, SchemaError, UnknownSignalError
from signals.files import read_regular
from signals.judging import Kind, judge, refuse
from signals.secrecy import secret_paths

__all__ = ["Catalogue", "Contract", "CounterExample", "Expects", "Kind", "judge"]

PACKAGED = Path(__file__).parent / "contracts"
STORY_LIMIT = 1000
MAX_BYTES = 1024 * 1024

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CounterExample:
    """Facts that the contract must refuse, and why."""

    facts: Facts
    why: str


@dataclass(frozen=True, slots=True)
class Expects:
    """What must answer a signal, and by when.

    Exactly one of `within_s` (seconds from first delivery) and `within_fact` (the fact that holds those
    seconds) is set. `queued_at_most_s` bounds the wait before first delivery, in seconds. When the time
    passes the bus emits `timeout`, which repeats the request's facts named in `copy`.
    """

    answers: tuple[str, ...]
    within_s: float | None
    within_fact: str | None
    queued_at_most_s: float | None
    timeout: str
    copy: tuple[str, ...]

    def deadline_s(self, facts: Facts) -> float:
        """Seconds from first delivery of a request with these (valid) facts."""
        return self.within_s if self.within_s is not None else float(facts[self.within_fact or ""])


@dataclass(frozen=True, slots=True, eq=False)
class Contract:
    """What one signal's facts must be. `schema` is the whole document; do not change it.

    `secrets` are the places to mask, as paths of keys below the facts (`"*"` is every item of a list
    and every key of an object).
    """

    name: str
    title: str
    description: str
    kind: Kind
    version: int
    delivery: Literal["durable", "live"]
    terminal: bool
    expects: Expects | None
    unconsumed: str | None
    story_limit: int
    schema: dict[str, Any] = field(repr=False)
    examples: tuple[Facts, ...] = field(repr=False)
    counter_examples: tuple[CounterExample, ...] = field(repr=False)
    secrets: tuple[tuple[str, ...], ...]
    _compiled: jsonschema_rs.Draft202012Validator | None = field(default=None, init=False, repr=False)

    def is_valid(self, facts: Any) -> bool:
        """Whether the facts fit. The hot path: a compiled check without any explanation."""
        try:
            return (self._compiled or self._compile()).is_valid(facts)
        except ValueError:  # a Python object that JSON does not have, or one that contains itself
            return False

    def check(self, facts: Any) -> None:
        """Raise SchemaError with `path` and `expected` when the facts do not fit."""
        if not self.is_valid(facts):
            raise self._explained(facts)

    def prune(self, facts: Facts) -> tuple[Facts, tuple[str, ...]]:
        """Facts without the fields this contract does not know, and the paths of those that were dropped.

        For signals written under a later minor version. What is wrong in any other way stays wrong.
        """
        if self.is_valid(facts):
            return facts, ()
        copy = deepcopy(facts)
        dropped: list[str] = []
        for place, names in self._unknown(copy):
            target: Any = copy
            for step in place:
                target = target[step]
            for name in names:
                del target[name]
                dropped.append(pointer([*place, name]))
        return (copy, tuple(sorted(dropped))) if dropped else (facts, ())

    def _unknown(self, facts: Facts) -> list[tuple[list[str | int], list[str]]]:
        extra = jsonschema_rs.ValidationErrorKind.AdditionalProperties
        try:
            errors = list(self._validator().iter_errors(facts))
        except ValueError:  # not JSON at all: nothing to drop that would mend it
            return []
        return [(e.instance_path, e.kind.unexpected) for e in errors if isinstance(e.kind, extra)]

    def _validator(self) -> jsonschema_rs.Draft202012Validator:
        return self._compiled or self._compile()

    def _compile(self) -> jsonschema_rs.Draft202012Validator:
        try:
            compiled = jsonschema_rs.Draft202012Validator(self.schema, retriever=refuse)
        except ValueError as error:
            raise ContractError(f"{self.name}: its schema cannot be compiled: {_first_line(error)}") from error
        object.__setattr__(self, "_compiled", compiled)
        return compiled

    def _explained(self, facts: Any) -> SchemaError:
        from signals.explaining import explain  # noqa: PLC0415 - jsonschema takes 70 ms to import

        return explain(self.name, self.schema, self.secrets, self._validator(), facts)


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue(Mapping[str, Contract]):
    """Every known signal by name, in its newest version. `catalogue[name]` raises UnknownSignalError."""

    versions: Mapping[tuple[str, int], Contract]
    newest: Mapping[str, Contract]

    @classmethod
    def load(cls, extra: Sequence[Path] = ()) -> Catalogue:
        """The packaged contracts and those of each existing folder of `extra`.

        Raises ContractError, naming the file, for a user's contract that is not sound or not their own.
        """
        packaged = [_read(file) for file in sorted(PACKAGED.glob("Q_*.json"))]
        versions = {(contract.name, contract.version): contract for contract in packaged}
        reserved = frozenset(name for name, _ in versions)
        files = [file for folder in extra for file in _files(folder)]
        added = [(file, _read(file, users=True)) for file in files]
        for file, contract in added:
            _add(versions, reserved, contract, file)
        catalogue = cls.of(versions.values())
        known = {name: contract.schema for name, contract in catalogue.newest.items()}
        for file, contract in added:
            if contract.expects:
                judge(contract.schema, file, known)
        return catalogue

    @classmethod
    def of(cls, contracts: Iterable[Contract]) -> Catalogue:
        """A catalogue of just these contracts."""
        versions = {(c.name, c.version): c for c in sorted(contracts, key=lambda c: (c.name, c.version))}
        return cls(versions, {name: contract for (name, _), contract in versions.items()})

    def version(self, name: str, version: int) -> Contract:
        """The contract of one major version; raises UnknownSignalError."""
        try:
            return self.versions[name, version]
        except KeyError:
            have = ", ".join(str(v) for n, v in self.versions if n == name)
            if not have:
                self._unknown(name)
            raise UnknownSignalError(
                f"{name} has no version {version}; known: {have}", path="$.version", expected=have
            ) from None

    def __getitem__(self, name: str) -> Contract:
        try:
            return self.newest[name]
        except (KeyError, TypeError):
            self._unknown(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The contract or `default`."""
        return self.newest.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self.newest

    def __iter__(self) -> Iterator[str]:
        return iter(self.newest)

    def __len__(self) -> int:
        return len(self.newest)

    def _unknown(self, name: str) -> NoReturn:
        from difflib import get_close_matches  # noqa: PLC0415 - only for the message

        near = get_close_matches(str(name), self.newest, n=1, cutoff=0.7)
        hint = f"did you mean {near[0]}? If not, " if near else ""
        raise UnknownSignalError(
            f"no contract is named {str(name)[:80]}: {hint}add its contract to contracts.d",
            path="$.signal",
            expected=near[0] if near else "the name of a contract",
        ) from None


def pointer(steps: Sequence[str | int]) -> str:
    """`["a", 0]` as `$.facts.a[0]`."""
    return "$.facts" + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(f for f in folder.iterdir() if f.suffix == ".json" and not f.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ContractError(f"{folder}: cannot be read: {error.strerror}", file=str(folder)) from error


def _read(file: Path, *, users: bool = False) -> Contract:
    """A contract; a user's is judged before anything is made of it, as far as it can be without the others."""
    try:
        raw = read_regular(file, MAX_BYTES)
        if len(raw) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES // 1024} KiB")
        document = orjson.loads(raw)
    except (OSError, ValueError) as error:
        raise ContractError(f"{file}: cannot be read as JSON: {error}", file=str(file)) from error
    if users:
        judge(document, file)
    try:
        return _contract(file.name.split(".")[0], document, b'"x-secret"' in raw)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        judge(document, file)
        raise ContractError(f"{file}: is not a contract: {error!r}", file=str(file)) from error


def _contract(name: str, document: dict[str, Any], has_secrets: bool) -> Contract:
    own = document["x-ligand"]
    return Contract(
        name=name,
        title=document["title"],
        description=document["description"],
        kind=own["kind"],
        version=own["version"],
        delivery=own.get("delivery", "durable"),
        terminal=own.get("terminal", False),
        expects=_expects(own["expects"]) if "expects" in own else None,
        unconsumed=own.get("unconsumed"),
        story_limit=own.get("story_limit", STORY_LIMIT),
        schema=document,
        examples=tuple(document["examples"]),
        counter_examples=tuple(CounterExample(c["facts"], c["why"]) for c in own["counter_examples"]),
        secrets=tuple(secret_paths(document)) if has_secrets else (),
    )


def _expects(own: dict[str, Any]) -> Expects:
    within = own["within_s"]
    by_fact = isinstance(within, dict)
    return Expects(
        answers=tuple(own["answers"]),
        within_s=None if by_fact else float(within),
        within_fact=within["fact"] if by_fact else None,
        queued_at_most_s=own.get("queued_at_most_s"),
        timeout=own["timeout"],
        copy=tuple(own.get("copy", ())),
    )


def _add(versions: dict[tuple[str, int], Contract], reserved: frozenset[str], contract: Contract, file: Path) -> None:
    if contract.name in reserved:
        what = f"{contract.name} is one of Ligand's own signals; give yours another name"
    elif (contract.name, contract.version) in versions:
        what = f"{contract.name} version {contract.version} is defined twice; remove one of the files"
    else:
        versions[contract.name, contract.version] = contract
        return
    raise ContractError(f"{file}: {what}", file=str(file))
