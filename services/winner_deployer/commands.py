"""`ligand deploy`: what was proposed, deployed and taken back, and a person's yes, no or back again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from services.runtime.commands import Failure, form_option, home_option, say, say_json, told
from services.winner_deployer import story
from services.winner_deployer.story import Told
from signals.catalogue import Catalogue
from signals.emitter import Emitter
from signals.envelope import decode
from signals.journal import Journal
from signals.paths import Paths

ANSWERED = "Q_DEPLOYMENT_ANSWERED"
_ID = re.compile(r"[0-9a-f]{16}")
_id = click.argument("deployment_id", metavar="ID")
_why = click.option("--reason", help="Why; it stands in the history.")


@click.group()
def deploy() -> None:
    """Winners of experiments: what waits, and what is in use."""


@deploy.command("list")
@form_option
@home_option
@told
def list_(*, form: str, home: Path | None) -> int:
    """List the deployments that wait for a person."""
    _show([one for one in _read(home) if one.state == story.WAITS], form, "Nothing waits for you.")
    return 0


@deploy.command()
@form_option
@home_option
@told
def history(*, form: str, home: Path | None) -> int:
    """List every deployment, the latest first. Those are told that the journal still knows."""
    _show(list(reversed(_read(home))), form, "No winner was deployed or proposed yet.")
    return 0


@deploy.command()
@_id
@form_option
@home_option
@told
def show(deployment_id: str, *, form: str, home: Path | None) -> int:
    """Show what a deployment changes, and why. What was measured is shown too."""
    one = _one(home, deployment_id)
    if form == "json":
        say_json([one.plain()])
        return 0
    for line in story.lines(one):
        say(line)
    return 0


@dataclass(frozen=True)
class _Word:
    """What a person may say of a deployment: in which state, by which signal, and what is answered."""

    name: str
    about: str
    state: str
    otherwise: str
    signal: str
    answer: str

    def facts(self, one: Told) -> dict[str, Any]:
        if self.signal != ANSWERED:
            return {"deployment_id": one.id}
        return {
            "deployment_id": one.id,
            "verdict": self.name,
            "change_sha256": one.proposed["change_sha256"],
        }


_WORDS = (
    _Word(
        "approve",
        "Have the proposed deployment ID done. It is done exactly as `show` shows it.",
        story.WAITS,
        "only what waits can be answered, once",
        ANSWERED,
        "Approved: {id}. It is verified in place and taken back if it is not better: ligand deploy history.",
    ),
    _Word(
        "reject",
        "Have the proposed deployment ID dropped.",
        story.WAITS,
        "only what waits can be answered, once",
        ANSWERED,
        "Rejected: {id}. Nothing was changed.",
    ),
    _Word(
        "rollback",
        "Have the old values of the deployment ID back. Where the file was edited since, it is left alone.",
        story.IN_USE,
        "only what is in use can be taken back",
        "Q_ROLLBACK_WANTED",
        "Asked for: {id} is taken back. Whether it could be: ligand deploy show {id}.",
    ),
)


def _command(word: _Word) -> None:
    @deploy.command(word.name, help=word.about)
    @_id
    @_why
    @home_option
    @told
    def say_it(deployment_id: str, *, reason: str | None, home: Path | None) -> int:
        one = _one(home, deployment_id, word)
        if one.state != word.state:
            raise Failure(f"{one.id}: {one.state}; {word.otherwise}.")
        _emit(home, word.signal, word.facts(one) | ({"reason": reason} if reason else {}))
        say(word.answer.format(id=one.id))
        return 0


for _word in _WORDS:
    _command(_word)


def _emit(home: Path | None, name: str, facts: dict[str, Any]) -> None:
    paths = Paths.resolve(home)
    with Emitter(paths.bus_socket, catalogue=Catalogue.load([paths.contracts])) as emitter:
        emitter.emit(emitter.signal(name, facts))


def _read(home: Path | None) -> list[Told]:
    def signals() -> Iterator[Any]:
        with Journal(Paths.resolve(home).journal) as journal:
            for _, raw in journal.walk(0, story.NAMES):
                yield decode(raw)

    return story.told(signals())


def _one(home: Path | None, given: str, word: _Word | None = None) -> Told:
    fits = [one for one in _read(home) if one.id.startswith(given)]
    if not fits and word is not None and word.signal != ANSWERED and _ID.fullmatch(given):
        return Told(given, state=word.state)  # forgotten by the journal: the deployer's ledger may know it
    if len(fits) != 1:
        many = "several are" if fits else "none is"
        raise Failure(f"{many} called {given!r}: ligand deploy history lists them.")
    return fits[0]


def _show(found: list[Told], form: str, nothing: str) -> None:
    if form == "json":
        say_json(one.plain() for one in found)
        return
    for one in found:
        say(f"{one.id}  {one.at[:19]}  {one.state:<12}{one.target}  {story.short(one)}")
    if not found:
        say(nothing)
