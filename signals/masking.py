"""Hides facts whose contract marks them `x-secret`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from signals.catalogue import Contract

MASK = "***"
Path = Sequence[str]


def mask(facts: Any, paths: Iterable[Path]) -> Any:
    """A copy of `facts` with `MASK` at each path of keys (`"*"` is every item of a list).

    Facts of any other shape than the contract's are no error: what is not there stays away.
    """
    for path in paths:
        facts = _masked(facts, tuple(path))
    return facts


def _masked(value: Any, path: tuple[str, ...]) -> Any:
    if not path:
        return MASK
    step, rest = path[0], path[1:]
    if isinstance(value, list) and step == "*":
        return [_masked(item, rest) for item in value]
    if isinstance(value, Mapping) and step in value:
        return {**value, step: _masked(value[step], rest)}
    return value


class Masker:
    """Masks envelopes by the contracts of a catalogue, whatever their version."""

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self._paths: dict[str, list[Path]] = {}
        for contract in contracts:
            if contract.secrets:
                self._paths.setdefault(contract.name, []).extend(contract.secrets)

    def envelope(self, envelope: Mapping[str, Any]) -> Mapping[str, Any]:
        """The envelope with its secret facts hidden; the same object when it has none."""
        name = envelope.get("signal")
        paths = self._paths.get(name) if isinstance(name, str) else None
        if not paths or "facts" not in envelope:
            return envelope
        return {**envelope, "facts": mask(envelope["facts"], paths)}

    def raw(self, raw: bytes) -> bytes:
        """The same for encoded envelopes; untouched bytes when nothing is hidden."""
        if not self._paths:
            return raw
        envelope = orjson.loads(raw)
        masked = self.envelope(envelope)
        return raw if masked is envelope else orjson.dumps(masked)

    def letter(self, letter: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same for a dead letter."""
        signal = letter.get("signal")
        return {**letter, "signal": self.envelope(signal)} if isinstance(signal, Mapping) else letter
