"""`ligand dream`: begin an experiment, have a cycle run and watch it, see what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from services.dream_runner import records, watching
from services.dream_runner.template import TEXT
from services.experiments.definition import FOLDER, files, load, load_all
from services.experiments.model import NAME
from services.runtime.commands import Failure, form_option, home_option, say, say_json, told
from signals.catalogue import Catalogue
from signals.emitter import Emitter
from signals.envelope import Signal, decode
from signals.journal import Journal
from signals.paths import Paths

DAEMON, ENDS = "dream_runner", ("Q_DREAM_COMPLETE", "Q_DREAM_FAILED")


@click.group()
def dream() -> None:
    """Experiments that look for better settings."""


@dream.command()
@click.argument("name")
@home_option
@told
def new(name: str, *, home: Path | None) -> int:
    """Write a commented experiment NAME. It stands in the configuration folder, to be filled in."""
    if not NAME.fullmatch(name):
        raise click.UsageError("A name has small letters, digits, - and _, and begins with a letter.")
    path = Paths.resolve(home).config / FOLDER / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEXT.format(name=name))
    except FileExistsError as error:
        raise Failure(f"{path} is there already. Choose another name, or edit that one.") from error
    words = "Say there what is tuned and how it is measured"
    say(str(path), f"{words}; ligand config check says what is missing, ligand dream run {name} then tries it.")
    return 0


@dream.command()
@click.argument("experiment", required=False)
@click.option("--wait", is_flag=True, help="Show how far it is, and what came of it; status 1 when it failed.")
@home_option
@told
def run(experiment: str | None, *, wait: bool, home: Path | None) -> int:
    """Have EXPERIMENT tried now, or all of them."""
    paths = Paths.resolve(home)
    known = {path.stem for path in files(paths.config)}
    if experiment is not None and experiment not in known:
        said = f"there are: {', '.join(sorted(known))}" if known else f"there is none in {paths.config / FOLDER}"
        raise Failure(f"No experiment is called {experiment}; {said}.")
    if experiment is not None:
        load(paths.config / FOLDER / f"{experiment}.yaml", paths.config)
    facts = {"reason": "asked by a person", "topic": None, **({"experiment": experiment} if experiment else {})}
    with Emitter(paths.bus_socket, catalogue=Catalogue.load([paths.contracts])) as emitter:
        wanted = emitter.signal("Q_DREAM_WANTED", facts)
        if not wait:
            emitter.emit(wanted)
            say(f"asked for: ligand dream show {records.cycle_id(wanted.id)}")
            return 0
        words = "it begins once dream_runner has ended what it does; Ctrl-C ends the waiting, not the cycle"
        click.echo(f"asked for: {records.cycle_id(wanted.id)}: {words}", err=True)
        end = watching.watched(paths, wanted, lambda: emitter.emit(wanted))
    if end.signal not in ENDS:
        raise Failure("The cycle did not end in time; signal-tap dead list may say more.")
    _show(end, paths)
    return int(end.signal != "Q_DREAM_COMPLETE")


@dream.command("list")
@form_option
@home_option
@told
def list_(*, form: str, home: Path | None) -> int:
    """List the experiments, and the cycles that ended."""
    paths = Paths.resolve(home)
    found, refused = load_all(paths.config)
    ended = list(_ended(paths))
    if form == "json":
        experiments = [{"name": name, "about": one.about, "file": str(one.file)} for name, one in found.items()]
        experiments += [{"name": Path(str(one.fields["file"])).stem, "error": one.message} for one in refused]
        cycles = [{"signal": one.signal, "at": one.timestamp, **one.facts} for one in ended]
        say_json([{"experiments": experiments, "cycles": cycles}])
        return 0
    for name, one in found.items():
        say(f"{name:<24}{one.about}")
    for error in refused:
        say(*f"cannot be used: {error.message}".splitlines())
    if not found and not refused:
        say(f"No experiments in {paths.config / FOLDER}: ligand dream new NAME begins one.")
    for end in ended:
        say(f"{end.timestamp[:19]}Z  {end.facts.get('cycle_id', '')}  {_in_short(end.facts)}")
    return 0


@dream.command()
@click.argument("cycle", default="last")
@form_option
@home_option
@told
def show(cycle: str, *, form: str, home: Path | None) -> int:
    """Say what came of CYCLE, or of the last one.

    CYCLE is its id, the beginning of it, or `last`.
    """
    paths = Paths.resolve(home)
    ended = [one for one in _ended(paths) if "cycle_id" in one.facts]
    fits = ended[-1:] if cycle == "last" else [one for one in ended if one.facts["cycle_id"].startswith(cycle)]
    if len(fits) != 1:
        words = "no cycle that ended is called so" if not fits else f"{len(fits)} cycles begin so"
        raise Failure(f"{cycle}: {words}; ligand dream list shows them.")
    if form == "json":
        say_json([{**fits[0].facts, "records": list(_records(fits[0].facts, paths))}])
    else:
        _show(fits[0], paths)
    return 0


def _ended(paths: Paths) -> Iterator[Signal]:
    if not paths.journal.exists():  # the bus has not run yet, and experiments may be written before
        return
    with Journal(paths.journal) as journal:
        yield from (decode(raw) for _, raw in journal.walk(0, ENDS))


def _in_short(facts: Mapping[str, Any]) -> str:
    if "experiments" not in facts:
        return f"{facts['reason']}: {facts['detail'].splitlines()[0]}"
    if "folded_into" in facts:
        return f"answered by {facts['folded_into']}"
    tried = ", ".join(one["name"] for one in facts["experiments"])
    won = ", ".join(one["experiment"] for one in facts["winners"]) or "none"
    return f"{tried}; winners: {won}"


def _show(end: Signal, paths: Paths) -> None:
    facts = end.facts
    if end.signal == "Q_DREAM_FAILED":
        say(f"{facts.get('cycle_id', 'the cycle')}: {facts['reason']}", *facts["detail"].splitlines())
        return
    say(f"{facts['cycle_id']}: {facts['trigger_reason']}, {facts['duration_s']:.1f} s")
    winners = {one["experiment"]: one for one in facts["winners"]}
    for one in facts["experiments"]:
        won = winners.get(one["name"])
        said = ", ".join(f"{name} = {value}" for name, value in won["params"].items()) if won else "no winner"
        failed = f", {one['failed_trials']} failed" if one.get("failed_trials") else ""
        say("", f"{one['name']}: {said}", f"  {one.get('verdict', '')}", f"  {one['trials']} trials{failed}")
        folder = records.folder_of(paths.state_of(DAEMON), facts["cycle_id"])
        for line in _measured_by(folder, one["name"]):
            say(line)
        say(f"  {folder / one['name']}.svg")
    for one in facts.get("failed", ()):
        say("", f"{one['experiment']}: {one['reason']}", *(f"  {line}" for line in one["detail"].splitlines()))
    for one in facts["promotions"]:
        say("", f"promotion {one['id']}: {one['verdict']}: {one['reason']}")
    if "folded_into" in facts:
        say(f"answered by {facts['folded_into']}")


def _measured_by(folder: Path, experiment: str) -> Iterator[str]:
    """The programs as they were then: another one measures something else."""
    record = records.read(records.record_of(folder, experiment)) or {}
    for name, digest in record.get("programs", {}).items():
        yield f"  measured by {name} (SHA-256 {digest[:12]}…)"


def _records(facts: Mapping[str, Any], paths: Paths) -> Iterator[Any]:
    """The records of its experiments, as long as the runner keeps them."""
    folder = records.folder_of(paths.state_of(DAEMON), facts["cycle_id"])
    for one in facts.get("experiments", ()):
        found = records.read(records.record_of(folder, one["name"]))
        if found is not None:
            yield found
