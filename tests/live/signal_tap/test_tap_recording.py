"""A recording holds what happened, and playing it makes it happen again elsewhere."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from signals.emitter import person
from tests.live.signal_tap.conftest import Clock, Told, emit, telling
from tests.support.commands import run_on_terminal, started, tap
from tests.support.constellation import Constellation, constellation
from tools.signal_tap import play as playing

Shape = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Of its own: these tests say more."""
    with telling(tmp_path_factory.mktemp("told")) as found:
        yield found


@pytest.fixture(scope="module")
def recording(told: Told, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that was told so far."""
    file = tmp_path_factory.mktemp("recordings") / "all"
    done = tap(told.home, "record", "-T", str(file))
    assert (done.code, done.out) == (0, b"")
    assert done.err.endswith(f"signals recorded in {file}\n")
    return file


def envelopes(file: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


def shapes(found: list[dict[str, Any]]) -> dict[str, Shape]:
    """Each story: its signals with all that makes them what they are, but for their place in the order."""
    stories: dict[str, Shape] = {}
    for each in found:
        source = each["source"] if each["source"].startswith("person@") else f"person@{each['source']}"
        kept = [each.get(key) for key in ("signal", "id", "causation_id", "hops", "timestamp", "version", "taint")]
        stories.setdefault(each["correlation_id"], []).append((*kept, source, orjson.dumps(each["facts"])))
    return stories


def test_a_story_of_a_recording_is_named_as_anywhere_else(recording: Path, told: Told) -> None:
    """By a sequence number or the id of any of its signals, as `--help` says; on standard input by its whole id."""
    done = told.constellation.signals("Q_ITEM_DONE")[0]
    story = [each["id"] for each in envelopes(recording) if each["correlation_id"] == done.correlation_id]
    assert len(story) == 2
    for key in (str(done.seq), done.id, done.id[:18], str(done.correlation_id)):
        played = tap(told.home, "play", str(recording), "--correlation", key, "--dry-run", "-o", "json")
        assert [each["id"] for each in played.objects] == story
    text = recording.read_bytes()
    whole = tap(
        told.home, "play", "-", "--correlation", str(done.correlation_id), "--dry-run", "-o", "json", given=text
    )
    assert [each["id"] for each in whole.objects] == story
    assert tap(told.home, "play", "-", "--correlation", "5", "--dry-run", given=text).code == 2
    assert tap(told.home, "play", str(recording), "--correlation", "999999", "--dry-run").code == 1


def test_a_played_recording_tells_the_same_stories(recording: Path, told: Told, tmp_path: Path) -> None:
    """Ids, causes, facts, times, taint and order: what `trace` shows of one it shows of the other."""
    kept = tmp_path / "again"
    played = tap(told.home, "play", str(recording), "--to", str(kept), "-o", "json")
    assert (played.code, f"--home {kept}" in played.err) == (0, True)
    recorded = shapes(envelopes(recording))
    assert len(recorded) >= 5
    assert shapes(played.objects) == recorded
    with Constellation(kept).journal() as journal:
        journaled = shapes([orjson.loads(raw) for _, raw in journal.walk()])
    assert {story: journaled[story] for story in recorded} == recorded
    done = next(each for each in envelopes(recording) if each["signal"] == "Q_ITEM_DONE")
    there, here = (tap(place, "trace", done["id"], "-o", "json").objects for place in (kept, told.home))
    assert shapes(there) == shapes(here)


def test_a_recording_is_what_was_journaled_with_secrets_masked(recording: Path, told: Told) -> None:
    """What is given away for others to look at must not hold a token."""
    with told.constellation.journal() as journal:
        whole = [raw for _, raw in journal.walk()]
    lines = recording.read_bytes().splitlines()
    same = [recorded == raw for recorded, raw in zip(lines, whole, strict=False)]
    assert same.count(False) == 1
    assert b"hunter2" not in recording.read_bytes()


def test_playing_chooses_and_times_as_told(recording: Path, told: Told) -> None:
    """The options that choose mean the same for a file as for the journal; nothing is left of the scratch home."""
    play = ("play", str(recording), "-o", "json")
    few = tap(told.home, *play, "Q_ITEM_*", "--where", "facts.pad=one")
    assert [each["signal"] for each in few.objects] == ["Q_ITEM_START", "Q_ITEM_DONE"]
    orphan = tap(told.home, *play, "Q_ITEM_DONE", "-c", "1", "--from", "2")
    assert (orphan.objects[0]["hops"], "1 begin stories of their own" in orphan.err) == (0, True)
    dry = tap(told.home, *play, "--dry-run")
    assert (dry.code, len(dry.objects)) == (0, len(envelopes(recording)))
    assert tap(told.home, *play, "Q_NEVER_SEEN").code == 1


def test_a_dry_run_finds_what_the_bus_would_refuse(recording: Path, told: Told) -> None:
    """A person would be told that all is fine, and find half of it missing once it was played."""
    lines = recording.read_bytes().splitlines()
    item = next(line for line in lines if b"Q_ITEM_START" in line)
    unknown, unfit = item.replace(b"Q_ITEM_START", b"Q_NEVER_HEARD"), item.replace(b'"n":', b'"number":')
    dry = tap(told.home, "play", "-", "--dry-run", "-o", "json", given=b"\n".join([*lines, unknown, unfit]))
    assert (dry.code, len(dry.objects)) == (1, len(lines))
    assert "Q_NEVER_HEARD" in dry.err
    assert "2 would be refused by the bus" in dry.err


@pytest.mark.parametrize(("how", "pauses"), [(("--original",), [0, 5, 0, 7.25]), (("-r", "4"), [0, 0.25, 0.25, 0.25])])
def test_the_pauses_are_those_recorded_or_asked_for(
    recording: Path,
    told: Told,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    how: tuple[str, ...],
    pauses: list[float],
) -> None:
    """What goes wrong only when signals come quickly, or slowly, is to go wrong again."""
    items = [each for each in envelopes(recording) if each["signal"] == "Q_ITEM_START"]
    times = ("08:00:00", "08:00:05", "08:00:05", "08:00:12.25")
    file, clock = tmp_path / "timed", Clock()
    timed = [each | {"received_at": f"2026-03-01T{at}Z"} for each, at in zip(items, times, strict=True)]
    file.write_bytes(b"\n".join(map(orjson.dumps, timed)))
    monkeypatch.setattr(playing, "time", clock)
    assert len(tap(told.home, "play", str(file), *how, "-o", "json").objects) == 4
    assert clock.slept == pauses


def test_playing_live_says_only_what_people_may_say(recording: Path, told: Told) -> None:
    """A recording must not speak as a daemon to a running bus, nor be taken for the truth."""
    before = told.constellation.signals("Q_ITEM_START")
    played = tap(told.home, "play", str(recording), "--live", "-x", "Q_ITEM_DONE", "-c", "4", "-o", "json")
    assert played.code == 0
    assert "left out: only intents" in played.err
    for each, original in zip(played.objects, before, strict=True):
        assert (each["facts"], each["taint"]) == (original.facts, ["recording"])
        assert each["id"] not in {found.id for found in before}
        assert (each["source"], each["hops"], "causation_id" in each) == (person(), 0, False)
    assert len(told.constellation.signals("Q_ITEM_START")) == len(before) + 4
    assert tap(told.home, "play", str(recording), "--live", "Q_KEY_ADDED").code == 1  # its token is masked
    assert tap(told.home, "play", str(recording), "--live", "Q_DAEMON_READY").code == 1
    assert tap(told.home, "play", str(recording), "--live", "--dry-run", "-c", "1", "-q").err == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--rate", "5", "--original"), "choose one"),
        (("--live", "--to", "x"), "--to keeps"),
        (("--from", "-3"), "from its beginning"),
        (("--to", "."), "is not empty"),
        (("--rate", "0"), "Invalid value"),
    ],
)
def test_contradictions_are_refused(recording: Path, told: Told, arguments: tuple[str, ...], says: str) -> None:
    """Before anything is played."""
    found = tap(told.home, "play", str(recording), *arguments)
    assert (found.code, found.out) == (2, b"")
    assert says in found.err


def test_what_the_bus_refuses_of_a_recording_is_told(told: Told, tmp_path: Path) -> None:
    """One bad line must not take the others of its batch with it."""
    good = tap(told.home, "show", "Q_ITEM_START", "-o", "json", "-c", "3").out.splitlines()
    bad = orjson.dumps({**orjson.loads(good[1]), "facts": {"n": "x"}})
    file = tmp_path / "mixed"
    file.write_bytes(b"\n".join([good[0], bad, good[2], good[2]]))
    found = tap(told.home, "play", str(file), "-o", "json")
    assert (found.code, len(found.objects)) == (1, 3)
    assert "1 refused by the bus" in found.err
    file.write_bytes(b"{}\n")
    assert (tap(told.home, "play", str(file)).code, tap(told.home, "play", str(tmp_path / "no")).code) == (2, 2)


def test_recording_goes_on_until_ctrl_c_and_is_gone_on_with(home: Constellation, tmp_path: Path) -> None:
    """A long watch is interrupted and continued without a hole."""
    file = tmp_path / "watch"
    with started("signal_tap", home.home, "record", str(file), "--from", "first") as process:
        emit(home, "a", "b")
        deadline = time.monotonic() + 60
        while (not file.exists() or file.read_bytes().count(b"\n") < 3) and time.monotonic() < deadline:
            process.poll()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert b"3 signals recorded" in process.stderr.read()
    emit(home, "c")
    file.write_bytes(file.read_bytes() + b'{"torn')
    assert tap(home.home, "record", "-T", str(file)).code == 2
    assert tap(home.home, "record", "-T", "--append", str(file)).code == 0
    assert [each["seq"] for each in envelopes(file)] == [1, 2, 3, 4]
    assert tap(home.home, "record", "-T", "--append", str(file)).code == 1
    assert tap(home.home, "record", "-c", "1", "--live", str(tmp_path / "live"), "Q_HEARTBEAT").code == 0
    assert envelopes(tmp_path / "live")[0]["signal"] == "Q_HEARTBEAT"
    assert tap(home.home, "record", "/dev/full", "--append", "-T").code == 1


def test_playing_shows_the_same_on_a_terminal(recording: Path, told: Told, tmp_path: Path) -> None:
    """Facts from a recording do not steer the terminal either."""
    shown = run_on_terminal(
        "signal_tap", told.home, "play", str(recording), "Q_ITEM_START", "--color", "never", columns=200
    )
    assert shown.code == 0
    assert "\x1b" not in shown.text
    assert "\\x1b[31m" in shown.text


def test_a_recording_needs_no_home_of_its_own(recording: Path, tmp_path: Path) -> None:
    """Played where no bus ever ran: the contracts that come with Ligand are known, others are refused."""
    with constellation(tmp_path) as empty:
        found = tap(empty.home, "play", str(recording), "Q_DEAD_LETTER_ADDED", "Q_ITEM_START", "-o", "json", "-c", "5")
    assert found.code == 1
    assert {each["signal"] for each in found.objects} == {"Q_DEAD_LETTER_ADDED"}


def test_an_ended_play_leaves_nothing_behind(
    recording: Path, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the scratch bus nor its home outlives what it was for."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with started("signal_tap", told.home, "play", str(recording), "-r", "0.01", "-o", "json") as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        assert len(list(tmp_path.iterdir())) == 1
        process.terminate()
        assert process.wait(60) == 143
    assert list(tmp_path.iterdir()) == []
