"""What there is, how often, how large, how fast, and what is missing."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from signals.checksums import connect
from tests.live.signal_tap.conftest import Told, emit, link, telling
from tests.support.commands import command, environment, ligand, run, run_on_terminal, tap
from tests.support.constellation import ROOT, Constellation


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Of its own: these tests say more."""
    with telling(tmp_path_factory.mktemp("told")) as found:
        yield found


def test_types_say_how_many_and_between_whom(told: Told) -> None:
    """The first question to a bus: what is on it?"""
    found = {each["signal"]: each for each in tap(told.home, "types", "-o", "json").objects}
    start = found["Q_ITEM_START"]
    assert (start["count"], start["consumers"], start["emitters"]) == (4, ["link"], ["people"])
    assert found["Q_ITEM_DONE"]["emitters"] == ["link", "people"]
    assert start["rate_per_s"] > 0
    (idle,) = tap(told.home, "types", "Q_ITEM_START", "--over", "1ms", "-o", "json").objects
    assert idle["rate_per_s"] == 0
    assert start["last_seq"] == told.items[-1]
    assert found["Q_DEAD_LETTER_ADDED"]["emitters"] == ["bus"]
    assert "Q_HEARTBEAT" not in found
    every = tap(told.home, "types", "--all", "-o", "json", "Q_H*").objects
    assert {"Q_HEARTBEAT", "Q_HEALTH_ALERT"} <= {each["signal"] for each in every}
    assert tap(told.home, "types", "Q_NEVER_*").code == 1
    table = tap(told.home, "types", "Q_ITEM_START")
    assert "people" in table.lines[1]


def test_info_tells_all_of_one_signal(told: Told) -> None:
    """Who writes a daemon reads the contract here, not in the source."""
    text = tap(told.home, "info", "Q_CURIOSITY_INVESTIGATE").text
    for said in ("intent_router", "investigator.critical (priority=critical)", "Q_INVESTIGATION_TIMEOUT", "required"):
        assert said in text
    key = tap(told.home, "info", "Q_KEY_ADDED")
    assert "secret" in key.text
    assert '"token":"***"' in key.text
    found = orjson.loads(tap(told.home, "info", "Q_KEY_ADDED", "-o", "json").out)
    assert (found["kept"], found["last"]["facts"]["token"]) == (1, "***")
    assert found["contract"]["title"] == "Q_KEY_ADDED"
    near = tap(told.home, "info", "Q_KEY_ADED")
    assert (near.code, "did you mean Q_KEY_ADDED" in near.err) == (2, True)


def test_rates_and_sizes_of_what_is_journaled(told: Told) -> None:
    """`-T` measures what was, with the bus up or down."""
    rows = {each["signal"]: each for each in tap(told.home, "hz", "-T", "Q_ITEM_*", "-o", "json").objects}
    times = [float(str(s.received_at)[17:26]) for s in told.constellation.signals("Q_ITEM_START")]
    assert (rows["Q_ITEM_START"]["count"], rows["*"]["count"]) == (4, 7)
    assert rows["Q_ITEM_START"]["gap_max_s"] == pytest.approx(max(b - a for a, b in zip(times, times[1:])), abs=1e-5)  # noqa: B905, RUF007
    sizes = {each["signal"]: each for each in tap(told.home, "bw", "-T", "Q_ITEM_*", "-o", "json").objects}
    with told.constellation.journal() as journal:
        lengths = [len(raw) for seq in told.items for raw in journal.get(seq)]
    assert (sizes["Q_ITEM_START"]["bytes_min"], sizes["Q_ITEM_START"]["bytes_max"]) == (min(lengths), max(lengths))
    assert tap(told.home, "hz", "-T", "Q_NEVER_SEEN").code == 1
    assert "RATE" in tap(told.home, "bw", "-T").text


def test_rates_are_measured_as_signals_come(home: Constellation) -> None:
    """Without `-T` it tells every second, and ends as `follow` does."""
    measured = threading.Event()

    def go_on() -> None:
        while not measured.wait(0.1):  # until it has heard enough, whenever it began to listen
            emit(home, "x")

    coming = threading.Thread(target=go_on)
    coming.start()
    try:
        found = tap(home.home, "hz", "Q_ITEM_START", "-c", "5", "--every", "100ms", "-o", "json")
    finally:
        measured.set()
        coming.join()
    assert (found.code, found.objects[-1]["count"]) == (0, 5)
    live = tap(home.home, "hz", "--live", "Q_HEARTBEAT", "-c", "1", "-o", "json")
    assert [each["signal"] for each in live.objects] == ["Q_HEARTBEAT"]
    assert tap(home.home, "bw", "Q_NEVER_SEEN", "-W", "100ms").code == 27


def test_delays_from_emit_to_the_bus_to_handled(told: Told) -> None:
    """Whether the bus or the daemon is slow must not be a guess."""
    found = tap(told.home, "delay", "Q_ITEM_START", "-n", "4", "--from", "first", "-o", "json").objects
    (to_bus,) = [each for each in found if each["by"] is None]
    (handled,) = [each for each in found if each["by"] == "link"]
    assert (to_bus["count"], handled["count"]) == (4, 3)  # the rejected one has no end that shows
    done = told.constellation.signals("Q_ITEM_DONE")[:3]
    starts = {s.id: s for s in told.constellation.signals("Q_ITEM_START")}
    took = [float(str(d.received_at)[17:26]) - float(str(starts[str(d.causation_id)].received_at)[17:26]) for d in done]
    assert handled["max_s"] == pytest.approx(max(took), abs=1e-5)
    assert 0 <= handled["p50_s"] <= handled["p90_s"] <= handled["p99_s"] <= handled["max_s"]
    assert "bus → handled" in tap(told.home, "delay", "Q_ITEM_START").text
    assert tap(told.home, "delay", "Q_NEVER_SEEN").code == 1


def test_consumers_in_full(told: Told) -> None:
    """Who is behind, since when, and how often it was tried."""
    (mine,) = tap(told.home, "consumers", "link", "-o", "json").objects
    assert {"cursor", "lag", "in_hand", "aside", "settled", "redelivered", "oldest_age_s", "attached"} <= mine.keys()
    assert (mine["lag"], mine["attached"], mine["settled"] >= 4) == (0, True, True)
    assert tap(told.home, "consumers", "--lagging").code == 1
    assert tap(told.home, "consumers", "nobody").code == 1
    for heading in ("CURSOR", "LAG", "IN HAND", "ASIDE", "SETTLED", "REDELIVERED", "OLDEST"):
        assert heading in tap(told.home, "consumers").text


def test_gaps_in_the_journal_and_in_recordings(home: Constellation, tmp_path: Path) -> None:
    """A damaged or shortened archive is noticed: exit code 4."""
    emit(home, *"abcdefgh")
    whole = tmp_path / "whole"
    assert tap(home.home, "record", "-T", str(whole)).code == 0
    good = tap(home.home, "gaps")
    assert (good.code, good.out, good.err) == (0, b"", "Nothing is missing.\n")
    assert tap(home.home, "gaps", str(whole), "-q").err == ""
    lines = whole.read_bytes().splitlines(keepends=True)
    torn = tmp_path / "torn"
    torn.write_bytes(b"".join(lines[:2] + lines[4:5] + lines[7:]))
    found = tap(home.home, "gaps", str(torn), "-o", "json")
    assert found.code == 4
    assert [(each["first"], each["last"], each["missing"]) for each in found.objects] == [(3, 4, 2), (6, 7, 2)]
    torn.write_bytes(lines[3] + lines[2])
    assert tap(home.home, "gaps", str(torn)).code == 2
    home.running[0].stop()
    db = connect(home.paths.journal, writable=True)
    db.execute("DELETE FROM signal WHERE seq IN (1, 4, 5, 7)")
    db.close()
    table = tap(home.home, "gaps")
    assert table.code == 4
    assert [line.split()[:3] for line in table.lines[1:]] == [["4", "5", "2"], ["7", "7", "1"]]


def test_validate_envelopes_and_facts(told: Told, tmp_path: Path) -> None:
    """Before a file is played or a program emits, what does not fit is named with its line."""
    good = tmp_path / "good"
    assert tap(told.home, "record", "-T", str(good), "-x", "Q_KEY_ADDED").code == 0
    assert tap(told.home, "validate", str(good)).code == 0
    envelope = told.constellation.signals("Q_ITEM_START")[0]
    wrong = orjson.loads(tap(told.home, "get", str(envelope.seq), "-o", "json").out)
    wrong["facts"] = {"n": "x", "pad": "\x1b[2J"}
    bad = tmp_path / "bad"
    bad.write_bytes(good.read_bytes() + orjson.dumps(wrong) + b"\nnot json\n" + b'{"signal":"Q_NO","facts":{}}\n{}\n')
    found = tap(told.home, "validate", str(bad), "-o", "json")
    last = len(good.read_bytes().splitlines())
    assert found.code == 1
    assert [each["line"] - last for each in found.objects] == [1, 2, 3, 4]
    text = tap(told.home, "validate", str(bad))
    assert text.text.startswith(f"{bad}:{last + 1}: ")
    assert "\x1b" not in text.text
    facts = b'{\n "n": 1,\n "pad": ""\n}\n'
    (tmp_path / "facts").write_bytes(facts)
    assert tap(told.home, "validate", "--signal", "Q_ITEM_START", str(tmp_path / "facts")).code == 0
    assert tap(told.home, "validate", "--signal", "Q_ITEM_START", "-", given=b'{"n":1,"pad":""}\n{"n":1}\n').code == 1
    assert tap(told.home, "validate", "--signal", "Q_NO_SUCH", str(good)).code == 2
    assert tap(told.home, "validate", str(tmp_path / "absent")).code == 2
    assert tap(told.home, "validate", "-", given=b"").code == 1


def test_top_is_a_screen_that_q_and_ctrl_c_end(told: Told) -> None:
    """A live screen that cannot be left, or leaves the terminal broken, is worse than none."""
    for typed, code in ((b"q", 0), (b"\x03", 130)):
        shown = run_on_terminal("signal_tap", told.home, "top", columns=120, typed=(b"LAST ERRORS", typed))
        assert shown.code == code
        assert "Q_DEAD_LETTER_ADDED" in shown.text
        assert "link" in shown.text
        assert shown.text.rstrip().endswith("\x1b[?1049l")  # the screen from before is back
        assert "\x1b[31m<b>" not in shown.text.replace("\x1b[31m11", "")
    for arguments, env in ((("--color", "never"), {}), ((), {"NO_COLOR": "1"})):
        plain = run_on_terminal(
            "signal_tap", told.home, "top", *arguments, columns=120, env=env, typed=(b"LAST ERRORS", b"q")
        )
        assert plain.code == 0
        assert re.findall(r"\x1b\[(?:3|9)\d", plain.text) == []


def test_top_without_a_terminal_is_one_snapshot(told: Told) -> None:
    """For a report by mail."""
    text = tap(told.home, "top")
    assert text.code == 0
    for said in ("Q_ITEM_START", "link", "LAST ERRORS", "1 dead letter"):
        assert said in text.text
    found = orjson.loads(tap(told.home, "top", "-o", "json").out)
    assert {each["signal"] for each in found["signals"]} >= {"Q_ITEM_START", "Q_ITEM_DONE"}
    assert found["dead_letters"] == 1
    assert found["errors"][-1]["facts"]["reason"] == "rejected"


def test_top_counts_dead_letters_with_the_bus_down(home: Constellation) -> None:
    """Just when the bus is down a person looks for what failed; none would be a lie."""
    link(home)
    emit(home, "bad")
    home.wait_for("Q_DEAD_LETTER_ADDED")
    home.running[0].stop()
    assert "does not answer.  1 dead letter" in tap(home.home, "top").text
    (found,) = tap(home.home, "top", "-o", "json").objects
    assert (found["bus"], found["dead_letters"]) == (None, 1)


@pytest.mark.parametrize(
    ("verb", "redirection", "code"),
    [("types", ">&-", 0), ("emit Q_ITEM_NOTED --stdin --dry-run", "<&-", 2), ("types", "<&- >&-", 0)],
)
def test_closed_streams_are_no_traceback(told: Told, verb: str, redirection: str, code: int) -> None:
    """A command in a service's hook may have no streams; it must do its work all the same."""
    words = command("signal_tap", *verb.split())
    shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", *words]
    done = subprocess.run(shell, input=b"", capture_output=True, env=environment(told.home), cwd=ROOT, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False)


def test_a_rate_or_a_place_beyond_all_counting_is_refused_in_words(told: Told) -> None:
    """A slip of the finger must not end in a traceback after the first signal was said."""
    slow = tap(told.home, "emit", "Q_ITEM_NOTED", "n:=1", "pad=", "-r", "1e-300", "-c", "2", "--dry-run")
    assert (slow.code, "is not in the range" in slow.err) == (2, True)
    assert tap(told.home, "show", "--where", f"taint.{'9' * 5000}=x", "--from", "first").code == 1


def test_a_recording_of_no_journal_leaves_no_file(tmp_path: Path) -> None:
    """An empty recording would pass for one of a quiet day."""
    none = tmp_path / "kept"
    assert run("signal_tap", tmp_path, "record", "-T", str(none)).code == 2
    assert not none.exists()


def test_a_tree_heeds_or_refuses_what_is_typed(told: Told) -> None:
    """An option that does nothing makes a person doubt all the others."""
    seq = str(told.items[0])
    at = str(told.constellation.signals("Q_ITEM_START")[0].received_at)
    shown = run("signal_tap", told.home, "trace", seq, "--utc", env={"TZ": "Asia/Tokyo"})
    assert at[11:23] in shown.lines[0]
    for words in (("-t", "delta"), ("--fields", "seq")):
        assert tap(told.home, "trace", seq, *words).code == 2
    assert tap(told.home, "trace", seq, "--fields", "seq", "-o", "json").objects[0] == {"seq": told.items[0]}


def test_a_folder_is_not_taken_for_a_file_that_waits(told: Told) -> None:
    """A folder is never taken: who is told that it waits would wait for ever."""
    folder = told.constellation.paths.intents / "letters"
    folder.mkdir(parents=True, exist_ok=True)
    found = ligand(told.home, "why", str(folder))
    assert (found.code, "is a folder" in found.err) == (1, True)
