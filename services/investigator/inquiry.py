"""From one question to its one outcome: locate, read, put into words, record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.investigator import logic
from services.investigator.beside import Beside, look_beside, printable
from services.investigator.interface import interface_of
from services.investigator.logic import Evidence, Outcome, Report
from services.investigator.records import Records
from services.investigator.roots import Found, Missing, Places, locate
from services.investigator.source import Tree, read_tree
from services.investigator.survey import Limits, SourceFile, Survey, survey


@dataclass(frozen=True, slots=True)
class Investigator:
    """Answers questions about modules; `clock` is monotonic, in seconds."""

    places: Places
    limits: Limits
    records: Records
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, config: Mapping[str, Any], records: Records) -> Investigator:
        """Build it from a checked configuration."""
        limits = Limits(*(config[key] for key in ("max_files", "max_bytes", "max_file_bytes", "max_seconds")))
        return cls(Places.of(config["roots"], config["interpreter_library"]), limits, records)

    def answer(self, signal_id: str, timestamp: str, asked: Mapping[str, Any], replayed: bool = False) -> Outcome:
        """The outcome of a signal; one that was answered before gets the recorded answer again.

        Raises OSError when the record cannot be written.
        """
        identity = logic.investigation_id(signal_id)
        known = self.records.find(identity, thorough=replayed)
        if known is not None:
            return Outcome("Q_INVESTIGATION_COMPLETE", known, ("file",))
        outcome = self._look_into(asked, identity)
        if outcome.signal == "Q_INVESTIGATION_COMPLETE":
            facts = self.records.add(identity, signal_id, timestamp, outcome.facts)
            return Outcome(outcome.signal, facts, outcome.taint)
        return outcome

    def _look_into(self, asked: Mapping[str, Any], identity: str) -> Outcome:
        began = self.clock()
        named = logic.candidates(asked)
        if not named:
            return logic.no_model(asked)
        missing: list[Missing] = []
        for name in named:
            found = locate(name, self.places)
            if isinstance(found, Found):
                report = self._read(found, began + self.limits.max_seconds)
                if isinstance(report, Report):
                    return logic.complete(asked, report, identity, self.clock() - began)
                found = report
            missing.append(found)
        return logic.failed(asked, missing[0].reason, " ".join(one.detail for one in missing))

    def _read(self, found: Found, deadline: float) -> Report | Missing:
        seen = survey(found, self.limits)
        if not seen.files:
            return _nothing(found, seen)
        tree = read_tree(found, seen.files, deadline, self.clock)
        return _report(found, seen, tree, look_beside(found))


def _nothing(found: Found, seen: Survey) -> Missing:
    if seen.unread:
        return Missing(
            "unreadable",
            f"{found.path} cannot be read ({seen.unread[0]}). Grant it: ligand grant investigator {found.path} --read.",
        )
    return Missing("phantom", f"{found.path} is a folder without any Python file of its own.")


def _report(found: Found, seen: Survey, tree: Tree, beside: Beside) -> Report:
    code = [file for file in seen.files if not file.is_test]
    top = _top_file(found, seen)
    return Report(
        name=found.name,
        path=printable(found.path),
        kind=found.kind,
        has_init=top is not None and top.parts[-1].startswith("__init__."),
        interface=interface_of(tree),
        py_files=len(seen.files),
        lines=sum(file.lines for file in seen.files),
        size=sum(file.size for file in seen.files),
        imports=frozenset(tree.imports),
        entry_points=(*logic.runnable(tree.runnable), *logic.console_scripts(beside.scripts, found.name)),
        tests=(*("/".join(file.parts) for file in seen.files if file.is_test), *beside.tests),
        readme=beside.readme,
        readme_says=beside.readme_says,
        broken=tree.broken | beside.broken,
        top_broken=top is not None and "/".join(top.parts) in tree.broken,
        links=tuple(seen.links),
        unread=tuple(seen.unread),
        cut=_cut(seen, tree),
        evidence=(*_evidence(found, code, tree), *beside.evidence),
    )


def _cut(seen: Survey, tree: Tree) -> str | None:
    if tree.late:
        return f"{tree.late} files were not parsed in time (max_seconds)"
    if not tree.expanded:
        return "wildcard imports were not followed, there are too many names"
    return seen.cut


def _top_file(found: Found, seen: Survey) -> SourceFile | None:
    if found.kind == "namespace":
        return None
    depth = len(found.parts) + (1 if found.kind == "package" else 0)
    tops = [file for file in seen.files if len(file.parts) == depth]
    named = [file for file in tops if file.parts[-1].startswith("__init__.")]
    return next(iter(named if found.kind == "package" else tops), None)


def _evidence(found: Found, files: list[SourceFile], tree: Tree) -> list[Evidence]:
    """The files that were read, those first whose names are cited."""
    cited = set(tree.modules.values()) | set(tree.broken)
    read = [file for file in files if "/".join(file.parts) in cited]
    return [Evidence("source", printable(found.place.path.joinpath(*file.parts)), file.sha256) for file in read]
