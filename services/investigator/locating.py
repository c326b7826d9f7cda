"""The way from a name or a path to a module beneath one of the places. Looks at the file system, imports nothing.

A path is made real first, and compared with the places.
"""

from __future__ import annotations

import importlib.machinery
import os
import re
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Literal

from services.investigator.roots import Place, Places, closed_on_the_way, real_path

Kind = Literal["package", "module", "stub", "extension", "namespace"]
EXTENSION_SUFFIXES = tuple(importlib.machinery.EXTENSION_SUFFIXES)
SOURCE_SUFFIXES = (".py", ".pyi")
MAX_NAME = 256
MAX_PATH = 4096
MAX_QUOTED = 200
MAX_LOOKED_AT = 20_000
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATH_LIKE = re.compile(r"[/\\~]|^\.|\.(py|pyi|so)$")


@dataclass(frozen=True, slots=True)
class Found:
    """A module that exists: its full dotted name, and its file or folder, real and beneath `place`."""

    name: str
    kind: Kind
    place: Place
    path: Path

    @property
    def parts(self) -> tuple[str, ...]:
        """The way from the place to the file or folder."""
        return self.path.relative_to(self.place.path).parts


@dataclass(frozen=True, slots=True)
class Missing:
    """Why nothing was found: a short machine name and one sentence that says where was looked."""

    reason: str
    detail: str


def locate(asked: str, places: Places) -> Found | Missing:
    """Find a module by dotted name or by path. Looks at the file system, imports nothing."""
    if _PATH_LIKE.search(asked):
        return _locate_path(asked, places)
    return _locate_name(asked, places)


def _locate_name(name: str, places: Places) -> Found | Missing:
    parts = name.split(".")
    if len(name) > MAX_NAME or not all(map(_IDENTIFIER.fullmatch, parts)):
        return Missing("bad_name", f"{_quoted(name)} is no dotted name in ASCII, such as package.module.")
    escaped = False
    for finder in (_regular, _namespace):
        for place in places.every:
            base = place.path.joinpath(*parts)
            if places.holding(real_path(base)) is None:
                escaped = escaped or os.path.exists(base)
                continue
            hit = finder(base)
            found = _accept(hit, places) if hit else None
            if isinstance(found, Found):
                return _without_source(found) or found
            escaped = escaped or hit is not None
    return _not_found(name, parts, places, escaped)


def _locate_path(asked: str, places: Places) -> Found | Missing:
    if "\0" in asked or len(os.fsencode(asked.encode("utf-8", "replace").decode())) > MAX_PATH:
        return Missing("bad_name", f"{_quoted(asked)} is not a usable path.")
    bases = [Path("/")] if os.path.isabs(asked) else [place.path for place in places.every]
    escaped = os.path.isabs(asked) or not bases
    for base in bases:
        real = real_path(base / asked)
        if places.holding(real) is None:
            escaped = True
            continue
        escaped = escaped and not os.path.isabs(asked)
        found = _at(real, places)
        if found is not None:
            return found
    if escaped:
        return _outside(asked, places)
    if closed := _closed(Path(asked), places):
        return closed
    return Missing("phantom", f"There is nothing at {_quoted(asked)}. Looked in: {places.told()}.")


def _at(real: Path, places: Places) -> Found | Missing | None:
    """What stands at a real path beneath a place; None when nothing does."""
    if not os.path.exists(real):
        return None
    if real.is_file() and not real.name.endswith((*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)):
        return Missing("not_a_module", f"{real} is a file, but not one of Python's.")
    hit = _file_kind(real) if real.is_file() else _folder_kind(real)
    if hit is None:
        return Missing("phantom", f"{real} is a folder without any Python file.")
    found = _accept(hit, places)
    return _without_source(found) or found if isinstance(found, Found) else found


def _file_kind(path: Path) -> tuple[Kind, Path]:
    if path.name in ("__init__.py", "__init__.pyi"):
        return "package", path.parent
    if path.name.endswith(EXTENSION_SUFFIXES):
        stub = path.with_name(path.name.split(".")[0] + ".pyi")
        return ("stub", stub) if os.path.exists(stub) else ("extension", path)
    return ("stub" if path.suffix == ".pyi" else "module"), path


def _folder_kind(path: Path) -> tuple[Kind, Path] | None:
    if os.path.exists(path / "__init__.py") or os.path.exists(path / "__init__.pyi"):
        return "package", path
    return _namespace(path)


def _regular(base: Path) -> tuple[Kind, Path] | None:
    """The first of package, source, stub and extension that an import statement would take."""
    if os.path.exists(base / "__init__.py") or os.path.exists(base / "__init__.pyi"):
        return "package", base
    for suffix in (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES):
        path = base.with_name(base.name + suffix)
        if os.path.exists(path):
            return _file_kind(path)
    return None


def _namespace(base: Path) -> tuple[Kind, Path] | None:
    """A folder without `__init__.py` that holds modules, at whatever depth an import can name them."""
    queue, seen = deque([base] if os.path.isdir(base) else []), 0
    while queue:
        try:
            with os.scandir(queue.popleft()) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            # A folder that may not be listed is told as unreadable once it is really read.
            return "namespace", base
        seen += len(found)
        if any(map(_is_code, found)) or seen > MAX_LOOKED_AT:
            return "namespace", base
        queue.extend(Path(entry) for entry in found if _is_inner_folder(entry))
    return None


def _is_code(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink() and entry.name.isidentifier():
        return os.path.exists(Path(entry) / "__init__.py")
    return entry.name.endswith((*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)) and not entry.is_dir(follow_symlinks=False)


def _is_inner_folder(entry: os.DirEntry[str]) -> bool:
    return is_code_folder(entry.name) and entry.is_dir(follow_symlinks=False)


def is_code_folder(name: str) -> bool:
    """Whether a folder of this name may be part of a package."""
    return name.isidentifier() and name not in _SKIPPED


def _accept(hit: tuple[Kind, Path], places: Places) -> Found | Missing:
    """Name what was hit by where it really is, so that a module has one name however it was asked for."""
    kind, path = hit
    real = real_path(path)
    place = places.holding(real)
    if place is None or not os.path.exists(real):
        return _outside(str(path), places)
    parts = list(real.relative_to(place.path).parts)
    if not parts:
        return Missing("not_importable", f"{real} is a root itself; name a module in it.")
    parts[-1] = parts[-1].split(".")[0] if kind in ("module", "stub", "extension") else parts[-1]
    odd = next((part for part in parts if not _IDENTIFIER.fullmatch(part)), None)
    if odd is not None:
        mend = "rename it" if odd == parts[-1] else f"add {real.parent} to the roots"
        return Missing(
            "not_importable",
            f"{real} has no dotted name from the root {place.path}, because "
            f"{_quoted(odd)} is no ASCII identifier; {mend}.",
        )
    return Found(".".join(parts), kind, place, real)


def _without_source(found: Found) -> Missing | None:
    if found.kind != "extension":
        return None
    return Missing(
        "no_source",
        f"{found.name} is a compiled extension ({found.path}) without a stub: there is no Python source to read.",
    )


def _not_found(name: str, parts: Sequence[str], places: Places, escaped: bool) -> Missing:
    if escaped:
        return _outside(name, places)
    if parts[0] in sys.stdlib_module_names and not places.library:
        return Missing(
            "outside_roots",
            f"{name} belongs to the interpreter's library, which the configuration leaves "
            "out; set interpreter_library: true to let it be read.",
        )
    if name in sys.builtin_module_names:
        version = ".".join(map(str, sys.version_info[:3]))
        return Missing(
            "no_source",
            f"{name} is compiled into the interpreter (Python {version}): there is no Python source to read.",
        )
    if closed := _closed(Path(*parts), places):
        return closed
    parent = ".".join(parts[:-1])
    near = f" {parent} exists, but has no module {parts[-1]}." if parent and _is_there(parent, places) else ""
    return Missing("phantom", f"No module is named {name}.{near} Looked in: {places.told()}.")


def _closed(way: Path, places: Places) -> Missing | None:
    """Where something may well be there that we may not see."""
    on_the_ways = (closed_on_the_way(real_path(place.path / way)) for place in places.every)
    closed = next((one for one in on_the_ways if one and places.holding(one)), None)
    if closed is None:
        return None
    return Missing(
        "unreadable",
        f"{closed} may not be looked into. Grant it: ligand grant investigator {quote(str(closed))} --read.",
    )


def _is_there(name: str, places: Places) -> bool:
    return isinstance(_locate_name(name, places), Found)


def _outside(asked: str, places: Places) -> Missing:
    return Missing(
        "outside_roots",
        f"{_quoted(asked)} lies or leads outside what may be read ({places.told()}). Add "
        "its folder to `roots` in investigator.yaml; under systemd grant it: ligand grant investigator FOLDER --read.",
    )


def _quoted(text: str) -> str:
    return repr(text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "…")
