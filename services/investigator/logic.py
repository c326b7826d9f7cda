"""What is asked, how sure an answer is and what it says: pure, from what the other modules read."""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

MAX_CANDIDATES = 8
MAX_CAPABILITIES = 48
MAX_PHRASE = 120
MAX_SIGNATURE = 64
MAX_ENTRY_POINTS = 32
MAX_ENTRY_POINT = 160
MAX_EVIDENCE = 20
MAX_REF = 512
MAX_DEPENDENCIES = 48
MAX_DEPENDENCY = 64
MAX_FINDING = 400
MAX_FINDINGS = 20
UNCHANGED = "Unchanged and not investigated again"
MAX_BROKEN = 6
MAX_NAMED = 5
MAX_SUMMARY = 700
MAX_DETAIL = 2_000
MAX_QUESTION_BYTES = 17_000
MAX_FACTS_BYTES = 48_000
MAX_EXCERPT = 8_000
LISTS = ("evidence", "capabilities", "entry_points", "findings")
_NAMESPACE = uuid.UUID("5d0a3f5e-6c1b-5c7e-9a44-0b9d6b1f2c11")
_BADGE = re.compile(r"^(\[?!\[|<|\.\. |[-=~#*]{3,}\s*$)")

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """One public function or class: `signature` begins with its name, `origin` is where it is defined."""

    name: str
    kind: Literal["function", "class"]
    signature: str
    doc: str
    origin: str


@dataclass(frozen=True, slots=True)
class Interface:
    """What a module offers; `declares_public` tells whether it has an `__all__`."""

    docstring: str
    items: tuple[Item, ...]
    declares_public: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that an answer rests on; `text` is what a model may be shown of it."""

    kind: str
    ref: str
    sha256: str | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was read of one module, ready to be put into words."""

    name: str
    path: str
    kind: str
    has_init: bool
    interface: Interface
    py_files: int
    lines: int
    size: int
    imports: frozenset[str]
    entry_points: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    readme: str | None = None
    readme_says: str = ""
    broken: Mapping[str, str] = field(default_factory=dict)
    top_broken: bool = False
    links: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    cut: str | None = None
    evidence: tuple[Evidence, ...] = ()
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The one signal that a question ends in; `texts` are of its evidence, one each, for a model to read."""

    signal: Literal["Q_INVESTIGATION_COMPLETE", "Q_INVESTIGATION_FAILED"]
    facts: Facts
    taint: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def investigation_id(signal_id: str) -> str:
    """The id of the investigation that a signal asks for: the same for a redelivery, a UUID."""
    return str(uuid.uuid5(_NAMESPACE, signal_id))


def candidates(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Names and paths that the question may mean, in order: the fact, `module:` and `path:` evidence."""
    evidence = [str(line) for line in facts.get("evidence") or ()]
    named = [str(facts.get("module_path") or "")]
    for mark in ("module:", "path:"):
        named += [line[len(mark) :] for line in evidence if line.startswith(mark)]
    kept = dict.fromkeys(name.strip() for name in named if name.strip())
    return tuple(kept)[:MAX_CANDIDATES]


def confidence(report: Report) -> tuple[float, tuple[str, ...]]:
    """How sure the answer is, 0 to 1, and why.

    0.15 for a module that exists and was read; + 0.35 if its docstring says what it is for, else + 0.2 if a
    README does, else + 0.1 if public names tell something; + 0.25 times the documented share of its public
    functions and classes; + 0.1 for tests; + 0.05 for entry points; + 0.05 for a declared `__all__`.
    - 0.3 times the share of files that are broken, - 0.1 if the reading was cut short; at most 0.25 when the
    module's own file is broken. Never above 0.95: what was only read was not tried.
    """
    parts = [*_written(report), *_documented(report)]
    parts += [(0.1, "it has tests")] if report.tests else []
    parts += [(0.05, "it can be run")] if report.entry_points else []
    parts += [(0.05, "it declares its public names")] if report.interface.declares_public else []
    parts += _doubts(report)
    value = 0.15 + sum(weight for weight, _ in parts)
    ceiling = 0.25 if report.top_broken else 0.95
    return round(min(max(value, 0.05), ceiling), 2), tuple(why for _, why in parts)


def _written(report: Report) -> list[tuple[float, str]]:
    if report.interface.docstring:
        return [(0.35, "its docstring says what it is for")]
    if report.readme_says:
        return [(0.2, "its README says what it is for")]
    if report.interface.items:
        return [(0.1, "only its names tell what it is for")]
    return [(0.0, "nothing written tells what it is for")]


def _documented(report: Report) -> list[tuple[float, str]]:
    items = report.interface.items
    if not items:
        return []
    documented = sum(1 for item in items if item.doc)
    return [(0.25 * documented / len(items), f"{documented} of {len(items)} public names are documented")]


def _doubts(report: Report) -> list[tuple[float, str]]:
    doubts = []
    if report.broken:
        share = min(1.0, len(report.broken) / max(report.py_files, 1))
        doubts.append((-0.3 * share, f"{_count(len(report.broken), 'file')} could not be read"))
    if report.top_broken:
        doubts.append((0.0, "its own file is broken"))
    if report.cut:
        doubts.append((-0.1, "it was not read to its end"))
    return doubts


def complete(asked: Mapping[str, Any], report: Report, identity: str, duration_s: float) -> Outcome:
    """The answer about a module. Its facts fit an envelope whatever the module holds."""
    sure, why = confidence(report)
    facts: Facts = {
        "investigation_id": identity,
        **question_of(asked),
        "subject": "module",
        "module_name": report.name,
        "module_path": report.path,
        "py_files_count": report.py_files,
        "has_init": report.has_init,
        "size_bytes": report.size,
        "dependencies": [one for one in foreign(report) if len(one) <= MAX_DEPENDENCY][:MAX_DEPENDENCIES],
        "has_tests": bool(report.tests),
        "method": "static",
        "summary": summary(report),
        "findings": findings(report, sure, why),
        "capabilities": capabilities(report.interface.items),
        "entry_points": [clip(one, MAX_ENTRY_POINT) for one in report.entry_points[:MAX_ENTRY_POINTS]],
        "confidence": sure,
        "evidence": [cited(one) for one in report.evidence[:MAX_EVIDENCE]],
        "duration_s": round(duration_s, 6),
    }
    if report.digest:
        facts["evidence_sha256"] = report.digest
    fitted = fit(facts)
    texts = tuple(one.text for one in report.evidence[: len(fitted["evidence"])])
    return Outcome("Q_INVESTIGATION_COMPLETE", fitted, ("file",), texts)


def again(facts: Mapping[str, Any], asked: Mapping[str, Any], identity: str) -> Outcome:
    """An answer that still holds, for another question."""
    said = [line for line in facts["findings"] if not line.startswith(UNCHANGED)]
    fresh = {
        "investigation_id": identity,
        **question_of(asked),
        "findings": [*said[: MAX_FINDINGS - 1], f"{UNCHANGED} since investigation {facts['investigation_id']}."],
    }
    return Outcome("Q_INVESTIGATION_COMPLETE", fit({**facts, **fresh}))


def failed(asked: Mapping[str, Any], reason: str, detail: str, retryable: bool = False) -> Outcome:
    """The honest end of a question that found no answer."""
    told = {"reason": reason, "detail": clip(detail, MAX_DETAIL), "retryable": retryable}
    facts = {**question_of(asked), **told}
    if asked.get("module_path"):
        facts["module_path"] = asked["module_path"]
    return Outcome("Q_INVESTIGATION_FAILED", facts)


def no_model(asked: Mapping[str, Any]) -> Outcome:
    """A question that names no module cannot be answered by reading one."""
    return failed(
        asked,
        "no_model",
        "The question names no module, and no model is configured to answer "
        "it. Name the module (module_path, or evidence such as module:json or path:src/audio).",
    )


def summary(report: Report) -> str:
    """What the module is for: from its docstring, else its README, else its names."""
    said = report.interface.docstring or report.readme_says
    if said:
        return clip(f"{report.name}: {said}", MAX_SUMMARY)
    names = [item.name for item in report.interface.items[:8]]
    if names:
        return clip(f"{report.name}: nothing says what it is for; it offers {', '.join(names)}.", MAX_SUMMARY)
    return f"{report.name}: nothing says what it is for, and it has no public function or class."


def capabilities(items: Sequence[Item]) -> list[str]:
    """Short phrases: signature and first line of the docstring."""
    return [_phrase(item) for item in items[:MAX_CAPABILITIES]]


def _phrase(item: Item) -> str:
    written = clip(item.signature, MAX_SIGNATURE)
    return clip(f"{written}: {item.doc}" if item.doc else written, MAX_PHRASE)


def findings(report: Report, sure: float, why: Sequence[str]) -> list[str]:
    """Sentences about size, interface, dependencies, tests, documents and everything that was wrong."""
    told = [
        _size(report),
        _offers(report.interface),
        *_dependencies(report),
        _tests(report),
        f"README: {report.readme}." if report.readme else "No README beside it.",
        *(["No __init__.py: it is a namespace package."] if report.kind == "namespace" else []),
        *_wrongs(report),
        f"Confidence {sure}: {'; '.join(why)}.",
    ]
    return [clip(line, MAX_FINDING) for line in told]


def _size(report: Report) -> str:
    kind = {"module": "Single module", "stub": "Stub only (no source)"}.get(report.kind, "Package")
    return f"{kind}: {_count(report.py_files, 'Python file')}, {report.lines} lines, {report.size} bytes."


def _offers(interface: Interface) -> str:
    functions = sum(1 for item in interface.items if item.kind == "function")
    classes = len(interface.items) - functions
    return f"Public interface: {_count(functions, 'function')}, {_count(classes, 'class')}."


def foreign(report: Report) -> list[str]:
    """Top-level names of what is imported that is neither the module's own nor the standard library's."""
    return sorted(report.imports - {report.name.split(".")[0], "__future__"} - sys.stdlib_module_names)


def _dependencies(report: Report) -> list[str]:
    own = report.name.split(".")[0]
    others = foreign(report)
    standard = sorted((report.imports & sys.stdlib_module_names) - {own, "__future__"})
    outside = f"Depends on {', '.join(others)}." if others else "Depends on the standard library alone."
    inside = f"Uses {_count(len(standard), 'module')} of the standard library: {', '.join(standard)}."
    return [outside, inside] if standard else [outside]


def _tests(report: Report) -> str:
    if not report.tests:
        return "No tests found."
    return f"Tests: {_count(len(report.tests), 'file')}, such as {', '.join(report.tests[:3])}."


def _wrongs(report: Report) -> list[str]:
    told = [f"Broken: {path}: {problem}." for path, problem in list(report.broken.items())[:MAX_BROKEN]]
    if len(report.broken) > MAX_BROKEN:
        told.append(f"Broken: {len(report.broken) - MAX_BROKEN} files more.")
    if report.links:
        told.append(f"Links, not followed: {some(report.links)}.")
    if report.unread:
        told.append(f"Not readable: {some(report.unread)}.")
    return [*told, *([f"Cut short: {report.cut}."] if report.cut else [])]


def some(names: Sequence[str]) -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _count(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number} {noun if number == 1 else plural}"


def question_of(asked: Mapping[str, Any]) -> Facts:
    """What every answer repeats of its question; a question too long for that is cut."""
    question = str(asked["question"])
    while len(json.dumps(question, ensure_ascii=False).encode("utf-8", "replace")) > MAX_QUESTION_BYTES:
        question = question[: len(question) * 3 // 4] + "…"
    return {"question_id": asked["question_id"], "question": question}


def cited(evidence: Evidence) -> Facts:
    """Evidence as facts name it."""
    ref = evidence.ref if len(evidence.ref) <= MAX_REF else "…" + evidence.ref[1 - MAX_REF :]
    named: Facts = {"kind": evidence.kind, "ref": ref}
    return named | {"sha256": evidence.sha256} if evidence.sha256 else named


def fit(facts: Facts, limit: int = MAX_FACTS_BYTES, lists: Sequence[str] = LISTS) -> Facts:
    """Shorten the longest of `lists` until the facts fit; the last finding says that something was left out."""
    fitted = dict(facts)
    shortened = False
    while len(json.dumps(fitted, ensure_ascii=False).encode("utf-8", "replace")) > limit:
        longest = max(lists, key=lambda key: len(str(fitted[key])))
        if not fitted[longest]:
            break
        fitted[longest] = fitted[longest][: len(fitted[longest]) * 3 // 4]
        shortened = True
    if shortened:
        fitted["findings"] = [*fitted["findings"], "Lists were shortened to fit one signal."]
    return fitted


def clip(text: str, limit: int) -> str:
    """One line of at most `limit` printable characters, marked where it was cut."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def first_paragraph(text: str) -> str:
    """The first paragraph that is prose, on one line; headings, badges and underlines are passed over."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        prose = [line for line in lines if line and not line.startswith("#") and not _BADGE.match(line)]
        titled = len(lines) > 1 and _BADGE.match(lines[1]) is not None and len(prose) == 1
        if prose and not titled:
            return clip(" ".join(prose), MAX_SUMMARY)
    return ""


def console_scripts(entries: Iterable[tuple[str, str]], name: str) -> list[str]:
    """Those console scripts (command, target) that run this module."""
    own = (f"{name}.", f"{name}:")
    return [f"{command} ({target})" for command, target in entries if f"{target}.".startswith(own)]


def runnable(modules: Mapping[str, str]) -> list[str]:
    """How modules with a main guard are run: `python -m package`."""
    told = []
    for dotted, called in sorted(modules.items()):
        command = "python -m " + dotted.removesuffix(".__main__")
        told.append(f"{command} ({called}())" if called else command)
    return list(dict.fromkeys(told))
