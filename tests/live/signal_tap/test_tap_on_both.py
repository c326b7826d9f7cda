"""Every verb and every option, on a pipe and on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.signal_tap.conftest import Told, telling
from tests.support.both import Both, Case, misplaced, untried
from tests.support.commands import tap
from tests.support.constellation import ROOT
from tools.signal_tap.__main__ import tap as root

CHOOSING = "Q_ITEM_* -x *_DONE --source person@* --where facts.n>=1 -g pad -S -1h -U +1h --from first"
STORY = "--correlation {item}"
PLAIN: dict[str, Any] = {"coloured": False}
VARIES: dict[str, Any] = {"coloured": False, "varies": True}
CASES = (
    Case(f"follow {CHOOSING} -T -c 2"),
    Case(f"follow {STORY} -T -n 1 --strict -q"),
    Case("follow Q_ITEM_START -T -o json --fields seq,facts.n", **PLAIN, cut=False),
    Case("follow -T --full --utc -t zero Q_ITEM_START", cut=False),
    Case("follow Q_ITEM_START -n 3 -W 50ms --cursor-file {new}", code=27),
    Case("follow Q_NEVER_SEEN --live -W 50ms", code=27, **PLAIN),
    Case("follow Q_ITEM_START -T --color never", **PLAIN),
    Case(f"show {CHOOSING} -c 1 -q"),
    Case(f"show {STORY} -n 1 --utc --cursor-file {{new}}"),
    Case("show Q_ITEM_START -o short-iso --strict"),
    Case("show Q_ITEM_START -t delta --fields facts.pad --full", cut=False),
    Case("show Q_ITEM_START --color never", **PLAIN),
    Case("show Q_NEVER_SEEN", code=1, **PLAIN),
    *(Case(f"show Q_ITEM_START -o {form}", **PLAIN, cut=False) for form in ("json", "json-pretty", "cat", "csv")),
    Case("show Q_ITEM_START -o cloudevents", **PLAIN, cut=False),
    Case("get {item}", **PLAIN, cut=False),
    Case("get {item} -o short -t abs --utc -q --fields facts.pad"),
    Case("get {item} -o short --full --color never", **PLAIN, cut=False),
    Case("get 999999", code=1, **PLAIN),
    Case("trace {item}"),
    Case("trace {bad} --utc -q --full", cut=False),
    Case("trace {bad} -o json --fields signal", **PLAIN, cut=False),
    Case("trace {bad} -t delta", code=2, **PLAIN, cut=False),
    Case("trace {item} --color never", **PLAIN),
    Case("trace {item} -o json", **PLAIN, cut=False),
    Case("trace {item} --mermaid", **PLAIN, cut=False),
    Case("trace {item} --dot", **PLAIN, cut=False),
    Case("top -o json -q", **VARIES, cut=False),
    Case("top -o json-pretty --utc --color never", **VARIES, cut=False),
    Case("types Q_ITEM_*", varies=True),
    Case("types Q_ITEM_* --all --over 1h --utc -q", varies=True),
    Case("types Q_ITEM_* --color never", **VARIES),
    Case("types Q_ITEM_* -o json", **VARIES, cut=False),
    Case("info Q_ITEM_START --utc -q"),
    Case("info Q_ITEM_START --color never", **PLAIN),
    Case("info Q_ITEM_START -o json-pretty", **PLAIN, cut=False),
    Case("info Q_ITEM_STRAT", code=2, **PLAIN),
    Case("consumers link -q", varies=True),
    Case("consumers --lagging", code=1, **PLAIN),
    Case("consumers link --color never", **VARIES),
    Case("consumers link -o json", **VARIES, cut=False),
    *(
        case
        for verb in ("hz", "bw")
        for case in (
            Case(f"{verb} {CHOOSING} -T -c 3 -q"),
            Case(f"{verb} {STORY} -T --strict --cursor-file {{new}}"),
            Case(f"{verb} Q_ITEM_* -T -o json", **PLAIN, cut=False),
            Case(f"{verb} Q_ITEM_* -T --color never", **PLAIN),
            Case(f"{verb} Q_NEVER_SEEN --live --every 20ms -W 50ms", code=27, **PLAIN),
        )
    ),
    Case(f"delay {CHOOSING} -n 3 -q"),
    Case(f"delay {STORY} --color never", **PLAIN),
    Case("delay Q_ITEM_START -o json", **PLAIN, cut=False),
    Case("emit Q_ITEM_NOTED n:=1 pad=x --taint web", **VARIES),
    Case("emit Q_ITEM_NOTED -q --utc --stdin -r 100 -c 2", given=b'{"n": 1, "pad": ""}\n', **VARIES),
    Case("emit Q_ITEM_NOTED n:=1 pad=x --dry-run --color never", **VARIES),
    Case("emit Q_ITEM_NOTED n:=1 pad=x -o json", **VARIES, cut=False),
    Case("emit Q_ITEM_NOTED n=x", code=2, **PLAIN),
    Case(f"record {{new}} {CHOOSING} -T -c 2", **PLAIN),
    Case(f"record {{new}} {STORY} -T --strict -q --cursor-file {{new}}.cursor", **PLAIN),
    Case("record {new} Q_NEVER_SEEN --live -W 50ms", code=27, **PLAIN),
    Case("record {recording} Q_NEVER_SEEN --append -T", code=1, **PLAIN),
    Case(f"play {{recording}} {CHOOSING} -c 2 --dry-run --utc -t zero --full", cut=False),
    Case("play {recording} --correlation {item} --dry-run -o json --fields seq", **PLAIN, cut=False),
    Case("play {recording} Q_ITEM_START --dry-run -q --color never", **PLAIN),
    Case("play {recording} --live --original --dry-run Q_ITEM_START", varies=True),
    Case("play {recording} --dry-run -r 100 --to {new} Q_ITEM_START"),
    Case("dead list", **PLAIN),
    Case("dead list --daemon link --reason rejected -S -1h -U now --all --utc -q", **PLAIN),
    Case("dead list --color never", **PLAIN),
    Case("dead list -o json", **PLAIN, cut=False),
    Case("dead list Q_NEVER_SEEN", code=1, **PLAIN),
    Case("dead show 1 --utc -q", varies=True),
    Case("dead show 1 --color never", **VARIES),
    Case("dead show 1 -o json", **PLAIN, cut=False),
    *(
        Case(f"dead {verb} --daemon link --reason rejected -S -1h -U now --dry-run", **PLAIN)
        for verb in ("replay", "drop")
    ),
    Case("validate --signal Q_ITEM_START - -q", code=1, given=b'{"n": "x"}\n', **PLAIN, cut=False),
    Case("validate {recording}", **PLAIN),
    Case("validate {recording} -o json", **PLAIN),
    Case("gaps -q", **PLAIN),
    Case("gaps {torn}", code=4),
    Case("gaps {torn} --color never", code=4, **PLAIN),
    Case("gaps {torn} -o json", code=4, **PLAIN, cut=False),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A bus and a daemon that have done what `told` says, and recordings of it: a whole one and a torn one."""
    folder = tmp_path_factory.mktemp("both")
    with telling(folder) as told:
        recording = folder / "recording"
        assert tap(told.home, "record", str(recording), "-T", "Q_ITEM_*").code == 0
        lines = recording.read_bytes().splitlines(keepends=True)
        (folder / "torn").write_bytes(b"".join(lines[:2] + lines[4:]))
        yield told


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_pipe_and_a_terminal_tell_the_same(home: Told, tmp_path: Path, case: Case) -> None:
    """What a person saw is what a script gets: no colour codes there, whole lines there, the same exit code."""
    known = {
        "{item}": home.items[0], "{bad}": home.items[-1], "{recording}": home.home / "recording",
        "{torn}": home.home / "torn",
    }  # fmt: skip
    words = case.words
    for name, value in known.items():
        words = words.replace(name, str(value))
    both = Both("signal_tap", home.home, tmp_path)
    both.check(Case(**{**vars(case), "words": words}))


ELSEWHERE = {
    "top": {"--color": "tests/live/signal_tap/test_tap_measuring.py"},
}
"""What a terminal of its own needs: a screen does not end by itself."""


def test_every_option_is_tried() -> None:
    """An option that no test gives can stop working without anybody noticing."""
    assert untried(root, CASES, ELSEWHERE) == []
    assert misplaced(ELSEWHERE, ROOT) == []
