"""Every option that chooses, and every way to end, with its exit code."""

from __future__ import annotations

import resource
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from signals.checksums import connect
from signals.errors import UsageError
from signals.journal import Journal
from tests.live.signal_tap.conftest import Told, emit
from tests.support.commands import started, tap
from tests.support.constellation import Constellation
from tools.signal_tap.choosing import CursorFile

ITEM = "Q_ITEM_START"


def test_each_option_narrows_as_its_help_says(told: Told) -> None:
    """Looking for one thing among many is what the tool is for."""
    one, two, three, bad = told.items
    assert told.numbers("show", ITEM) == told.items
    assert told.numbers("show", "Q_ITEM_*", "-x", "*_DONE") == told.items
    assert told.numbers("show", ITEM, "-g", "two") == [two]  # without capitals their case does not matter
    assert told.numbers("show", ITEM, "-g", '"pad":"T') == [two]
    assert told.numbers("show", ITEM, "--where", "facts.n>=2") == [three, bad]
    assert told.numbers("show", ITEM, "--where", "facts.n!=2", "--where", "facts.n>0") == [two, bad]
    assert told.numbers("show", ITEM, "--where", "facts.pad=one") == [one]
    assert told.numbers("show", ITEM, "--where", "facts.pad~^T") == [two]
    assert told.numbers("show", "--where", "hops<1", "--source", "person@*", "-x", "Q_KEY_*") == told.items
    assert len(told.numbers("show", "--correlation", str(two))) == 2
    assert told.numbers("show", ITEM, "-c", "2", "--from", "first") == [one, two]
    assert told.numbers("follow", "-T", ITEM) == told.items
    assert told.numbers("follow", "-T", ITEM, "-n", "2") == [three, bad]
    assert told.numbers("-T", ITEM, "--from", str(three)) == [three, bad]


def test_times_begin_and_end_it(told: Told) -> None:
    """`-S` and `-U` together show a span of time, to the signal."""
    signals = told.constellation.signals(ITEM)
    second = str(signals[1].received_at)
    assert told.numbers("show", ITEM, "-S", second) == [s.seq for s in signals if str(s.received_at) >= second]
    until = told.numbers("show", ITEM, "-S", "yesterday", "-U", second)
    assert until == [s.seq for s in signals if str(s.received_at) <= second]
    assert told.numbers("show", ITEM, "-U", str(signals[-1].received_at), "-S", "-5min") == told.items
    assert told.numbers("follow", "-T", ITEM, "-S", "today", "-U", "now") == told.items
    assert tap(told.home, "show", "-U", "-1h").code == 1
    assert tap(told.home, "show", "-S", "now", "-U", "-1h").code == 2


def test_secrets_cannot_be_searched_for(told: Told) -> None:
    """Who may not read a token could otherwise guess it letter by letter."""
    for arguments in (
        ("-g", "hunter"),
        ("--where", "facts.token=hunter2"),
        ("--where", "facts.token~^h"),
        ("--where", "facts.token>a"),
    ):
        assert tap(told.home, "show", "Q_KEY_ADDED", *arguments).code == 1
    assert told.numbers("show", "Q_KEY_ADDED", "--where", "facts.who=me") == [told.secret]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--where", "facts.n"), "is no condition"),
        (("--where", "priority=high"), "facts.priority"),
        (("--where", "facts.pad~["), "no regular expression"),
        (("-g", "("), "no regular expression"),
        (("-x", "lower"), "neither a verb nor"),
        (("-U", "soon"), "is no time"),
        (("--fields", "pad"), "facts.pad"),
        (("--fields", ","), "--fields takes"),
        (("-t", "delta", "-o", "json"), "short lines"),
        (("-c", "0"), "Invalid value"),
        (("--cursor-file", "/"), "Invalid value"),
    ],
)
def test_what_is_mistyped_is_exit_code_2(told: Told, arguments: tuple[str, ...], says: str) -> None:
    """Guessing at a filter would show the wrong signals as if they were all."""
    found = tap(told.home, "show", *arguments)
    assert (found.code, found.out) == (2, b"")
    assert says in found.err


def test_count_and_idle_end_what_follows(told: Told) -> None:
    """A script waits for one signal, or gives up after a time: exit codes 0 and 27."""
    found = tap(told.home, ITEM, "-c", "1", "-o", "json")
    assert (found.code, len(found.objects)) == (0, 1)
    idle = tap(told.home, "Q_NEVER_SEEN", "-W", "0.2s")
    assert (idle.code, idle.out) == (27, b"")
    assert tap(told.home, "follow", "-W", "5", "-T").code == 2
    assert tap(told.home, "follow", "-W", "never").code == 2
    assert tap(told.home, "follow", "--live", "-T").code == 2


def test_until_ends_what_follows(told: Told) -> None:
    """`-U +1s` follows for a second; what came by then is all that is shown."""
    at = datetime.fromtimestamp(time.time() + 0.5, UTC).isoformat()
    assert tap(told.home, "Q_ITEM_DONE", "-n", "2", "-U", at).code == 0
    assert tap(told.home, "Q_NEVER_SEEN", "-U", at).code == 1


def test_at_the_end_without_a_match_is_exit_code_1(told: Told) -> None:
    """`-T` is how a script asks whether something happened."""
    assert tap(told.home, "-T", "Q_NEVER_SEEN").code == 1
    assert tap(told.home, "-T", "Q_NEVER_SEEN", "-q").err == ""


def test_a_cursor_file_goes_on_where_the_last_run_ended(home: Constellation, tmp_path: Path) -> None:
    """A job that runs now and then sees each signal once, with the bus up or down."""
    cursor = tmp_path / "cursor"

    def new(verb: str = "follow") -> list[str]:
        end = ("-T",) if verb == "follow" else ()
        found = tap(home.home, verb, *end, ITEM, "--cursor-file", str(cursor), "-o", "cat", "--fields", "facts.pad")
        assert found.code == (0 if found.out else 1)
        return found.lines

    emit(home, "a", "b")
    assert new() == ["a", "b"]
    assert new() == []
    emit(home, "c")
    limited = tap(home.home, "-T", ITEM, "--cursor-file", str(cursor), "-c", "1", "-o", "cat")
    assert limited.objects[0]["pad"] == "c"
    emit(home, "d", "e")
    assert new("show") == ["d", "e"]
    home.running[0].stop()
    assert new() == []
    cursor.write_text("3 01935b0e-6a70-7cc3-98c4-dc0c0c07398f\n")
    foreign = tap(home.home, "-T", "--cursor-file", str(cursor))
    assert (foreign.code, "another journal" in foreign.err) == (2, True)
    cursor.write_text("what is this\n")
    assert tap(home.home, "show", "--cursor-file", str(cursor)).code == 2
    assert tap(home.home, "follow").code == 3


def test_what_was_missed_is_told_and_strict_ends_it(home: Constellation, tmp_path: Path) -> None:
    """An archive with a hole must not look whole: exit code 4."""
    emit(home, *"abcdefgh")
    cursor = tmp_path / "cursor"
    assert tap(home.home, "-T", "-c", "2", "--cursor-file", str(cursor)).code == 0
    home.running[0].stop()
    prune(home, upto=5)
    home.bus()
    arguments = ("--cursor-file", str(cursor), "-c", "1", "-o", "json")
    strict = tap(home.home, *arguments, "--strict")
    assert (strict.code, strict.out) == (4, b"")
    assert "3 signals were past their retention" in strict.err
    with started("signal_tap", home.home, *arguments[:2], "-c", "1", "-o", "json", "-q") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, b'"seq":6' in out, err) == (0, True, b"")


@pytest.mark.parametrize("verb", [("follow", "-T"), ("show",), ("record", "-T")])
def test_missed_signals_are_told_where_nothing_is_waited_for(
    home: Constellation, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    """A job that archives now and then must learn of a hole, whichever verb it uses, and go on behind it."""
    emit(home, *"abcdefgh")
    home.running[0].stop()
    prune(home, upto=4)
    lose(home, 6)
    cursor, into = tmp_path / "cursor", ((str(tmp_path / "kept"),) if verb[0] == "record" else ())
    asked = (*verb, *into, "--cursor-file", str(cursor))
    cursor.write_text("2 -\n")
    strict = tap(home.home, *asked, "--strict")
    assert (strict.code, "2 signals were past their retention" in strict.err) == (4, True)
    assert cursor.read_text().split()[0] == "4"
    for file in into:
        Path(file).unlink()
    cursor.write_text("2 -\n")
    lax = tap(home.home, *asked)
    assert (lax.code, "missing in the journal: 6 to 6" in lax.err) == (0, True)
    if verb[0] != "record":
        assert tap(home.home, *verb, "--from", "3", "--strict").code == 4
        assert tap(home.home, *verb, "--from", "7", "--strict").code == 0
        before = tap(home.home, *verb, "--from", "5", "-c", "1", "--strict")
        assert (before.code, before.err) == (0, ""), "the hole lies behind what was asked for"


def test_a_cursor_file_outlives_a_journal_that_was_pruned_to_its_end(home: Constellation, tmp_path: Path) -> None:
    """A machine that was quiet for a month would otherwise begin its archive anew, by hand."""
    cursor = tmp_path / "cursor"
    emit(home, *"abc")
    home.running[0].stop()
    assert tap(home.home, "-T", "--cursor-file", str(cursor)).code == 0
    prune(home, upto=int(cursor.read_text().split()[0]))
    for verb in ("show", "-T"):
        again = tap(home.home, verb, "--cursor-file", str(cursor))
        assert (again.code, again.err) == (1, "Nothing is kept in the journal.\n")


def test_a_cursor_that_a_full_disk_refuses_leaves_nothing_beside_it(told: Told, tmp_path: Path) -> None:
    """The old cursor stays as it was; an empty file next to it would be taken for one."""
    cursor = tmp_path / "cursor"
    cursor.write_text("1 -\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(told.constellation.paths.journal) as journal:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            with pytest.raises(UsageError, match="Cannot write the cursor file"):
                CursorFile(cursor).write(journal, told.items[0])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (cursor.read_text(), list(tmp_path.iterdir())) == ("1 -\n", [cursor])


def lose(home: Constellation, seq: int) -> None:
    """What a damaged journal has lost in its middle."""
    db = connect(home.paths.journal, writable=True)
    db.execute("DELETE FROM signal WHERE seq = ?", (seq,))
    db.close()


def prune(home: Constellation, upto: int) -> None:
    """Retention, as the bus does it, of a bus that does not run."""
    db = connect(home.paths.journal, writable=True)
    db.execute("DELETE FROM signal WHERE seq <= ?", (upto,))
    db.execute("INSERT OR REPLACE INTO meta VALUES ('pruned_to', ?)", (upto,))
    db.close()
