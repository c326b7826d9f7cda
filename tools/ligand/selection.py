"""Which units to run, and in which order."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tools.ligand.unit_names import HELPERS, daemon_of, unit_of
from tools.ligand.unit_syntax import UnitError
from tools.ligand.units import Unit, load


def select(
    folders: Path | Sequence[Path],
    only: Iterable[str] = (),
    instances: Iterable[str] = (),
    disabled: Iterable[str] = (),
) -> list[Unit]:
    """The units in the folders in start order: all, or those named and what they want.

    Names are those of daemons (`intent_router`, `model_worker@primary`) or units. Of a template run those `instances`
    whose template is there, or those that are named; of the `disabled` daemons only those that are named. Raises
    `UnitError` for an unknown name, a broken unit or a circle.
    """
    folders = [folders] if isinstance(folders, Path) else list(folders)
    files = _files(folders)
    if not files:
        raise UnitError(f"{folders[0]}: no units (ligand-*.service) here")
    started = (name for name in map(unit_of, instances) if _template(name) in files)
    wanted = [unit_of(daemon_of(name)) for name in only]
    left_out = {unit_of(name) for name in disabled} - set(wanted)
    wanted = wanted or [*(name for name in files if "@." not in name and name not in left_out), *started]
    chosen: dict[str, Unit] = {}
    while wanted:
        name = wanted.pop()
        if name not in chosen:
            chosen[name] = _load(name, files)
            wants = (other for other in chosen[name].wants if other not in left_out)
            wanted += [other for other in wants if _template(other) in files or other in files]
    return in_order(chosen)


def _files(folders: Iterable[Path]) -> dict[str, Path]:
    """The unit files by name. Raises `UnitError` for a name that stands in two folders."""
    files: dict[str, Path] = {}
    found = (file for folder in folders for file in sorted(folder.glob("ligand-*.service")))
    for file in (file for file in found if not file.name.startswith(HELPERS)):
        if file.name in files:
            raise UnitError(f"{file}: {files[file.name]} has that name already; choose another")
        files[file.name] = file
    return files


def in_order(units: Mapping[str, Unit]) -> list[Unit]:
    """The units sorted so that each comes after those in its `After=`; equals by name."""
    after = {name: {one for one in unit.after if one in units} for name, unit in units.items()}
    sorter = TopologicalSorter(after)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " after ".join(reversed(error.args[1]))
        raise UnitError(f"the units cannot be ordered: {circle}; remove one After=") from error
    ordered: list[Unit] = []
    while sorter.is_active():
        level = sorted(sorter.get_ready())
        ordered += [units[name] for name in level]
        sorter.done(*level)
    return ordered


def _template(name: str) -> str:
    before, at, _ = name.partition("@")
    return f"{before}@.service" if at else name


def _load(name: str, files: Mapping[str, Path]) -> Unit:
    if name in files and "@." not in name:
        return load(files[name])
    instance = name.partition("@")[2].removesuffix(".service")
    if instance and _template(name) in files:
        return load(files[_template(name)], instance=instance)
    known = sorted(daemon_of(one) for one in files)
    close = difflib.get_close_matches(daemon_of(name), known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UnitError(f"no unit for {daemon_of(name)}{hint} Known: {', '.join(known)}")
