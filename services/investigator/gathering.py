"""Evidence for questions that name no module: found by the question's words beneath the configured folders.

A model may ask for more, by kind and name; what is outside the folders, hidden or named like a secret is not read.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.investigator import machine
from services.investigator.beside import printable
from services.investigator.logic import Outcome
from services.investigator.report import MAX_EXCERPT, Evidence
from services.investigator.roots import Place, Places, open_beneath, read_beneath, real_path
from services.investigator.survey import digest

MAX_FILE = 256 * 1024
MAX_READ = 32 * 1024 * 1024
MAX_ENTRIES = 20_000
MAX_DEPTH = 12
MAX_HITS = 6
MAX_EVIDENCE = 20
AROUND = 3
_WORD = re.compile(r"[^\W_]{3,}")
_SECRET = re.compile(r"secret|passw|credential|token|private|id_(rsa|dsa|ecdsa|ed25519)|\.(pem|key|kdbx|gpg)$", re.I)


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


DOCUMENTS = _words("md txt rst adoc org html tex")
TEXT = DOCUMENTS | _words(
    "py pyi toml yaml yml json cfg ini conf service timer sh bash log csv xml c h cpp hpp rs go js ts java rb lua sql"
)
_COMMON = _words(
    "the and for are was were what which who whom why how when where does did has have had can could would should this",
    "that these those there with from into about your you mine our any all not use uses used using one two its they",
    "them their been being will may might must than then also file files module modules und der die das ist wie wer",
)


def terms(question: str) -> tuple[str, ...]:
    """The words of a question that may tell files apart, in their order."""
    found = (word.lower() for word in _WORD.findall(question))
    return tuple(dict.fromkeys(word for word in found if word not in _COMMON))[:16]


@dataclass(frozen=True, slots=True)
class _File:
    place: Place
    parts: tuple[str, ...]

    @property
    def path(self) -> Path:
        return self.place.path.joinpath(*self.parts)


@dataclass(frozen=True, slots=True)
class Gathering:
    """Reads what a question needs. `look` reads a module; `clock` is monotonic, in seconds."""

    places: Places
    look: Callable[[str, Mapping[str, Any]], Outcome]
    max_seconds: float
    clock: Callable[[], float] = time.monotonic

    def first(self, asked: Mapping[str, Any]) -> list[Evidence]:
        """What the question itself leads to."""
        words = " ".join([asked["question"], asked.get("hypothesis", ""), *asked["evidence"]])
        found = [one for unit in dict.fromkeys(match[0] for match in machine.UNIT.finditer(words))
                 for one in (*machine.unit_files(unit), *machine.journal(unit))]  # fmt: skip
        if re.search(r"\b(git|commits?|committed|branch|repositor(y|ies)|changed)\b", words, re.IGNORECASE):
            found += [one for place in self.places.every for one in machine.history(place, ())]
        return _distinct([*found, *self._search(terms(words))])

    def more(self, wanted: Iterable[Mapping[str, Any]], known: Sequence[Evidence]) -> list[Evidence]:
        """What a model asks for, of the kinds that there are; only what is not known yet."""
        found = [one for want in wanted for one in self._wanted(want["kind"], want["what"].strip())]
        return _distinct([*known, *found])[len(known) :]

    def _wanted(self, kind: str, what: str) -> Iterable[Evidence]:
        if kind == "search":
            return self._search(terms(what))
        if kind == "unit":
            return machine.unit_files(what)
        if kind == "journal":
            return machine.journal(what)
        if kind == "module":
            return self._module(what)
        place = self._beneath(what)
        if place is None:
            return ()
        return machine.history(place.place, place.parts) if kind == "git" else self._file(place, ())

    def _beneath(self, what: str) -> _File | None:
        """A path beneath one of the places, where it really is; None for any other."""
        if "\0" in what or len(what) > 4096:
            return None
        for base in self.places.every:
            real = real_path(base.path / what)
            place = self.places.holding(real)
            if place is not None and os.path.exists(real):
                return _File(place, real.relative_to(place.path).parts)
        return None

    def _module(self, name: str) -> Iterator[Evidence]:
        asked = {"question": name, "question_id": "-", "module_path": name, "evidence": []}
        outcome = self.look("asked by a model", asked)
        facts = outcome.facts
        if outcome.signal == "Q_INVESTIGATION_COMPLETE":
            text = "\n".join([facts["summary"], *facts["findings"], *facts["capabilities"]])
            yield Evidence("module", facts["module_path"], facts.get("evidence_sha256"), text[:MAX_EXCERPT])

    def _file(self, file: _File, wanted: Sequence[str]) -> Iterator[Evidence]:
        if not _may_read(file.parts):
            return
        try:
            data = read_beneath(file.place.path, file.parts, MAX_FILE)[:MAX_FILE]
        except OSError:
            return
        if b"\0" not in data[:4096]:
            text = data.decode("utf-8", "replace")
            kind = "document" if file.path.suffix[1:].lower() in DOCUMENTS else "file"
            yield Evidence(kind, printable(file.path), digest(data), excerpt(text, wanted))

    def _search(self, wanted: Sequence[str]) -> list[Evidence]:
        """The files that hold most of the words, best first; a word that few files hold counts more."""
        if not wanted:
            return []
        until, left, hits, held = self.clock() + self.max_seconds, MAX_READ, [], Counter[str]()
        for file in self._walk():
            if left <= 0 or self.clock() > until:
                break
            try:
                data = read_beneath(file.place.path, file.parts, MAX_FILE)
            except OSError:
                continue
            left -= len(data)
            text = data.decode("utf-8", "replace").lower()
            here = {word for word in wanted if word in text}
            named = {word for word in wanted if word in "/".join(file.parts).lower()}
            if here or named:
                held.update(here | named)
                hits.append((file, here, named))
        rare = {word: 1 / count for word, count in held.items()}
        hits.sort(key=lambda hit: (-sum(1 + rare[word] for word in (*hit[1], *hit[2])), hit[0].path))
        return [one for file, _, _ in hits[:MAX_HITS] for one in self._file(file, wanted)]

    def _walk(self) -> Iterator[_File]:
        """Text files beneath the places, those near the top first, following no link."""
        queue: deque[_File] = deque(_File(place, ()) for place in self.places.every)
        entries = 0
        while queue and entries < MAX_ENTRIES:
            folder = queue.popleft()
            for name, mode in _listed(folder):
                entries += 1
                below = _File(folder.place, (*folder.parts, name))
                if not _may_read(below.parts):
                    continue
                if stat.S_ISDIR(mode) and len(below.parts) < MAX_DEPTH and name not in ("__pycache__", "node_modules"):
                    queue.append(below)
                elif stat.S_ISREG(mode) and ("." not in name or name.rsplit(".", 1)[1].lower() in TEXT):
                    yield below


def _listed(folder: _File) -> list[tuple[str, int]]:
    try:
        handle = open_beneath(folder.place.path, folder.parts)
        try:
            with os.scandir(handle) as entries:
                return sorted((entry.name, entry.stat(follow_symlinks=False).st_mode) for entry in entries)
        finally:
            os.close(handle)
    except OSError:
        return []


def _may_read(parts: Sequence[str]) -> bool:
    """Hidden files, and those named like secrets, are nobody's evidence."""
    return not any(part.startswith(".") or _SECRET.search(part) for part in parts)


def _distinct(found: Iterable[Evidence]) -> list[Evidence]:
    kept: dict[tuple[str, str], Evidence] = {}
    for one in found:
        kept.setdefault((one.kind, one.ref), one)
    return list(kept.values())[:MAX_EVIDENCE]


def excerpt(text: str, wanted: Sequence[str]) -> str:
    """The lines around the words, numbered; the beginning where there are none."""
    lines = text.splitlines()
    hits = [nth for nth, line in enumerate(lines) if any(word in line.lower() for word in wanted)]
    if not hits or len(text) <= MAX_EXCERPT:
        return text[:MAX_EXCERPT]
    shown = sorted({near for nth in hits for near in range(max(0, nth - AROUND), min(len(lines), nth + AROUND + 1))})
    return "\n".join(f"{nth + 1}: {lines[nth][:400]}" for nth in shown)[:MAX_EXCERPT]
