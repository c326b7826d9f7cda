"""One module's sources as a tree of names: `griffe` parses, nothing is imported or run."""

from __future__ import annotations

import ast
import io
import threading
import time
import tokenize
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import griffe

from services.investigator.locating import Found
from services.investigator.survey import SourceFile

# warnings.catch_warnings changes the whole process, so only one thread may be inside it.
_PARSING = threading.Lock()
MAX_BLOCK = 4_000
MAX_ALIASES = 200_000


@dataclass(slots=True)
class Tree:
    """A module with its submodules, what they import, which can be run, and which files are broken."""

    top: griffe.Module
    modules: dict[str, str] = field(default_factory=dict)
    """Dotted name to file, of those that were parsed."""
    imports: set[str] = field(default_factory=set)
    runnable: dict[str, str] = field(default_factory=dict)
    """Dotted name of a module with a main guard to what the guard calls ('' if several things)."""
    broken: dict[str, str] = field(default_factory=dict)
    wildcards: int = 0
    """Modules with a wildcard import."""
    names: int = 0
    late: int = 0
    """Files that were not parsed because time was up."""
    expanded: bool = True
    """False when wildcard imports were left alone because there are too many names."""


class Broken(Exception):
    """The file is not Python that can be parsed."""


def read_tree(
    found: Found, files: Iterable[SourceFile], deadline: float, clock: Callable[[], float] = time.monotonic
) -> Tree:
    """Parse a module's files (tests are not parsed); a broken one is noted and the others go on.

    `deadline` is on `clock`, in seconds; a file that is begun is finished.
    """
    collection = griffe.ModulesCollection()
    tree = Tree(_parents(found, collection))
    for file in files:
        if file.problem is not None:
            tree.broken["/".join(file.parts)] = file.problem
        elif not file.is_test or len(file.parts) == len(found.parts):
            if clock() > deadline:
                tree.late += 1
            else:
                _add(tree, found, file, collection)
    tree.expanded = tree.wildcards * tree.names <= MAX_ALIASES
    if tree.expanded:
        _expand(tree.top, collection)
    return tree


def decode(data: bytes) -> str:
    """Source text by its declared encoding (PEP 263). Raises `Broken`."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise Broken(f"not text in its declared encoding: {error}") from error


def _parents(found: Found, collection: griffe.ModulesCollection) -> griffe.Module:
    """Empty modules from the top of the name down to the one that is asked for."""
    above, parent = found.place.path, None
    for name in found.name.split("."):
        above = above / name
        parent = _put(
            griffe.Module(name, filepath=above / "__init__.py", parent=parent, modules_collection=collection),
            collection,
        )
    assert parent is not None
    return parent


def _put(module: griffe.Module, collection: griffe.ModulesCollection) -> griffe.Module:
    """Hang a module into its parent, in the place of what was there: a submodule hides a name."""
    holder = collection if module.parent is None else module.parent
    holder.members[module.name] = module
    return module


def _add(
    tree: Tree,
    found: Found,
    file: SourceFile,
    collection: griffe.ModulesCollection,
) -> None:
    inner = _dotted_below(found, file.parts)
    dotted = ".".join([found.name, *inner])
    if dotted in tree.modules or not all(name.isidentifier() for name in inner):
        # A stub beside its source (read first, and saying more), or a script that no import can name.
        return
    path = found.place.path.joinpath(*file.parts)
    parent = _parent_of(tree.top, inner, collection) if inner else _above(tree.top)
    try:
        text = decode(file.data or b"")
        syntax = parse(text, path)
        _refuse_dense(syntax)
        _note_imports(tree, dotted, syntax)
        module = _visit(dotted.rsplit(".", 1)[-1], path, text, parent, collection)
    except Broken as error:
        tree.broken["/".join(file.parts)] = str(error)
        return
    tree.modules[dotted] = "/".join(file.parts)
    tree.names += len(module.members)
    tree.wildcards += any(isinstance(one, griffe.Alias) and one.wildcard for one in module.members.values())
    _put(module, collection)
    if not inner:
        tree.top = module


def _dotted_below(found: Found, parts: tuple[str, ...]) -> list[str]:
    if found.kind not in ("package", "namespace"):
        return []
    *folders, name = parts[len(found.parts) :]
    stem = name.rsplit(".", 1)[0]
    return folders if stem == "__init__" else [*folders, stem]


def _above(module: griffe.Module) -> griffe.Module | None:
    parent = module.parent
    return parent if isinstance(parent, griffe.Module) else None


def _parent_of(top: griffe.Module, inner: list[str], collection: griffe.ModulesCollection) -> griffe.Module:
    """The module above. Parents are read before their children: one that is not there has no source."""
    parent = top
    for name in inner[:-1]:
        member = parent.members.get(name)
        if not isinstance(member, griffe.Module):
            filepath = Path(str(parent.filepath)).parent / name / "__init__.py"
            member = _put(
                griffe.Module(name, filepath=filepath, parent=parent, modules_collection=collection),
                collection,
            )
        parent = member
    return parent


def _visit(
    name: str,
    path: Path,
    text: str,
    parent: griffe.Module | None,
    collection: griffe.ModulesCollection,
) -> griffe.Module:
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return griffe.visit(
                name,
                path,
                text,
                extensions=griffe.Extensions(),
                parent=parent,
                modules_collection=collection,
            )
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise Broken(_syntax(error)) from error


def parse(text: str, path: Path) -> ast.Module:
    """The syntax tree. Raises `Broken`."""
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text, str(path))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise Broken(_syntax(error)) from error


def _syntax(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"syntax error at line {error.lineno or '?'}: {error.msg}"
    return f"cannot be parsed: {type(error).__name__} {error}".rstrip()


def _refuse_dense(syntax: ast.Module) -> None:
    """griffe's time grows with the square of the statements in one block; a file of data is not worth it."""
    blocks = (getattr(node, name, None) for node in ast.walk(syntax) for name in ("body", "orelse", "finalbody"))
    longest = max((len(block) for block in blocks if isinstance(block, list)), default=0)
    if longest > MAX_BLOCK:
        raise Broken(f"{longest} statements in one block, more than {MAX_BLOCK}: not read closely")


def _note_imports(tree: Tree, dotted: str, syntax: ast.Module) -> None:
    for node in ast.walk(syntax):
        if isinstance(node, ast.Import):
            tree.imports.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            tree.imports.add(node.module.split(".")[0])
    for statement in syntax.body:
        if isinstance(statement, ast.If) and _is_main_guard(statement.test):
            tree.runnable[dotted] = _called(statement.body)
    if dotted.endswith(".__main__"):
        tree.runnable.setdefault(dotted, "")


def _is_main_guard(test: ast.expr) -> bool:
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)):
        return False
    sides = [test.left, test.comparators[0]]
    named = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
    return named and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)


def _called(body: list[ast.stmt]) -> str:
    names = [
        node.func.id
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id != "exit"
    ]
    return names[0] if len(set(names)) == 1 else "main" if "main" in names else ""


def _expand(top: griffe.Module, collection: griffe.ModulesCollection) -> None:
    """Fill in `__all__` built from submodules, and wildcard imports, from what was read; load nothing."""
    loader = griffe.GriffeLoader(search_paths=[], modules_collection=collection, allow_inspection=False)
    try:
        loader.expand_exports(top)
        loader.expand_wildcards(top, external=False)
    except (griffe.GriffeError, RecursionError, KeyError):
        # Names that cannot be followed stay as they were written; the interface says less, nothing is lost.
        return
