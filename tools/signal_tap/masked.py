"""Contracts for recordings: where a fact is secret the mask fits too, whatever the fact else must be. Pure."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

from signals.catalogue import Catalogue, Contract
from signals.judging import subschemas
from signals.masking import MASK

Document = dict[str, Any]
REFUSED = {"facts": [], "why": "facts are an object"}
"""A counter-example that none of them accepts: one of the contract's own may hold the mask."""


def admitting(document: Document) -> Document:
    """A copy of a contract's document that also takes the mask at each place marked `x-secret`.

    It expects nothing where the seconds of its deadline are secret: a mask is no number to count with.
    """
    copy = deepcopy(document)
    for part in [part for _, part in subschemas(copy) if part.get("x-secret")]:
        inner = {key: value for key, value in part.items() if key != "x-secret"}
        marked: Document = {key: part[key] for key in ("description", "x-secret") if key in part}
        part.clear()
        part.update(marked, anyOf=[inner, {"const": MASK}])
    copy["x-ligand"]["counter_examples"] = [REFUSED]
    if _is_secret_deadline(copy):
        del copy["x-ligand"]["expects"]
    return copy


def _is_secret_deadline(document: Document) -> bool:
    within = document["x-ligand"].get("expects", {}).get("within_s")
    fact = within.get("fact") if isinstance(within, dict) else None
    return bool(document.get("properties", {}).get(fact, {}).get("x-secret"))


def recorded(contract: Contract) -> Contract:
    """The contract that facts of a recording have to fit."""
    return replace(contract, schema=admitting(contract.schema)) if contract.secrets else contract


def of_recordings(catalogue: Catalogue) -> Catalogue:
    """The same for each contract of a catalogue."""
    return Catalogue.of(map(recorded, catalogue.versions.values()))
