"""What a report is in words, and how sure that makes an answer. Pure."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from services.investigator.report import Interface, Item, Report
from services.investigator.words import MAX_SUMMARY, clip, count, some

MAX_CAPABILITIES = 48
MAX_PHRASE = 120
MAX_SIGNATURE = 64
MAX_FINDING = 400
MAX_BROKEN = 6


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
        doubts.append((-0.3 * share, f"{count(len(report.broken), 'file')} could not be read"))
    if report.top_broken:
        doubts.append((0.0, "its own file is broken"))
    if report.cut:
        doubts.append((-0.1, "it was not read to its end"))
    return doubts


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
    return f"{kind}: {count(report.py_files, 'Python file')}, {report.lines} lines, {report.size} bytes."


def _offers(interface: Interface) -> str:
    functions = sum(1 for item in interface.items if item.kind == "function")
    classes = len(interface.items) - functions
    return f"Public interface: {count(functions, 'function')}, {count(classes, 'class')}."


def foreign(report: Report) -> list[str]:
    """Top-level names of what is imported that is neither the module's own nor the standard library's."""
    return sorted(report.imports - {report.name.split(".")[0], "__future__"} - sys.stdlib_module_names)


def _dependencies(report: Report) -> list[str]:
    own = report.name.split(".")[0]
    others = foreign(report)
    standard = sorted((report.imports & sys.stdlib_module_names) - {own, "__future__"})
    outside = f"Depends on {', '.join(others)}." if others else "Depends on the standard library alone."
    inside = f"Uses {count(len(standard), 'module')} of the standard library: {', '.join(standard)}."
    return [outside, inside] if standard else [outside]


def _tests(report: Report) -> str:
    if not report.tests:
        return "No tests found."
    return f"Tests: {count(len(report.tests), 'file')}, such as {', '.join(report.tests[:3])}."


def _wrongs(report: Report) -> list[str]:
    told = [f"Broken: {path}: {problem}." for path, problem in list(report.broken.items())[:MAX_BROKEN]]
    if len(report.broken) > MAX_BROKEN:
        told.append(f"Broken: {len(report.broken) - MAX_BROKEN} files more.")
    if report.links:
        told.append(f"Links, not followed: {some(report.links)}.")
    if report.unread:
        told.append(f"Not readable: {some(report.unread)}.")
    return [*told, *([f"Cut short: {report.cut}."] if report.cut else [])]


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
