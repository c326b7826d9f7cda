"""`docs/signals.md`: every signal, what its facts are, who emits and who hears it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from services.runtime.manifest import RUNTIME_EMITS
from signals.catalogue import Contract, Expects
from signals.explaining import expectation
from signals.judging import KINDS
from tools.talk import World

HEAD = """\
# Signals

Made from the contracts in `signals/contracts/` and the manifests by `make docs`; do not edit. The envelope around
these facts is described in [architecture.md](architecture.md), what the bus does with it in [bus.md](bus.md);
[asyncapi.yaml](asyncapi.yaml) says the same for programs.
"""
KIND_WORDS = {
    "intent": "what a person or program wants",
    "advisory": "what was noticed",
    "trigger": "what somebody is to do",
    "completion": "what was done",
    "error": "what could not be done",
    "sensor": "what was perceived",
    "model": "what a model says meanwhile",
    "system": "how Ligand itself fares",
}


def signals_page(world: World) -> str:
    """The page's text."""
    parts = [HEAD, "## By kind\n", *_index(world), *(_signal(world, world.catalogue[name]) for name in world.catalogue)]
    return "\n".join(parts)


def _index(world: World) -> Iterator[str]:
    for kind in KINDS:
        names = [name for name, contract in world.catalogue.items() if contract.kind == kind]
        links = ", ".join(f"[`{name}`](#{name.lower()})" for name in names)
        yield f"- **{kind}**, {KIND_WORDS[kind]}: {links or 'none yet'}"
    yield ""


def _signal(world: World, contract: Contract) -> str:
    schema = contract.schema
    rows = "\n".join(_rows(schema, ""))
    table = f"| fact | what it is | what for |\n| --- | --- | --- |\n{rows}\n" if rows else "It has no facts.\n"
    example = json.dumps(contract.examples[0], indent=2, ensure_ascii=False)
    about = "\n".join(f"- {line}" for line in _about(world, contract))
    return f"## {contract.name}\n\n{contract.description}\n\n{about}\n\n{table}\n```json\n{example}\n```\n"


def _about(world: World, contract: Contract) -> Iterator[str]:
    version = f", version {contract.version}" if contract.version > 1 else ""
    live = "; live: never journaled, may be missed" if contract.delivery == "live" else ""
    yield f"kind: {contract.kind}{version}{live}{'; ends its story' if contract.terminal else ''}"
    yield f"emitted by: {_code(_speakers(world, contract))}"
    heard = _code(f"{who}{'' if how == 'consumes' else f' ({how})'}" for who, how in world.hearers(contract.name))
    yield f"heard by: {heard}" + (f". {contract.unconsumed}" if contract.unconsumed and heard == "nobody" else "")
    if contract.expects:
        yield _expects(contract.expects)
    if contract.story_limit != 1000:
        yield f"a story it begins may have {contract.story_limit} signals"


def _speakers(world: World, contract: Contract) -> list[str]:
    return ["every daemon"] if contract.name in RUNTIME_EMITS else world.speakers(contract.name)


def _code(names: Any) -> str:
    return ", ".join(f"`{name}`" if " " not in name else name for name in names) or "nobody"


def _expects(expects: Expects) -> str:
    within = f"{expects.within_s:g} s" if expects.within_s is not None else f"the seconds in `{expects.within_fact}`"
    queued = f", after waiting {expects.queued_at_most_s:g} s at most" if expects.queued_at_most_s else ""
    answers = " or ".join(f"`{name}`" for name in expects.answers)
    return f"expects {answers} within {within}{queued}; else the bus emits `{expects.timeout}`"


def _rows(schema: Mapping[str, Any], prefix: str) -> Iterator[str]:
    required = schema.get("required", ())
    for name, part in schema.get("properties", {}).items():
        optional = "" if name in required else " (optional)"
        secret = " Masked wherever it is shown." if part.get("x-secret") else ""
        words = _cell(str(part.get("description", "")))
        yield f"| `{prefix}{name}`{optional} | {_cell(_what(part))} | {words}{secret} |"
        items = part.get("items", {})
        yield from _rows(part, f"{prefix}{name}.")
        if isinstance(items, Mapping):
            yield from _rows(items, f"{prefix}{name}[].")


def _what(part: Mapping[str, Any]) -> str:
    """What a fact must be, in words."""
    part = dict(part)
    if "const" in part or "enum" in part:
        return expectation(part)
    words = [expectation(part)] if "type" in part else []
    if "items" in part and part.get("type") == "array" and "type" in part["items"]:
        words = [f"a list of {expectation(part['items'])}"]
    for rule in ("minLength", "maxLength"):
        if rule in part and part.get("type") == "string":
            words = [expectation(part, rule)]
    if "pattern" in part:
        words.append(f"`{part['pattern']}`")
    numbers = [key for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if key in part]
    if numbers:
        words.append(expectation(part, numbers[0]).removeprefix("a number "))
    return ", ".join(words) or "any value"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
