"""Hides facts whose contract marks them `x-secret`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from signals.catalogue import Contract
from signals.secrecy import ANY

MASK = "***"
TOLD = "Q_DEAD_LETTER_ADDED"
"""Its `error` may repeat secrets of the signal that died: daemons of older versions did not hide them."""
SHORT = 4
"""A secret of fewer characters is only hidden where it stands alone: else every such letter would be."""
Path = Sequence[str]


def mask(facts: Any, paths: Iterable[Path]) -> Any:
    """A copy of `facts` with `MASK` at each path of keys (`"*"`: every item of a list, every key of an object).

    Facts of any other shape than the contract's are no error: what is not there stays away.
    """
    for path in paths:
        facts = _masked(facts, tuple(path))
    return facts


def _masked(value: Any, path: tuple[str, ...]) -> Any:
    if not path:
        return MASK
    step, rest = path[0], path[1:]
    if isinstance(value, list) and step == ANY:
        return [_masked(item, rest) for item in value]
    if isinstance(value, Mapping) and step == ANY:
        return {key: _masked(item, rest) for key, item in value.items()}
    if isinstance(value, Mapping) and step in value:
        return {**value, step: _masked(value[step], rest)}
    return value


def literals(value: Any, path: Path) -> Iterator[str]:
    """The texts and numbers at a path and below it, as they may stand in a message."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    if path:
        named = [value[path[0]]] if isinstance(value, Mapping) and path[0] in value else ()
        for item in inner if path[0] == ANY else named:
            yield from literals(item, path[1:])
    elif isinstance(value, Mapping | list):
        for item in inner:
            yield from literals(item, ())
    elif isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
        text = str(value)
        yield from dict.fromkeys((text, repr(text)[1:-1], orjson.dumps(text).decode()[1:-1]))


def redact(text: str, words: Iterable[str]) -> str:
    """The text with `MASK` for each of the words, the longest first."""
    for word in sorted(set(words), key=len, reverse=True):
        alone = len(word) < SHORT or word.isdecimal()
        pattern = rf"(?<!\w){re.escape(word)}(?!\w)" if alone else re.escape(word)
        text = re.sub(pattern, MASK, text)
    return text


def _is_told(letter: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether this is the letter that facts tell of, and not another one's of that number, from another journal."""
    signal = letter.get("signal")
    if not isinstance(signal, Mapping) or letter.get("reason") != facts.get("reason"):
        return False
    told = facts.get("signal_id")  # none is told of a refused emit
    return signal.get("signal") == facts.get("signal") and told in (None, signal.get("id"))


LetterOf = Callable[[int], Mapping[str, Any] | None]


class Masker:
    """Masks envelopes by the contracts of a catalogue, whatever their version.

    `letter_of` finds a dead letter by its number; without it what is told of letters with secrets is hidden whole.
    """

    def __init__(self, contracts: Iterable[Contract], letter_of: LetterOf | None = None) -> None:
        self._letter_of = letter_of
        self._paths: dict[str, list[Path]] = {}
        for contract in contracts:
            if contract.secrets:
                self._paths.setdefault(contract.name, []).extend(contract.secrets)

    def envelope(self, envelope: Mapping[str, Any]) -> Mapping[str, Any]:
        """The envelope with its secret facts hidden; the same object when it has none."""
        name = envelope.get("signal")
        if name == TOLD:
            return self._told(envelope)
        paths = self._paths.get(name) if isinstance(name, str) else None
        if not paths or "facts" not in envelope:
            return envelope
        return {**envelope, "facts": mask(envelope["facts"], paths)}

    def _told(self, envelope: Mapping[str, Any]) -> Mapping[str, Any]:
        facts = envelope.get("facts")
        if not isinstance(facts, Mapping) or facts.get("signal") not in self._paths or not facts.get("error"):
            return envelope
        letter = self._letter_of(facts["dead_letter_id"]) if self._letter_of is not None else None
        if letter is not None and _is_told(letter, facts):
            error = self.text(str(facts["error"]), letter["signal"])
        else:
            error = MASK  # nobody knows any more what in it is secret
        return envelope if error == facts["error"] else {**envelope, "facts": {**facts, "error": error}}

    def raw(self, raw: bytes) -> bytes:
        """The same for encoded envelopes; untouched bytes when nothing is hidden."""
        if not self._paths:
            return raw
        envelope = orjson.loads(raw)
        masked = self.envelope(envelope)
        return raw if masked is envelope else orjson.dumps(masked)

    def text(self, text: str, envelope: Mapping[str, Any]) -> str:
        """A text about a signal, such as an error, without the values of its secret facts."""
        name = envelope.get("signal")
        paths = self._paths.get(name, ()) if isinstance(name, str) else ()
        return redact(text, (word for path in paths for word in literals(envelope.get("facts"), path)))

    def letter(self, letter: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same for a dead letter: its signal, and what its error and traceback repeat of the signal's secrets."""
        signal = letter.get("signal")
        if not isinstance(signal, Mapping):
            return letter
        texts = {
            key: self.text(letter[key], signal) for key in ("error", "traceback") if isinstance(letter.get(key), str)
        }
        return {**letter, **texts, "signal": self.envelope(signal)}
