"""A contract to begin with: one text, and room for what the author knows better."""

from __future__ import annotations

import json
from typing import Any

from signals.judging import DIALECT
from tools.ligand.scaffold.plan import Plan


def contract(plan: Plan, signal: str) -> str:
    """The contract of a signal that nobody has described yet, as the text of its file."""
    return json.dumps(document(plan, signal), indent=2) + "\n"


def document(plan: Plan, signal: str) -> dict[str, Any]:
    """The same as an object."""
    asked = signal in plan.consumes
    about = f"Asks {plan.name} for something." if asked else f"What {plan.name} has to say."
    own: dict[str, Any] = {"kind": plan.kind(signal), "version": 1}
    if not asked and plan.consumes:
        own["terminal"] = True
    elif not asked:
        own["unconsumed"] = "Told to whoever watches."
    own["counter_examples"] = [
        {"facts": {}, "why": "without a text there is nothing to say"},
        {"facts": {"text": 5}, "why": "a number is no text"},
    ]
    return {
        "$schema": DIALECT,
        "title": signal,
        "description": about,
        "type": "object",
        "properties": {
            "text": {"description": "What it is about.", "type": "string", "minLength": 1, "maxLength": 2000}
        },
        "required": ["text"],
        "additionalProperties": False,
        "examples": [{"text": "hello"}, {"text": "Good morning."}],
        "x-ligand": own,
    }
