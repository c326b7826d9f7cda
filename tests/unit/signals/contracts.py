"""A contract of a test's own, and one of Ligand's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from signals.catalogue import Catalogue, Contract

CATALOGUE = Catalogue.load()
ASK = CATALOGUE["Q_CURIOSITY_INVESTIGATE"]
FACTS = ASK.examples[0]


def document(name: str = "Q_TEA_READY", version: int = 1, **properties: Any) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "description": "The tea is ready.",
        "type": "object",
        "properties": {"cups": {"description": "How many.", "type": "integer"}} | properties,
        "required": ["cups"],
        "additionalProperties": False,
        "examples": [{"cups": 2}],
        "x-ligand": {
            "kind": "advisory",
            "version": version,
            "counter_examples": [{"facts": {"cups": "two"}, "why": "cups are counted"}],
        },
    }


def write(folder: Path, contract: dict[str, Any], name: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / (name or f"{contract['title']}.json")
    file.write_text(json.dumps(contract))
    return file


def with_contract(contract: dict[str, Any], folder: Path) -> Contract:
    write(folder, contract)
    return Catalogue.load([folder])[contract["title"]]
