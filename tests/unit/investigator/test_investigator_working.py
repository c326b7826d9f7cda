"""How the investigator shares out threads, places, memory and patience."""

from __future__ import annotations

import asyncio
import functools
import gc
import shlex
import threading
from collections import Counter
from pathlib import Path

import pytest

from services.bus.registry import routes_of
from services.investigator import pressure, suppression
from services.investigator.gate import Gate
from services.investigator.logic import Outcome, failed
from services.investigator.notebook import KEPT_S, Notebooks
from services.investigator.presence import SILENT_S, WORKER, Presence
from services.investigator.readers import Readers, Stuck
from services.runtime import Unavailable
from services.runtime.manifest import Manifest, find
from signals.catalogue import Catalogue

pytestmark = pytest.mark.may_leak("reading threads end with the process")
BEAT = {"daemon": WORKER, "state": "ready", "message": "1 of 1 model servers answer"}


def test_reading_takes_the_same_threads_however_often():
    """Each further thread would keep some MiB for good: an always-on daemon would grow."""
    before = threading.active_count()

    async def many() -> list[int]:
        readers = Readers(2)
        return [await readers.run(functools.partial(abs, nth)) for nth in range(200)]

    assert asyncio.run(many()) == list(range(200))
    assert threading.active_count() == before + 2


def test_nothing_of_a_module_that_was_read_stays_in_memory(ask):
    """Trees of names are full of cycles: until a collection that comes rarely they keep tens of megabytes."""
    ask("json")  # what is made once is made
    gc.collect()
    gc.disable()
    try:
        before = Counter(str(type(each).__module__) for each in gc.get_objects())
        ask("email")
        after = Counter(str(type(each).__module__) for each in gc.get_objects())
    finally:
        gc.enable()
    assert not {name: after[name] - before[name] for name in after if "griffe" in name and after[name] > before[name]}


def test_what_a_reader_raises_is_raised_to_who_asked():
    """An error lost in a thread would leave its question without an end."""

    async def one() -> None:
        await Readers(1).run(lambda: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(one())


def test_a_reader_that_hangs_is_noticed():
    """A dead network place would silently take one thread after the other."""

    async def one() -> None:
        readers, go, began = Readers(1), threading.Event(), threading.Event()

        def hang() -> None:
            began.set()
            go.wait()

        hanging = asyncio.ensure_future(readers.run(hang))
        await asyncio.sleep(0)
        began.wait()
        readers.check(3600)
        try:
            with pytest.raises(Stuck):
                readers.check(-1)
        finally:
            go.set()
            await hanging

    asyncio.run(one())


def test_who_matters_more_is_let_in_first():
    """A person's question must not wait behind a heap of background ones."""
    order: list[str] = []

    async def work(gate: Gate, name: str, rank: int, go: asyncio.Event) -> None:
        async with gate.place(rank):
            order.append(name)
            await go.wait()

    async def all_of_them() -> None:
        gate, go = Gate(1), asyncio.Event()
        ranks = {"low0": 3, "low1": 3, "low2": 3, "critical": 0}
        tasks = {name: asyncio.ensure_future(work(gate, name, rank, go)) for name, rank in ranks.items()}
        await asyncio.sleep(0)
        tasks["low2"].cancel()  # who waited and went away leaves no place taken
        go.set()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    asyncio.run(all_of_them())
    assert order == ["low0", "critical", "low1"]


def test_background_work_waits_while_memory_is_short(tmp_path):
    """The machine is swapping: what can wait does, what is urgent does not."""
    file = tmp_path / "memory"
    file.write_text("some avg10=31.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n")
    files = (tmp_path / "absent", file)
    for priority in ("normal", "low"):
        with pytest.raises(Unavailable, match=r"31\.5 %"):
            pressure.admit(priority, 20, files)
        pressure.admit(priority, 32, files)
    pressure.admit("critical", 20, files)
    pressure.admit("low", 0, (tmp_path / "absent",))


def test_what_waits_while_memory_is_short_holds_up_nothing_urgent():
    """A question that is put off pauses its lane: an urgent one behind it would wait as long as memory is short."""
    manifest, catalogue = Manifest.load(find("investigator", Path())), Catalogue.load()
    name = "Q_CURIOSITY_INVESTIGATE"
    route = routes_of("investigator", manifest.consumes, catalogue)[name]
    priorities = catalogue[name].schema["properties"]["priority"]["enum"]
    lanes = {priority: route.lane({"priority": priority}) for priority in priorities}
    paused = {lanes[priority] for priority in pressure.BACKGROUND}
    assert paused.isdisjoint(lanes[priority] for priority in priorities if priority not in pressure.BACKGROUND)


def test_a_worker_is_believed_by_its_heartbeat_and_before_that_by_its_word():
    """A model that is away is not waited for; one that is there is asked from the first question on."""
    assert Presence(0.0).absent(1) is not None
    told = Presence.of({"model|http://near": True, "failed|x": {}}, 0.0)
    assert told.absent(1) is None
    assert told.absent(SILENT_S + 1) == ("not_running", f"{WORKER} does not run")
    told.heard(BEAT, 30)
    assert told.absent(31) is None
    told.heard(BEAT | {"daemon": "model_worker@primary", "state": "degraded"}, 31)
    assert told.absent(32) is None
    told.heard(BEAT | {"state": "degraded", "message": "no model server answers"}, 33)
    assert told.absent(34) == ("unavailable", "no model server answers")


def test_what_a_worker_tells_of_its_servers_counts_from_then_on_and_not_from_its_next_heartbeat():
    """A module dropped right after the model was started would be described without it."""
    found = Presence(0.0)
    found.heard(BEAT | {"state": "degraded", "message": "no model server answers"}, 1)
    found.came("http://near")
    assert found.absent(2) is None
    found.heard(BEAT, 3)
    found.went("http://near")
    assert found.absent(4) == ("unavailable", f"{WORKER} has told of no server that answers")
    found.heard(BEAT | {"state": "degraded", "message": "no model server answers"}, 5)
    assert found.absent(6) == ("unavailable", "no model server answers")


def test_a_bus_that_was_away_does_not_make_the_worker_absent():
    """After an update of the bus the first questions would be answered without the model that is there."""
    found = Presence.of({"model|http://near": True}, 0.0)
    found.heard(BEAT, 1)
    assert found.absent(100) is None  # nobody was heard for long: the bus was away
    found.heard(BEAT | {"daemon": "bus"}, 101)
    assert found.absent(102) is None  # the worker has not had its turn yet
    found.heard(BEAT | {"daemon": "bus"}, 115)
    found.heard(BEAT | {"daemon": "bus"}, 125)
    assert found.absent(125) == ("not_running", f"{WORKER} does not run")


def test_only_failures_of_the_subject_count_and_made_up_ones_do_not_fill_the_state():
    """A model that was away suppresses nothing; a flood of made-up names is forgotten, the oldest first."""
    asked = {"question": "What?", "question_id": "q", "evidence": []}
    assert suppression.puts({}, asked, failed(asked, "no_model", "away"), "2026") == {}
    state: dict = {}
    for nth in range(suppression.MAX_SUBJECTS + 5):
        one = asked | {"module_path": f"made_up_{nth}"}
        for key, value in suppression.puts(state, one, failed(one, "phantom", "none"), f"{nth:06}").items():
            state.pop(key, None)
            state |= {} if value is None else {key: value}
    assert len(state) == suppression.MAX_SUBJECTS
    assert "failed|made_up_4" not in state
    again = asked | {"module_path": "made_up_9"}
    assert suppression.suppressed(state, again, 2) is None
    state |= suppression.puts(state, again, failed(again, "phantom", "none"), "9")
    assert suppression.suppressed(state, again, 2) is not None
    done = Outcome("Q_INVESTIGATION_COMPLETE", {})
    assert suppression.puts(state, again, done, "9") == {"failed|made_up_9": None}


def test_what_a_person_is_told_to_type_does_nothing_else():
    """Who pastes the line of an answer would run what a stranger wrote into the name of a module."""
    name = "a'$(reboot); `reboot` \\"
    asked = {"question": "What?", "question_id": "q", "evidence": [], "module_path": name}
    kept = {"count": 5, "reason": "phantom", "detail": "none"}
    held = suppression.suppressed({suppression.KEPT + name: kept}, asked, 5)
    assert held is not None
    line = held.facts["detail"].partition("again: `")[2].removesuffix("`.")
    assert shlex.split(line) == ["ligand", "suppress", "clear", name]


@pytest.mark.parametrize("named", [{}, {"module_path": "/srv/" + "deep/" * 60}])
def test_a_subject_is_short_enough_to_be_kept(named):
    """A long question that fails would be tried five times, and buried instead of answered."""
    asked = {"question": "Why is it so? " * 40, "question_id": "q", "evidence": [], **named}
    assert len(suppression.KEPT + suppression.subject_of(asked)) <= 200


def test_notes_of_questions_that_were_given_up_go(tmp_path):
    """What is never answered would stay on the disk for ever; what is being asked now stays."""
    notes = Notebooks(tmp_path / "open")
    notes.write("a", {"requests": []})
    (tmp_path / "open/b.json").write_text('{"torn')
    assert notes.read("a") == {"requests": []}
    assert notes.read("b") is None
    assert notes.read("c") is None
    notes.sweep()
    assert notes.has("a")
    notes.sweep((tmp_path / "open/a.json").stat().st_mtime + KEPT_S + 1)
    assert not notes.has("a")
