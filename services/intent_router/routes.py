"""Reads the routes, packaged and the user's, and refuses at load what could not be emitted later."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

from services.intent_router.intent import Intent
from services.intent_router.logic import READY, Ref, Route
from services.intent_router.strict import dotted
from services.runtime.yamlmarks import Marked, PathTo, YamlError, parse_file
from signals.errors import ConfigError, LigandError

PACKAGED = Path(__file__).with_name("routes.yaml")
USERS = "intent_routes.yaml"

_REF = re.compile(r"\$([a-z_]+(?:\.[A-Za-z0-9_-]+)*)(\?)?")
_FIELDS = Intent._fields
_KEYS = ("name", "type", "signal", "facts")


class HasSchema(Protocol):
    """What is asked of a contract here."""

    @property
    def schema(self) -> Mapping[str, Any]: ...


class Contracts(Protocol):
    """A mapping of signal names to contracts that raises a `LigandError` for an unknown name."""

    def __getitem__(self, name: str, /) -> HasSchema: ...

    def __iter__(self) -> Iterator[str]: ...


def load(config: Path, emits: Sequence[str], contracts: Contracts) -> tuple[Route, ...]:
    """The packaged routes with `<config>/intent_routes.yaml` laid over them.

    Raises `ConfigError` naming file, line, column and key.
    """
    found = {route.name: route for route in read(PACKAGED, emits, contracts)}
    users = config / USERS
    if users.exists():
        found |= {route.name: route for route in read(users, emits, contracts)}
    return tuple(found.values())


def read(path: Path, emits: Sequence[str], contracts: Contracts) -> tuple[Route, ...]:
    """The routes of one file, checked against what the router may emit and against the contracts."""
    return _File(path, emits, contracts).routes()


class _File:
    def __init__(self, path: Path, emits: Sequence[str], contracts: Contracts) -> None:
        self.path = path
        self.emits = emits
        self.contracts = contracts
        self.marked = Marked(None)

    def routes(self) -> tuple[Route, ...]:
        self.marked = self._load()
        body = self._mapping({} if self.marked.data is None else self.marked.data, (), ("routes",))
        items = body.get("routes") or []
        if not isinstance(items, list):
            raise self._fault(("routes",), "is not a list of routes")
        routes = [self._route(item, ("routes", number)) for number, item in enumerate(items)]
        for number, route in enumerate(routes):
            if route.name in {earlier.name for earlier in routes[:number]}:
                raise self._fault(("routes", number, "name"), f"an earlier route is named {route.name!r} too")
        return tuple(routes)

    def _load(self) -> Marked:
        try:
            return parse_file(self.path)
        except OSError as error:
            message = f"{self.path}: cannot be read: {error.strerror}."
            raise ConfigError(message, file=str(self.path)) from error
        except YamlError as error:
            message = f"{self.path}:{error.line}: {error}."
            raise ConfigError(message, file=str(self.path), line=error.line) from error

    def _route(self, item: Any, key: PathTo) -> Route:
        item = self._mapping(item, key, _KEYS)
        types = self._types(item.get("type"), key)
        signal = self._signal(item.get("signal"), key)
        facts = {
            name: self._template(value, (*key, "facts", name))
            for name, value in self._mapping(item.get("facts"), (*key, "facts")).items()
        }
        self._fit(facts, signal, (*key, "facts"))
        name = item.get("name", f"{signal} for {', '.join(types)}")
        if not isinstance(name, str) or not name:
            raise self._fault((*key, "name"), "is not a name")
        return Route(name, types, signal, facts)

    def _types(self, value: Any, key: PathTo) -> tuple[str, ...]:
        types = [value] if isinstance(value, str) else value
        if not isinstance(types, list) or not types or not all(isinstance(t, str) and t for t in types):
            raise self._fault((*key, "type"), "is not an intent type, a glob, or a list of them")
        return tuple(types)

    def _signal(self, value: Any, key: PathTo) -> str:
        where = (*key, "signal")
        if not isinstance(value, str):
            raise self._fault(where, "names no signal")
        if value not in self.contracts:
            near = get_close_matches(value, list(self.contracts), n=2)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; add its contract to contracts.d/"
            raise self._fault(where, f"no contract is named {value!r}{hint}")
        if value not in self.emits or value == READY:
            raise self._fault(
                where,
                f"the intent router may not emit {value}; list it under `emits` in an "
                "overlay of its manifest, daemons.d/intent_router.yaml",
            )
        return value

    def _template(self, value: Any, key: PathTo) -> Any:
        if isinstance(value, dict):
            return {name: self._template(below, (*key, name)) for name, below in value.items()}
        if isinstance(value, list):
            return [self._template(item, (*key, number)) for number, item in enumerate(value)]
        if isinstance(value, str) and value.startswith("$"):
            return value[1:] if value.startswith("$$") else self._reference(value, key)
        if value is None or isinstance(value, str | int | float):
            return value
        raise self._fault(key, f"{value!r} has no form in JSON; put it between quotes")

    def _reference(self, text: str, key: PathTo) -> Ref:
        match = _REF.fullmatch(text)
        if match is None:
            raise self._fault(key, f"{text!r} is not a reference such as $question, $data.x or $data.x?")
        head, *rest = match[1].split(".")
        if head not in _FIELDS or (rest and head != "data"):
            near = get_close_matches(head, _FIELDS, n=1)
            hint = f"did you mean ${near[0]}?" if near else f"there are: ${', $'.join(_FIELDS)}, $data.KEY"
            raise self._fault(key, f"an intent has no field ${match[1]}; {hint}")
        return Ref((head, *rest), bool(match[2]))

    def _fit(self, facts: Mapping[str, Any], signal: str, key: PathTo) -> None:
        schema = self.contracts[signal].schema
        properties, required = schema.get("properties", {}), schema.get("required", ())
        for name in facts:
            if name not in properties and schema.get("additionalProperties") is False:
                near = get_close_matches(name, properties, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; it has: {', '.join(properties)}"
                raise self._fault((*key, name), f"{signal} has no fact {name!r}{hint}")
        for name in required:
            if name not in facts:
                raise self._fault(key, f"{signal} requires the fact {name!r}")
            if isinstance(facts[name], Ref) and facts[name].optional:
                raise self._fault((*key, name), f"{signal} requires this fact; take the ? away")

    def _mapping(self, value: Any, key: PathTo, known: Sequence[str] = ()) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._fault(key, "is not a mapping of keys to values")
        for name in value:
            if known and name not in known:
                raise self._fault((*key, name), f"is not known here; there are: {', '.join(known)}")
        return value

    def _fault(self, path: PathTo, message: str) -> LigandError:
        line, key = self.marked.line(path), dotted(path)
        return ConfigError(
            f"{self.path}:{line}: {key or 'the file'}: {message}.", file=str(self.path), line=line, key=key
        )
