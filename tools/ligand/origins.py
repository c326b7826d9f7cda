"""Which signal stands behind a file that Ligand wrote: by the ids it holds, its name, its content or its path."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from signals.errors import NotFoundError, UsageError
from signals.ids import is_id
from signals.journal import Journal
from tools.progress import progress

LARGEST = 64 << 20
DEEPEST = 4
LISTED = 12
PAGE = 500
KEYS = ("story", "correlation_id", "signal_id")
_CLAIM = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})\.(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """An entry of a file that names the signal or story behind it; `also` are other texts it goes by."""

    label: str
    id: str
    also: frozenset[str] = frozenset()

    def is_called(self, name: str) -> bool:
        """Whether a person who says `name` means this entry."""
        return name in (self.label, self.label.rpartition(".")[2], *self.also)


def origin(path: Path, entry: str | None, journal: Journal) -> str:
    """The id of the signal or story behind a file, or behind one entry of it.

    Raises `NotFoundError`, and `UsageError` when an entry has to be named.
    """
    if not path.is_file():
        return _dropped(path, journal)
    found = list(references(path))
    if entry is not None:
        return _named(path, found, entry).id
    if len(found) == 1:
        return found[0].id
    if found and path.suffix == ".jsonl":
        return found[-1].id
    whole = _of_claim(path.name, journal) or (None if found else _of_dropped(path.name, journal))
    whole = whole or _by_content(path, journal)
    if whole is None and found:
        raise UsageError(f"{path} has {len(found)} entries. Say which: ligand why {path} ENTRY\n{_labels(found)}")
    if whole is None:
        raise NotFoundError(f"No kept signal speaks of {path}, neither by its content nor by its path.")
    return whole


def _named(path: Path, found: list[Reference], entry: str) -> Reference:
    for reference in reversed(found):
        if reference.is_called(entry):
            return reference
    what = f"It has:\n{_labels(found)}" if found else "None of its entries names a signal."
    raise NotFoundError(f"{path} has no entry {entry!r} that names a signal. {what}")


def _labels(found: list[Reference]) -> str:
    more = f"\n  … and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return "\n".join(f"  {reference.label}" for reference in found[-LISTED:]) + more


# -- ids within the file -----------------------------------------------------------------------------


def references(path: Path) -> Iterator[Reference]:
    """Every entry of a JSON, JSON-lines or YAML file that names a signal or a story, in the file's order."""
    if path.stat().st_size > LARGEST:
        return
    text = path.read_bytes()
    if path.suffix == ".jsonl":
        for number, line in enumerate(text.splitlines(), 1):
            yield from _in(_json(line), (str(number),))
        return
    yield from _in(_json(text) if text.lstrip()[:1] in (b"{", b"[") else _yaml(text), ())


def _json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _yaml(text: bytes) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError):
        return None


def _in(value: Any, place: tuple[str, ...]) -> Iterator[Reference]:
    if len(place) > DEEPEST:
        return
    if isinstance(value, Mapping):
        found = _id_of(value)
        if found is not None:
            yield Reference(".".join(place) or "the file", found, frozenset(_names(value)))
            return
        for key, inner in value.items():
            yield from _in(inner, (*place, str(key)))
    elif isinstance(value, list):
        for number, inner in enumerate(value, 1):
            yield from _in(inner, (*place, str(number)))


def _id_of(value: Mapping[Any, Any]) -> str | None:
    for key in KEYS:
        if is_id(value.get(key)):
            return str(value[key])
    signal = value.get("signal")  # a dead letter
    return str(signal["id"]) if isinstance(signal, Mapping) and is_id(signal.get("id")) else None


def _names(value: Mapping[Any, Any]) -> Iterator[str]:
    """The texts of an entry, and of its facts, that a person may know it by."""
    for inner in (value, value.get("facts")):
        if isinstance(inner, Mapping):
            yield from (text for text in inner.values() if isinstance(text, str) and len(text) < 200)
    if "dead_letter_id" in value:
        yield str(value["dead_letter_id"])


# -- files of the drop folder ------------------------------------------------------------------------


def _of_claim(name: str, journal: Journal) -> str | None:
    """The story of a file in working/, done/ or rejected/, whose name begins with its intent's id."""
    claim = _CLAIM.match(name)
    if claim is None:
        return None
    key, kept = claim[1], f"/{claim[1]}."

    def fits(facts: Mapping[str, Any]) -> bool:
        return facts.get("intent_id") == key or kept in str(facts.get("kept_at"))

    return _newest(journal, ("Q_INTENT_READY", "Q_INTENT_REJECTED"), fits)


def _of_dropped(name: str, journal: Journal) -> str | None:
    return _newest(journal, ("Q_INTENT_READY", "Q_INTENT_REJECTED"), lambda facts: facts.get("file") == name)


def _dropped(path: Path, journal: Journal) -> str:
    """A file that is gone: what was dropped under this name, as `ligand intent` printed it."""
    found = _of_claim(path.name, journal) or _of_dropped(path.name, journal)
    if found is None:
        raise NotFoundError(f"There is no file {path}, and no kept signal tells of one dropped under that name.")
    return found


def _newest(journal: Journal, names: tuple[str, ...], fits: Callable[[Mapping[str, Any]], bool]) -> str | None:
    before = journal.head() + 1
    while rows := journal.page_before(before, PAGE, names):
        for _, raw in rows:
            envelope = orjson.loads(raw)
            if fits(envelope["facts"]):
                return str(envelope["id"])
        before = rows[-1][0]
    return None


# -- any other file ----------------------------------------------------------------------------------


def _by_content(path: Path, journal: Journal) -> str | None:
    """The newest signal whose facts hold the file's digest, else the newest that names its path."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest().encode()
    place = orjson.dumps(str(path.absolute()))
    head, first = journal.head(), journal.first()
    named, before = None, head + 1
    with progress("searching the journal", head - first + 1) as advance:
        while rows := journal.page_before(before, PAGE):
            for _, raw in rows:
                if digest in raw:
                    return str(orjson.loads(raw)["id"])
                if named is None and place in raw:
                    named = str(orjson.loads(raw)["id"])
            before = rows[-1][0]
            advance(head - before + 1)
    return named
