"""The findings: a file of one line each, and in memory what finds those that may say the same."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from services.runtime.appending import append_to
from services.semantic_dedup.logic import Finding, terms

MOST = 20_000
MAX_CANDIDATES = 64
PER_SUBJECT = 32


class Index:
    """Findings by id, subject, term and dependency.

    The oldest go when there are more than `most`, or more than 32 about one subject.
    """

    def __init__(self, path: Path, most: int = MOST) -> None:
        """Read the file; what a crash left torn at its end is taken off. Raises OSError."""
        self._path = path
        self._most = most
        self._found: dict[str, Finding] = {}
        self._place: dict[str, int] = {}
        self._next = 0
        self._by_subject: dict[str, dict[str, None]] = defaultdict(dict)
        self._by_term: dict[str, dict[str, None]] = defaultdict(dict)
        self._users: dict[str, dict[str, None]] = defaultdict(dict)
        self._lines = 0
        for finding in _read(path):
            self.keep(finding)
            self._lines += 1
        self._tidy()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, identity: str) -> Finding | None:
        """A finding."""
        return self._found.get(identity)

    def add(self, finding: Finding) -> None:
        """Keep a finding, on disk when this returns; one that is known stays as it was. Raises OSError."""
        if finding.id in self._found:
            return
        if self._found and not self._path.exists():
            self._write()  # somebody took it away: what is known outlives that
        append_to(self._path, orjson.dumps(asdict(finding)) + b"\n")
        self.keep(finding)
        self._lines += 1
        self._tidy()

    def _tidy(self) -> None:
        """Take out of the file what is no longer known, once it is a quarter of what may be."""
        if self._lines > len(self._found) + self._most // 4:
            self._write()

    def _write(self) -> None:
        _write(self._path, self._found.values())
        self._lines = len(self._found)

    def keep(self, finding: Finding) -> None:
        """Know a finding, in memory alone."""
        if finding.id in self._found:
            return
        self._found[finding.id], self._place[finding.id] = finding, self._next
        self._next += 1
        if finding.subject:
            of_subject = self._by_subject[finding.subject]
            of_subject[finding.id] = None
            if len(of_subject) > PER_SUBJECT:
                self._drop(next(iter(of_subject)))  # nothing is compared with it any more
        for term in () if finding.subject else terms(finding.text):
            self._by_term[term][finding.id] = None
        for name in finding.dependencies:
            self._users[name][finding.id] = None
        if len(self._found) > self._most:
            self._drop(next(iter(self._found)))

    def _drop(self, identity: str) -> None:
        finding = self._found.pop(identity)
        del self._place[identity]
        _forget(self._by_subject, finding.subject, identity)
        for term in terms(finding.text):
            _forget(self._by_term, term, identity)
        for name in finding.dependencies:
            _forget(self._users, name, identity)

    def candidates(self, finding: Finding) -> list[Finding]:
        """Those before it that may say the same: of its subject the latest, else those that share most terms."""
        before = self._place.get(finding.id, self._next)
        if finding.subject:
            named = [one for one in self._by_subject.get(finding.subject, ()) if self._place[one] < before]
            return [self._found[one] for one in named[-PER_SUBJECT:]]
        counts = Counter(one for term in terms(finding.text) for one in self._by_term.get(term, ()))
        best = sorted(counts, key=lambda one: (-counts[one], -self._place[one]))
        return [self._found[one] for one in best if self._place[one] < before][:MAX_CANDIDATES]

    def integrates_with(self, finding: Finding) -> list[str]:
        """Known modules that it imports."""
        wanted = set(finding.dependencies) - {_top(finding.subject)}
        return sorted(wanted & self._by_subject.keys())

    def used_by(self, finding: Finding) -> list[str]:
        """Known modules that import it."""
        if not finding.subject or "." in finding.subject:
            return []
        users = {self._found[one].subject for one in self._users.get(finding.subject, ())}
        return sorted(name for name in users if name and _top(name) != finding.subject)


def _forget(table: dict[str, dict[str, None]], key: str, identity: str) -> None:
    if key in table:
        table[key].pop(identity, None)
        if not table[key]:
            del table[key]


def _top(name: str) -> str:
    return name.partition(".")[0]


def _read(path: Path) -> Iterator[Finding]:
    if not path.exists():
        return
    with path.open("r+b") as stream:
        whole = 0
        for line in stream:
            if not line.endswith(b"\n"):
                stream.truncate(whole)  # what was being written when the power went: it comes again
                return
            whole += len(line)
            try:
                found = _finding(orjson.loads(line))
            except (orjson.JSONDecodeError, TypeError, KeyError):
                continue  # a person edited the file
            yield found


def _finding(kept: Any) -> Finding:
    """A finding as it was kept. Raises TypeError or KeyError for what is none."""
    dependencies = kept["dependencies"]
    found = Finding(**kept | {"dependencies": tuple(dependencies)})
    texts = [value for name, value in kept.items() if name != "dependencies"] + dependencies
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(kept)
    return found


def _write(path: Path, findings: Iterable[Finding]) -> None:
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as out:
        out.writelines(orjson.dumps(asdict(one)) + b"\n" for one in findings)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)
