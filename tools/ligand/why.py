"""`ligand why`: the story behind a signal or a file, in sentences."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import click
import orjson

from services.runtime.manifest import load_all
from signals.catalogue import Catalogue
from signals.errors import NotFoundError, UsageError
from signals.ids import is_id
from signals.journal import Journal, letters_in
from signals.lookup import resolve
from signals.masking import Masker
from signals.paths import Paths
from tools.cli import home_option, paths_of, told
from tools.ligand.listing import Form, output_option, width
from tools.ligand.origins import origin
from tools.ligand.telling import Teller, words_for
from tools.ligand.waiting import Waiting
from tools.text import json_line


@click.command()
@click.argument("what", metavar="ID|FILE|Q_NAME")
@click.argument("entry", required=False)
@output_option
@home_option
@told
def why(*, what: str, entry: str | None, form: Form, home: Path | None) -> None:
    """Tell in sentences why something happened.

    The story behind a signal, or behind a file that Ligand wrote.

    ID is a signal's id, its first 8 digits or more, or its sequence number. FILE is an answer, a dropped file (also
    by the name it had), or any file that a signal speaks of; ENTRY names one entry of it. Q_NAME is the newest signal
    of that name. Needs no running bus.

    \b
      ligand why 42
      ligand why Q_INVESTIGATION_FAILED
      ligand why intents/done/….answer.json
      ligand why state/capability_integrator/capabilities.yaml json
    """
    paths = paths_of(home)
    catalogue = Catalogue.load([paths.contracts])
    masker = Masker(catalogue.versions.values(), letters_in(paths.journal))
    with Journal(paths.journal) as journal:
        story, asked = _find(journal, paths, what, entry)
        signals = [masker.envelope(orjson.loads(raw)) for raw in journal.story(story)]
        dead = [masker.letter(letter) for letter in journal.dead_of(story)]
        waiting = Waiting(journal, load_all(paths.manifests).values(), catalogue)
        teller = Teller(catalogue, signals, dead, lambda each: words_for(waiting.of(each)), asked)
        sentences = list(teller.sentences())
    if form == "json":
        found: dict[str, Any] = {"story": story, "asked": asked, "sentences": sentences}
        click.echo(json_line(found | {"signals": signals, "dead_letters": dead}))
        return
    for sentence in sentences:
        click.echo("\n".join(textwrap.wrap(sentence, width(), subsequent_indent="    ", break_on_hyphens=False)))
    click.echo(f"See it whole: signal-tap trace {story}")


def _find(journal: Journal, paths: Paths, what: str, entry: str | None) -> tuple[str, str | None]:
    """The story, and the id of the signal that was asked about."""
    key = what
    if _is_file(what) or entry is not None:
        path = Path(what).expanduser()
        _not_waiting(path, paths)
        key = origin(path, entry, journal)
    if is_id(key) and journal.story(key):
        return key, None if key != what else key
    try:
        story, raw = resolve(journal, key)
    except UsageError as error:
        if is_id(what) or "beginning of" in error.message:
            raise
        raise UsageError(f"{what!r} is neither a signal's id or sequence number nor a file that is here.") from error
    except NotFoundError as error:
        if key == what:
            raise
        raise NotFoundError(f"{what} goes back to the signal {key}, which is no longer kept (retention).") from error
    return story, str(orjson.loads(raw)["id"])


def _is_file(what: str) -> bool:
    return "/" in what or Path(what).exists() or (not is_id(what) and "." in what)


def _not_waiting(path: Path, paths: Paths) -> None:
    """Raise `NotFoundError` for a file that nobody has taken out of the drop folder yet."""
    if path.is_dir():
        raise NotFoundError(f"{path} is a folder. Name a file, or an id as `signal-tap show` prints it.")
    if path.exists() and path.absolute().parent == paths.intents:
        raise NotFoundError(f"{path} still lies in the drop folder: nobody has taken it yet. See `ligand status`.")
