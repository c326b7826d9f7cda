"""A daemon that is to be: its name, what it hears and says, which contracts are missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.runtime.manifest import RUNTIME_EMITS
from signals.catalogue import Catalogue
from signals.errors import UsageError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SIGNAL = re.compile(r"Q_[A-Z0-9]+(_[A-Z0-9]+)*")
_TAKEN = frozenset({"runtime", "experiments", "any", "intents", "test", "ligand"})


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write. `sample` gives facts that fit each signal's contract."""

    name: str
    description: str
    consumes: tuple[str, ...]
    emits: tuple[str, ...]
    fresh: frozenset[str]
    catalogue: Catalogue

    @property
    def dashed(self) -> str:
        """The name as units and users bear it."""
        return self.name.replace("_", "-")

    @property
    def title(self) -> str:
        """The name as a class bears it."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    def sample(self, signal: str) -> dict[str, Any]:
        """Facts that fit the contract: its first example."""
        return {"text": "hello"} if signal in self.fresh else dict(self.catalogue[signal].examples[0])

    def kind(self, signal: str) -> str:
        """The kind of a fresh contract: what people may ask for, how work ends, or what was noticed."""
        if signal in self.consumes:
            return "intent"
        return "completion" if self.consumes else "advisory"


def plan(name: str, consumes: Sequence[str], emits: Sequence[str], taken: Sequence[str], catalogue: Catalogue) -> Plan:
    """What to write for a daemon called `name`. Raises `UsageError` for names that cannot be."""
    _check_name(name, taken)
    if not consumes and not emits:
        word = name.upper()
        consumes, emits = (f"Q_{word}_WANTED",), (f"Q_{word}_DONE",)
    for signal in (*consumes, *emits):
        if not _SIGNAL.fullmatch(signal):
            raise UsageError(f"{signal!r} is no signal's name. Names look like Q_TEA_WANTED: Q_, what, and its state.")
    _check_roles(consumes, emits, catalogue)
    fresh = frozenset(signal for signal in (*consumes, *emits) if signal not in catalogue)
    hears = f"Hears {_listed(consumes)}" if consumes else "Looks every minute"
    says = f"emits {_listed(emits)}" if emits else "takes note"
    return Plan(name, f"{hears} and {says}", tuple(consumes), tuple(emits), fresh, catalogue)


def _check_name(name: str, taken: Sequence[str]) -> None:
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise UsageError(f"{name!r} cannot be a daemon's name. Take small letters, digits and _, such as tea_maker.")
    if name in taken:
        raise UsageError(f"There is a daemon {name} already. Choose another name.")


def _check_roles(consumes: Sequence[str], emits: Sequence[str], catalogue: Catalogue) -> None:
    for signal in consumes:
        contract = catalogue.get(signal)
        if contract is not None and contract.delivery == "live":
            raise UsageError(
                f"{signal} is live: it cannot be consumed, only listened to (see docs/writing-a-daemon.md)."
            )
        if signal in emits:
            raise UsageError(f"{signal} cannot be both consumed and emitted: that would be a loop.")
    for signal in emits:
        if signal in RUNTIME_EMITS:
            raise UsageError(f"{signal} is emitted by the frame for every daemon; leave it out.")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
