"""What stands beside a module and belongs to it: README, tests, console scripts. Only beneath its place."""

from __future__ import annotations

import configparser
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.investigator.locating import Found
from services.investigator.report import MAX_EXCERPT, Evidence
from services.investigator.roots import open_beneath, read_beneath
from services.investigator.survey import digest
from services.investigator.words import first_paragraph

MAX_DOCUMENT = 256 * 1024
MAX_LISTED = 5_000
_README = re.compile(r"readme(\.(md|rst|txt))?", re.IGNORECASE)

Parts = tuple[str, ...]


@dataclass(slots=True)
class Beside:
    """What was found, and a finding for each document that could not be understood."""

    readme: str | None = None
    readme_says: str = ""
    scripts: list[tuple[str, str]] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


def look_beside(found: Found) -> Beside:
    """Read the documents of a module and of the project around it."""
    beside = Beside()
    folder = found.parts if found.kind in ("package", "namespace") else None
    if folder is not None:
        _readme(found, folder, beside)
    for project in _project_folders(found):
        own = _scripts(found, project, beside)
        if own and beside.readme is None:
            _readme(found, project, beside)
    _installed_scripts(found, beside)
    _tests(found, beside)
    return beside


def _project_folders(found: Found) -> Iterator[Parts]:
    """The folder above the top of the name, and the one above a `src` folder; never above the place."""
    above = found.parts[:-1]
    yield above
    if above and above[-1] == "src":
        yield above[:-1]


def _readme(found: Found, folder: Parts, beside: Beside) -> None:
    for name in _names(found, folder):
        if _README.fullmatch(name):
            text = _text(found, (*folder, name), "readme", beside)
            if text is not None:
                beside.readme, beside.readme_says = name, first_paragraph(text)
                return


def _scripts(found: Found, folder: Parts, beside: Beside) -> bool:
    """Note console scripts; tells whether the project here bears the module's name."""
    names = _names(found, folder)
    project: dict[str, Any] = {}
    if "pyproject.toml" in names:
        text = _text(found, (*folder, "pyproject.toml"), "project", beside)
        project = _toml(text or "", "pyproject.toml", beside).get("project", {})
        project = project if isinstance(project, dict) else {}
        scripts = project.get("scripts", {})
        beside.scripts += _pairs(scripts) if isinstance(scripts, dict) else []
    setup: dict[str, str] = {}
    if "setup.cfg" in names:
        text = _text(found, (*folder, "setup.cfg"), "project", beside)
        setup = _setup(text or "", beside)
        beside.scripts += _lines(setup.get("console_scripts", ""))
    if "entry_points.txt" in names:
        _entry_points(found, (*folder, "entry_points.txt"), beside)
    bears = str(project.get("name") or setup.get("name") or "")
    return _normal(bears) == _normal(found.name.split(".")[-1])


def _installed_scripts(found: Found, beside: Beside) -> None:
    """Console scripts of the distribution that was installed under the module's name."""
    if found.place.kind != "library" or len(found.parts) != 1:
        return
    for name in _names(found, ()):
        distribution = name.removesuffix(".dist-info").rsplit("-", 1)[0]
        own = name.endswith(".dist-info") and _normal(distribution) == _normal(found.name)
        if own and "entry_points.txt" in _names(found, (name,)):
            _entry_points(found, (name, "entry_points.txt"), beside)


def _entry_points(found: Found, parts: Parts, beside: Beside) -> None:
    text = _text(found, parts, "entry_points", beside)
    section = _ini(text or "", "entry_points.txt", beside)
    if section.has_section("console_scripts"):
        beside.scripts += _pairs(dict(section.items("console_scripts")))


def _toml(text: str, name: str, beside: Beside) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        beside.broken[name] = f"not TOML: {error}"
        return {}


def _ini(text: str, name: str, beside: Beside) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(delimiters=("=",), strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        beside.broken[name] = f"not in the form of an ini file: {error}"
    return parser


def _setup(text: str, beside: Beside) -> dict[str, str]:
    parser = _ini(text, "setup.cfg", beside)
    scripts = parser.get("options.entry_points", "console_scripts", fallback="")
    return {"name": parser.get("metadata", "name", fallback=""), "console_scripts": scripts}


def _lines(text: str) -> list[tuple[str, str]]:
    pairs = [line.partition("=") for line in text.splitlines() if "=" in line]
    return [(name.strip(), target.strip()) for name, _, target in pairs]


def _pairs(table: dict[str, Any]) -> list[tuple[str, str]]:
    return [(str(name), str(target)) for name, target in table.items()]


def _tests(found: Found, beside: Beside) -> None:
    """Tests that bear the module's name, in the test folders beside it."""
    name = found.name.split(".")[-1]
    named = re.compile(rf"test_{re.escape(name)}(_.*)?(\.py)?|{re.escape(name)}_test\.py")
    for project in _project_folders(found):
        for folder in ("tests", "test"):
            hits = [hit for hit in _names(found, (*project, folder)) if named.fullmatch(hit)]
            beside.tests += ["/".join((*project, folder, hit)) for hit in hits]


def _names(found: Found, folder: Parts) -> list[str]:
    """Names in a folder, sorted; none if it is not there, is a link or may not be read."""
    try:
        handle = open_beneath(found.place.path, folder)
    except OSError:
        return []
    try:
        return sorted(os.listdir(handle))[:MAX_LISTED]
    except NotADirectoryError:
        return []
    finally:
        os.close(handle)


def _text(found: Found, parts: Parts, kind: str, beside: Beside) -> str | None:
    """A document's text, cut at a bound, noted as evidence; None and a finding when it cannot be read."""
    try:
        data = read_beneath(found.place.path, parts, MAX_DOCUMENT)[:MAX_DOCUMENT]
    except OSError as error:
        beside.broken["/".join(parts)] = f"cannot be read: {error.strerror or error}"
        return None
    ref = str(found.place.path.joinpath(*parts))
    text = data.decode("utf-8", "replace")
    beside.evidence.append(Evidence(kind, printable(ref), digest(data), text[:MAX_EXCERPT]))
    return text


def printable(path: str | Path) -> str:
    """A path as text that can be sent: bytes that are no UTF-8 become question marks."""
    return os.fsencode(path).decode("utf-8", "replace")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
