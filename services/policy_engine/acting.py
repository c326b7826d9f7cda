"""What a firing emits: its facts filled in, held against their contracts, and not too much together. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from services.policy_engine.expressions import Expression, ExpressionError, MissingError
from services.policy_engine.model import Action

MAX_ACTIONS = 512 * 1024
"""Bytes of all that one firing emits; until a timer's own signal comes it is kept in one piece."""
Check = Callable[[str, Mapping[str, Any]], None]
"""Raises `ExpressionError` when facts do not fit the signal's contract."""


def built(given: Sequence[Action], scope: Mapping[str, Any], check: Check) -> tuple[tuple[str, dict[str, Any]], ...]:
    """The signals and facts of actions. Raises `ExpressionError`, also where they are too much together."""
    found = tuple((action.signal, _facts(action, scope, check)) for action in given)
    if (size := len(orjson.dumps(found))) > MAX_ACTIONS:
        raise ExpressionError(f"what it would emit takes {size:,} bytes together, more than {MAX_ACTIONS:,}")
    return found


def _facts(action: Action, scope: Mapping[str, Any], check: Check) -> dict[str, Any]:
    facts = {}
    for name, given in action.facts.items():
        try:
            facts[name] = given.value(scope) if isinstance(given, Expression) else given
        except MissingError:
            if name not in action.optional:
                raise
    check(action.signal, facts)
    return facts
