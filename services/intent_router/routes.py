"""Reads the routes, packaged and the user's, and refuses at load what could not be emitted later."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

import yaml

from services.intent_router.logic import READY, Intent, Ref, Route
from signals.errors import ConfigError, LigandError

PACKAGED = Path(__file__).with_name("routes.yaml")
USERS = "intent_routes.yaml"

_REF = re.compile(r"\$([a-z_]+(?:\.[A-Za-z0-9_-]+)*)(\?)?")
_FIELDS = tuple(field.name for field in fields(Intent))
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
        self.marks: dict[str, yaml.Mark] = {}

    def routes(self) -> tuple[Route, ...]:
        body = self._mapping(self._load(), "", ("routes",))
        items = body.get("routes") or []
        if not isinstance(items, list):
            raise self._fault("routes", "is not a list of routes")
        routes = [self._route(item, f"routes[{number}]") for number, item in enumerate(items)]
        for number, route in enumerate(routes):
            if route.name in {earlier.name for earlier in routes[:number]}:
                raise self._fault(f"routes[{number}]", f"a route before it is named {route.name!r} too")
        return tuple(routes)

    def _load(self) -> Any:
        try:
            loader = yaml.SafeLoader(self.path.read_text(encoding="utf-8"))
            node = loader.get_single_node()
            if node is None:
                return {}
            self._mark(node, "", ())
            return loader.construct_document(node)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read: {error.strerror}.") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path}: is not YAML: {error}") from error

    def _mark(self, node: yaml.Node, key: str, above: tuple[yaml.Node, ...]) -> None:
        self.marks[key] = node.start_mark
        if any(node is each for each in above):
            raise self._fault(key, "is an alias of what it stands in")
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self._mark(item, f"{key}[{number}]", (*above, node))
        elif isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                below = f"{key}.{name.value}".lstrip(".")
                if below in self.marks:
                    raise self._fault(below, "stands twice")
                self._mark(value, below, (*above, node))

    def _route(self, item: Any, key: str) -> Route:
        item = self._mapping(item, key, _KEYS)
        types = self._types(item.get("type"), key)
        signal = self._signal(item.get("signal"), key)
        facts = {name: self._template(value, f"{key}.facts.{name}")
                 for name, value in self._mapping(item.get("facts"), f"{key}.facts").items()}
        self._fit(facts, signal, f"{key}.facts")
        name = item.get("name", f"{signal} for {', '.join(types)}")
        if not isinstance(name, str) or not name:
            raise self._fault(f"{key}.name", "is not a name")
        return Route(name, types, signal, facts)

    def _types(self, value: Any, key: str) -> tuple[str, ...]:
        types = [value] if isinstance(value, str) else value
        if not isinstance(types, list) or not types or not all(isinstance(t, str) and t for t in types):
            raise self._fault(f"{key}.type", "is not an intent type, a glob, or a list of them", key)
        return tuple(types)

    def _signal(self, value: Any, key: str) -> str:
        where = f"{key}.signal"
        if not isinstance(value, str):
            raise self._fault(where, "names no signal", key)
        if value not in self.contracts:
            near = get_close_matches(value, list(self.contracts), n=2)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; add its contract to contracts.d/"
            raise self._fault(where, f"no contract is named {value!r}{hint}")
        if value not in self.emits or value == READY:
            raise self._fault(where, f"the intent router may not emit {value}; list it under `emits` in an "
                                     "overlay of its manifest, daemons.d/intent_router.yaml")
        return value

    def _template(self, value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {str(name): self._template(below, f"{key}.{name}") for name, below in value.items()}
        if isinstance(value, list):
            return [self._template(item, f"{key}[{number}]") for number, item in enumerate(value)]
        if isinstance(value, str) and value.startswith("$"):
            return value[1:] if value.startswith("$$") else self._reference(value, key)
        if value is None or isinstance(value, str | int | float):
            return value
        raise self._fault(key, f"{value!r} has no form in JSON; put it between quotes")

    def _reference(self, text: str, key: str) -> Ref:
        match = _REF.fullmatch(text)
        if match is None:
            raise self._fault(key, f"{text!r} is not a reference such as $question, $data.x or $data.x?")
        head, *rest = match[1].split(".")
        if head not in _FIELDS or (rest and head != "data"):
            near = get_close_matches(head, _FIELDS, n=1)
            hint = f"did you mean ${near[0]}?" if near else f"there are: ${', $'.join(_FIELDS)}, $data.KEY"
            raise self._fault(key, f"an intent has no field ${match[1]}; {hint}")
        return Ref((head, *rest), bool(match[2]))

    def _fit(self, facts: Mapping[str, Any], signal: str, key: str) -> None:
        schema = self.contracts[signal].schema
        properties, required = schema.get("properties", {}), schema.get("required", ())
        for name in facts:
            if name not in properties and schema.get("additionalProperties") is False:
                near = get_close_matches(name, properties, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; it has: {', '.join(properties)}"
                raise self._fault(f"{key}.{name}", f"{signal} has no fact {name!r}{hint}")
        for name in required:
            if name not in facts:
                raise self._fault(key, f"{signal} requires the fact {name!r}")
            if isinstance(facts[name], Ref) and facts[name].optional:
                raise self._fault(f"{key}.{name}", f"{signal} requires this fact; take the ? away")

    def _mapping(self, value: Any, key: str, known: Sequence[str] = ()) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._fault(key, "is not a mapping of keys to values", key.rpartition(".")[0])
        for name in value:
            if not isinstance(name, str) or (known and name not in known):
                raise self._fault(f"{key}.{name}".lstrip("."), f"is not known here; there are: {', '.join(known)}")
        return value

    def _fault(self, key: str, message: str, fallback: str = "") -> LigandError:
        mark = self.marks.get(key) or self.marks.get(fallback)
        place = f"{self.path}:{mark.line + 1}:{mark.column + 1}" if mark else str(self.path)
        return ConfigError(f"{place}: {key or 'the file'}: {message}.", file=str(self.path),
                           line=mark.line + 1 if mark else None, key=key)
