"""`ligand intent`: ask for something, and if wanted wait for what becomes of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import inotify_simple
import orjson

from services.runtime.commands import Finite
from signals.catalogue import Catalogue
from signals.errors import LigandError
from signals.ids import uuid7
from signals.journal import Journal, letters_in
from signals.masking import Masker
from signals.paths import Paths
from tools.cli import OK, TIMED_OUT, bus_listens, home_option, need_bus, paths_of, told
from tools.ligand.dropping import drop, encoded, file_name, intent_body
from tools.ligand.following import READY, REJECTED, Story, gist, outcome
from tools.ligand.listing import Form, notice, output_option, width
from tools.signal_tap.following import Tail
from tools.signal_tap.selection import Selection
from tools.text import clean, json_line, key_facts, seconds_text, shorten

LOOK_S = 1.0
FILED_S = 5.0


@click.command()
@click.argument("text")
@click.option("--module", metavar="NAME", help="Ask about this Python module: a dotted name or a path.")
@click.option("--priority", type=click.Choice(("critical", "high", "normal", "low")), help="normal unless told.")
@click.option(
    "--type", "kind", metavar="TYPE", help="The intent's type, else 'question', or 'discover.module' with --module."
)
@click.option("--hypothesis", metavar="TEXT", help="What you suspect; the answer says what becomes of it.")
@click.option("--id", "name", metavar="ID", help="How the question is called in its answer.")
@click.option("--wait", is_flag=True, help="Follow the story to its end, and exit by its outcome.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Finite(0),
    default=900.0,
    show_default=True,
    help="With --wait: for so many seconds at most.",
)
@output_option
@home_option
@told
def intent(
    *,
    text: str,
    module: str | None,
    priority: str | None,
    kind: str | None,
    hypothesis: str | None,
    name: str | None,
    wait: bool,
    timeout_s: float,
    form: Form,
    home: Path | None,
) -> int:
    """Drop an intent into the watched folder and print where. TEXT is the question; - reads it from standard input.

    The answer will stand in done/ of that folder, beside the file.

    Exit codes with --wait: 0 done, 1 refused or failed, 27 no answer in time, 3 no bus (nothing is dropped then).
    """
    question = sys.stdin.read().strip() if text == "-" else text
    paths = paths_of(home)
    body = intent_body(question, module=module, priority=priority, kind=kind, name=name, hypothesis=hypothesis)
    raw = encoded(body)
    file = file_name(question, uuid7())
    if wait:
        need_bus(paths)
        return _drop_and_follow(paths, file, raw, timeout_s, form)
    dropped = drop(paths.intents, file, raw)
    click.echo(dropped if form == "short" else json_line({"file": str(dropped)}))
    if not bus_listens(paths):
        notice("No bus answers here; the intent waits until `ligand up` runs.")
    return OK


def _drop_and_follow(paths: Paths, file: str, raw: bytes, timeout_s: float, form: Form) -> int:
    catalogue = Catalogue.load([paths.contracts])
    masker = Masker(catalogue.versions.values(), letters_in(paths.journal))
    story, begun = Story(file, catalogue), time.monotonic()
    with Journal(paths.journal) as journal:
        head = journal.head()
    with Tail(paths, Selection(), head) as tail:
        dropped = drop(paths.intents, file, raw)
        if form == "short":
            click.echo(dropped)
        show = _teller(masker, begun) if form == "short" else lambda _: None
        _follow(paths, tail, story, begun + timeout_s, show)
    beside = _filed(paths, story) if story.is_over else None
    code = story.exit_code() if story.is_over else TIMED_OUT
    if form == "json":
        click.echo(json_line(_as_json(dropped, story, masker, beside, code)))
    else:
        _conclude(story, masker, beside, timeout_s)
    return code


def _follow(paths: Paths, tail: Tail, story: Story, deadline: float, show: Callable[[Any], None]) -> None:
    while True:
        for _, raw in tail.rows():
            envelope = orjson.loads(raw)
            if story.take(envelope):
                show(envelope)
        if story.id and not story.is_over:
            with Journal(paths.journal) as journal:
                story.take_dead(journal.dead_of(story.id))
        if tail.is_replaced():
            raise LigandError(f"The journal was replaced meanwhile. What became of {story.file}: `ligand why`.")
        left = deadline - time.monotonic()
        if story.is_over or left <= 0:
            return
        tail.wait(min(left, LOOK_S))


def _teller(masker: Masker, begun: float) -> Callable[[Any], None]:
    def show(envelope: Any) -> None:
        head = f"  {'+' + seconds_text(time.monotonic() - begun):>10}  {clean(envelope['signal'])}  "
        facts = masker.envelope(envelope)["facts"]
        click.echo(head + shorten(key_facts(facts, 120), max(width() - len(head), 30)))

    return show


def _filed(paths: Paths, story: Story) -> Path | None:
    """The note beside the file: the router writes it when it hears of the end, so a little later than we do."""
    root = story.signals[0]
    if root["signal"] == REJECTED:
        note = Path(f"{root['facts']['kept_at']}.error")
    else:
        note = paths.intents / "done" / f"{root['facts']['intent_id']}.{story.file}.answer.json"
    if story.given_up and not story.ends:
        return None
    try:
        with inotify_simple.INotify() as changes:
            changes.add_watch(note.parent, inotify_simple.flags.MOVED_TO | inotify_simple.flags.CREATE)
            deadline = time.monotonic() + FILED_S
            while not note.exists() and (left := deadline - time.monotonic()) > 0:
                changes.read(timeout=int(left * 1000) + 1)
    except OSError:
        return None  # not ours to look into; the story is told all the same
    return note if note.exists() else None


def _conclude(story: Story, masker: Masker, beside: Path | None, timeout_s: float) -> None:
    for answer in story.answers:
        facts = masker.envelope(answer)["facts"]
        click.echo(f"found: {clean(facts['summary'])}")
        for finding in facts["findings"]:
            click.echo(f"  - {clean(finding)}")
    for end in story.ends:
        facts = masker.envelope(end)["facts"]
        words = gist(facts)
        click.echo(f"{outcome(end['signal'])}{': ' if words else ''}{clean(words)}")
    for letter in map(masker.letter, story.given_up):
        who, what = clean(letter.get("consumer") or letter["daemon"]), clean(letter["error"])
        click.echo(f"failed: {who} gave it up: {what}")
        notice(f"Once mended: `signal-tap dead replay {letter['dead_letter_id']}`.")
    if not story.is_over:
        begun = any(envelope["signal"] == READY for envelope in story.signals)
        where = f"`ligand why {story.id}` tells who has it" if begun else "the router has not taken it: `ligand status`"
        notice(f"Not over after {seconds_text(timeout_s)}; it goes on without us. See: {where}.")
    elif beside is not None:
        click.echo(f"answer: {beside}" if beside.suffix == ".json" else f"why: {beside}")


def _as_json(file: Path, story: Story, masker: Masker, beside: Path | None, code: int) -> dict[str, Any]:
    ends = [masker.envelope(end) for end in story.ends]
    return {
        "file": str(file),
        "story": story.id,
        "over": story.is_over,
        "exit_code": code,
        "outcomes": [outcome(end["signal"]) for end in ends] + ["failed"] * len(story.given_up),
        "note": str(beside) if beside else None,
        "answers": [masker.envelope(answer) for answer in story.answers],
        "ends": ends,
        "dead_letters": [masker.letter(letter) for letter in story.given_up],
    }
