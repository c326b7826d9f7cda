"""The intent router on a real bus. If this fails, files a person drops are lost, doubled, or wait without end."""

import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.constellation import Constellation, constellation, others

BACKLOG = 4464  # a tenth of the 44,638 files that waited elsewhere; the whole is in `make bench`


@pytest.fixture
def home(tmp_path):
    with constellation(tmp_path) as found:
        found.config("bus", {"disable": others("intent_router")})
        found.paths.ensure()
        yield found


def question(n: int, priority: str = "normal") -> str:
    data = {"question": f"What does module {n} do?", "priority": priority, "evidence": [f"module:mod_{n}"]}
    return json.dumps({"type": "discover.module", "id": f"discover.module.mod_{n}", "data": data})


def fill(folder: Path, count: int) -> None:
    for n in range(count):
        (folder / f"{n:05}.json").write_text(question(n))


def routed(home: Constellation) -> Counter[str]:
    return Counter(signal.facts["question_id"] for signal in home.signals("Q_CURIOSITY_INVESTIGATE"))


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")]


def test_a_backlog_is_routed_once_each_and_an_urgent_file_does_not_wait_behind_it(home):
    """Thousands of waiting files: each is routed exactly once; a critical one dropped meanwhile overtakes them."""
    fill(home.paths.intents, BACKLOG)
    home.bus()
    home.daemon("intent_router").ready()
    home.wait_for("Q_CURIOSITY_INVESTIGATE", 1)
    (home.paths.intents / "urgent.json").write_text(question(99_999, "critical"))
    before = len(home.signals("Q_CURIOSITY_INVESTIGATE"))
    home.wait_for("Q_CURIOSITY_INVESTIGATE", BACKLOG + 1, timeout_s=400)
    found = home.signals("Q_CURIOSITY_INVESTIGATE")
    assert routed(home) == Counter({f"discover.module.mod_{n}": 1 for n in [*range(BACKLOG), 99_999]})
    after = [signal.facts["question_id"] for signal in found].index("discover.module.mod_99999")
    assert after < before + 1000, "the urgent file waited behind others"
    assert home.dead() == []


def test_kills_of_router_and_bus_neither_lose_nor_double_a_file(home):
    """SIGKILL while files are claimed, emitted and moved: each file still becomes exactly one signal."""
    fill(home.paths.intents, 600)
    chance = random.Random(7)
    bus, router = home.bus(), home.daemon("intent_router")
    for n in range(10):
        time.sleep(chance.random() * 0.3)  # the instant of the kill, not readiness
        if n % 3 == 2:
            bus.kill()
            bus = home.bus()
        else:
            router.kill()
            router = home.daemon("intent_router")
        fill_one = home.paths.intents / f"late_{n}.json"
        fill_one.write_text(question(10_000 + n))
    home.wait_for("Q_CURIOSITY_INVESTIGATE", 610, timeout_s=300)
    wanted = [*range(600), *range(10_000, 10_010)]
    assert routed(home) == Counter({f"discover.module.mod_{n}": 1 for n in wanted})
    assert router.stop() == 0
    assert names(home.paths.intents) == []
    assert names(home.paths.intents / "working") == []


def test_a_refused_file_is_kept_with_an_explanation_and_the_bus_is_told(home):
    """Broken JSON: the person finds the file beside the words that tell how to mend it."""
    home.bus()
    home.daemon("intent_router").ready()
    (home.paths.intents / "broken.json").write_text('{"type": "discover.module",')
    [rejected] = home.wait_for("Q_INTENT_REJECTED")
    kept = Path(rejected.facts["kept_at"])
    home.running[-1].stop()
    assert kept.read_text() == '{"type": "discover.module",'
    assert "line 1" in kept.with_name(kept.name + ".error").read_text()
    assert rejected.taint == ("file",)


def test_the_story_of_a_file_is_one_batch_with_one_root(home):
    """The announcement and what is routed from it stand together: nobody sees one without the other."""
    (home.paths.intents / "ask.txt").write_text("Why is the sky blue?")
    home.bus()
    home.daemon("intent_router").ready()
    [asked] = home.wait_for("Q_CURIOSITY_INVESTIGATE")
    [announced] = home.signals("Q_INTENT_READY")
    assert asked.seq == announced.seq + 1
    assert asked.causation_id == announced.id == asked.correlation_id
    assert announced.facts["routed_to"] == ["Q_CURIOSITY_INVESTIGATE"]
    assert asked.taint == announced.taint == ("file",)
