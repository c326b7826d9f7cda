"""From one question to its one outcome: locate, read, put into words, record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.investigator import logic, supposing, telling
from services.investigator.beside import Beside, look_beside, printable
from services.investigator.interface import interface_of
from services.investigator.locating import Found, Missing, locate
from services.investigator.logic import Outcome
from services.investigator.records import Records
from services.investigator.report import MAX_EXCERPT, Evidence, Report
from services.investigator.roots import Places
from services.investigator.source import Tree, read_tree
from services.investigator.survey import Limits, SourceFile, Survey, digest, survey
from services.investigator.words import some
from services.runtime import garbage

EXISTS = ("too_large", "unreadable", "no_source")  # reasons that tell more than that another name is a phantom


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
        """The outcome of a signal by reading alone; one that was answered before gets the recorded answer again.

        Raises OSError when the record cannot be written.
        """
        known = self.known(signal_id, replayed)
        return known or self.keep(self.look(signal_id, asked), signal_id, timestamp)

    def known(self, signal_id: str, replayed: bool = False) -> Outcome | None:
        """The answer that is recorded for a signal, if there is one."""
        facts = self.records.find(logic.investigation_id(signal_id), thorough=replayed)
        return None if facts is None else Outcome("Q_INVESTIGATION_COMPLETE", facts, taint_of(facts))

    def keep(self, outcome: Outcome, signal_id: str, timestamp: str) -> Outcome:
        """Record an answer before it is told; what was recorded under its id before is what counts."""
        if outcome.signal != "Q_INVESTIGATION_COMPLETE":
            return outcome
        facts = self.records.add(logic.investigation_id(signal_id), signal_id, timestamp, outcome.facts)
        return Outcome(outcome.signal, facts, taint_of(facts))

    def look(self, signal_id: str, asked: Mapping[str, Any]) -> Outcome:
        """What reading alone tells; records nothing."""
        try:
            return self._look_into(asked, logic.investigation_id(signal_id))
        finally:
            garbage.collect()  # a tree of names is full of cycles, and takes tens of megabytes until they are found

    def unchanged(self, signal_id: str, asked: Mapping[str, Any], read: Outcome) -> Outcome | None:
        """The last answer about a module, told again, if what was read is just what that rested on.

        None where there is none, where anything changed, where a model should have helped and did not, and where
        something is supposed, which that answer did not judge.
        """
        if asked.get("hypothesis"):
            return None
        facts = self.records.latest(read.facts["module_name"])
        digest = read.facts.get("evidence_sha256")
        if facts is None or digest is None or facts.get("evidence_sha256") != digest or "without_model" in facts:
            return None
        return logic.again(supposing.untold(facts), asked, logic.investigation_id(signal_id))

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
        reasons = [one.reason for one in missing]
        reason = next((one for one in reasons if one in EXISTS), reasons[0])
        return logic.failed(asked, reason, " ".join(one.detail for one in missing))

    def _read(self, found: Found, deadline: float) -> Report | Missing:
        seen = survey(found, self.limits)
        code = [file for file in seen.files if not file.is_test] or seen.files
        if all(file.data is None for file in code):
            return _nothing(found, seen)
        tree = read_tree(found, seen.files, deadline, self.clock)
        return _report(found, seen, tree, look_beside(found))


def taint_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Where an answer's words come from."""
    return ("file", "model") if facts["method"] == "model" else ("file",)


def _nothing(found: Found, seen: Survey) -> Missing:
    """Why nothing was read of what is there: all of it unreadable, too large, links or compiled."""
    large = [_problem(file) for file in seen.files if file.too_large]
    unread = [*seen.unread, *(_problem(file) for file in seen.files if file.problem and not file.too_large)]
    if unread:
        return Missing(
            "unreadable",
            f"No code of {found.path} can be read ({some(unread)}). "
            f"Grant it: ligand grant investigator {found.path} --read.",
        )
    if large:
        return Missing("too_large", f"No code of {found.path} was read ({some(large)}). Raise max_file_bytes.")
    if seen.links:
        links = some(seen.links)
        return Missing("unreadable", f"{found.path} holds only links ({links}), which are not followed.")
    if seen.compiled:
        compiled = some(seen.compiled)
        return Missing("no_source", f"{found.path} holds only compiled extensions ({compiled}), no Python source.")
    if seen.cut:
        return Missing("too_large", f"No Python file was found in {found.path}: {seen.cut}. Name a module in it.")
    return Missing("phantom", f"{found.path} is a folder without any Python file of its own.")


def _problem(file: SourceFile) -> str:
    return f"{'/'.join(file.parts)}: {file.problem}"


def _report(found: Found, seen: Survey, tree: Tree, beside: Beside) -> Report:
    code = [file for file in seen.files if not file.is_test and file.data is not None] or seen.files
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
        entry_points=(*telling.runnable(tree.runnable), *telling.console_scripts(beside.scripts, found.name)),
        tests=(*("/".join(file.parts) for file in seen.files if file.is_test), *beside.tests),
        readme=beside.readme,
        readme_says=beside.readme_says,
        broken=tree.broken | beside.broken,
        top_broken=top is not None and "/".join(top.parts) in tree.broken,
        links=tuple(seen.links),
        unread=tuple(seen.unread),
        cut=_cut(seen, tree),
        evidence=(*beside.evidence, *_evidence(found, code, tree)),
        digest=_digest(seen, beside),
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
    read = [file for file in files if file.data is not None]
    read = [file for file in read if "/".join(file.parts) in cited] or read
    return [
        Evidence("source", printable(found.place.path.joinpath(*file.parts)), file.sha256, _excerpt(file))
        for file in read
    ]


def _excerpt(file: SourceFile) -> str:
    return (file.data or b"")[:MAX_EXCERPT].decode("utf-8", "replace")


def _digest(seen: Survey, beside: Beside) -> str:
    """Over all that was read and how far, so that it changes when any of it does."""
    read = [f"{'/'.join(file.parts)} {file.sha256 or file.problem}" for file in seen.files]
    read += [f"{one.ref} {one.sha256}" for one in beside.evidence]
    return digest("\n".join([*read, seen.cut or ""]).encode("utf-8", "replace"))
