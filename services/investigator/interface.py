"""A module's public interface, drawn from its parsed tree."""

from __future__ import annotations

from collections.abc import Iterator

import griffe

from services.investigator.report import Interface, Item
from services.investigator.source import Tree
from services.investigator.words import first_paragraph

MAX_ITEMS = 2_000
MAX_DEPTH = 8
_UNFOLLOWABLE = (griffe.GriffeError, ValueError, RecursionError, KeyError)


def interface_of(tree: Tree) -> Interface:
    """Public functions and classes, the module's own first, then its public submodules' in order of name."""
    own = list(_members(tree.top, prefix=""))
    inner = [item for module, prefix in _submodules(tree.top) for item in _members(module, prefix)]
    known = {item.origin for item in own}
    items = [*own, *(item for item in inner if item.origin not in known)][:MAX_ITEMS]
    return Interface(
        docstring=first_paragraph(_docstring(tree.top)),
        items=tuple(items),
        declares_public=tree.top.exports is not None,
    )


def _submodules(module: griffe.Module, prefix: str = "", depth: int = 0) -> Iterator[tuple[griffe.Module, str]]:
    for name, member in sorted(module.members.items()):
        if isinstance(member, griffe.Module) and not name.startswith("_") and depth < MAX_DEPTH:
            yield member, f"{prefix}{name}."
            yield from _submodules(member, f"{prefix}{name}.", depth + 1)


def _members(module: griffe.Module, prefix: str) -> Iterator[Item]:
    listed = None if module.exports is None else {str(export) for export in module.exports}
    for name, member in module.members.items():
        shown = _is_public(module, name, member) if listed is None else name in listed
        target = _target(member) if shown else None
        if isinstance(target, griffe.Function | griffe.Class):
            yield Item(
                name=prefix + name,
                kind="class" if isinstance(target, griffe.Class) else "function",
                signature=prefix + _signature(target, name),
                doc=first_paragraph(_docstring(target)),
                origin=target.path,
            )


def _is_public(module: griffe.Module, name: str, member: griffe.Object | griffe.Alias) -> bool:
    """Without an `__all__`: not underscored, and defined here or taken from an own submodule."""
    if name.startswith("_"):
        return False
    return not member.is_alias or _from_inside(module, member)


def _from_inside(module: griffe.Module, member: griffe.Object | griffe.Alias) -> bool:
    return isinstance(member, griffe.Alias) and member.target_path.startswith(f"{module.path}.")


def _target(member: griffe.Object | griffe.Alias) -> griffe.Object | None:
    try:
        return member.final_target if isinstance(member, griffe.Alias) else member
    except _UNFOLLOWABLE:
        return None


def _signature(target: griffe.Function | griffe.Class, name: str) -> str:
    try:
        written = target.signature(name=name)
    except _UNFOLLOWABLE:
        return name
    return " ".join(written.split()) or name


def _docstring(target: griffe.Object) -> str:
    return target.docstring.value if target.docstring else ""
