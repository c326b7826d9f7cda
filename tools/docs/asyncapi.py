"""`docs/asyncapi.yaml`: the bus as AsyncAPI 3.0 describes an interface, one channel a signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from services.runtime.manifest import Manifest
from signals import __version__
from signals.catalogue import Contract
from signals.envelope import EMITTER_FIELDS, ENVELOPE_SCHEMA
from tools.talk import World

HEAD = "# Made from the contracts and manifests by `make docs`; do not edit.\n"
NOT_IN_PAYLOADS = ("$schema", "x-ligand", "examples", "title", "description")
BUS_SETS: Mapping[str, Any] = {
    "correlation_id": {"type": "string", "description": "The story: the id of its root."},
    "hops": {"type": "integer", "minimum": 0, "description": "The distance from the root."},
    "replayed": {"type": "boolean", "description": "Delivered again from the dead letters."},
    "seq": {"type": "integer", "minimum": 1, "description": "Its place in the journal."},
    "received_at": {"type": "string", "description": "When the bus had it, RFC 3339."},
    "peer_uid": {"type": "integer", "minimum": 0, "description": "The user who really sent it."},
}


def asyncapi(world: World) -> str:
    """The document's text."""
    text = yaml.dump(document(world), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return HEAD + str(text)


class _Dumper(yaml.SafeDumper):
    """Writes everything out: anchors are hard to read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def document(world: World) -> dict[str, Any]:
    """The document as an object."""
    contracts = list(world.catalogue.values())
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Ligand",
            "version": __version__,
            "description": "The signals of Ligand's daemons. Facts are the payload; the envelope around them is "
            "described as headers. Everything goes through one bus on one machine.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "bus": {
                "host": "localhost",
                "pathname": "/run/ligand/bus.sock",
                "protocol": "zeromq",
                "protocolVersion": "3.1",
                "description": "A ROUTER on a Unix socket, in the runtime folder; docs/bus.md has the frames.",
            }
        },
        "channels": {contract.name: _channel(contract) for contract in contracts},
        "operations": {
            key: operation
            for manifest in sorted(world.manifests.values(), key=lambda each: each.daemon)
            for key, operation in _operations(world, manifest).items()
        },
        "components": {
            "messages": {contract.name: _message(contract) for contract in contracts},
            "schemas": {"Envelope": _envelope()},
        },
    }


def _channel(contract: Contract) -> dict[str, Any]:
    return {
        "address": contract.name,
        "title": contract.name,
        "description": contract.description,
        "messages": {contract.name: {"$ref": f"#/components/messages/{contract.name}"}},
        "tags": [{"name": contract.kind}, {"name": contract.delivery}],
    }


def _message(contract: Contract) -> dict[str, Any]:
    own = contract.schema["x-ligand"]
    return {
        "name": contract.name,
        "title": contract.name,
        "summary": contract.description,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/Envelope"},
        "payload": {key: value for key, value in contract.schema.items() if key not in NOT_IN_PAYLOADS},
        "examples": [{"payload": facts} for facts in contract.examples],
        "x-ligand": {key: value for key, value in own.items() if key != "counter_examples"},
    }


def _envelope() -> dict[str, Any]:
    known = {name: part for name, part in EMITTER_FIELDS.items() if name != "facts"}
    return {
        "type": "object",
        "description": "The envelope without its facts. From correlation_id on the bus sets them.",
        "properties": {**known, **BUS_SETS},
        "required": [name for name in ENVELOPE_SCHEMA["required"] if name != "facts"],
    }


def _operations(world: World, manifest: Manifest) -> dict[str, Any]:
    said = sorted({*manifest.emits, *manifest.asks} | _timeouts(world, manifest))
    heard = [name for name in world.catalogue if any(who == manifest.daemon for who, _ in world.hearers(name))]
    found = {f"{manifest.daemon}.sends.{name}": _operation("send", name, manifest) for name in said}
    return found | {f"{manifest.daemon}.receives.{name}": _operation("receive", name, manifest) for name in heard}


def _timeouts(world: World, manifest: Manifest) -> set[str]:
    if manifest.daemon != "bus":
        return set()
    return {contract.expects.timeout for contract in world.catalogue.values() if contract.expects}


def _operation(action: str, name: str, manifest: Manifest) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "title": f"{manifest.daemon} {action}s {name}",
        "tags": [{"name": manifest.daemon}],
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
    }
