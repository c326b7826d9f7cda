"""What a cycle plans by the files that are there, and that its answer is one that the bus carries."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.dream_runner import planning
from services.dream_runner.cycle import Outcome, Runner
from services.dream_runner.planning import Plan, Wish, plan
from services.experiments import promotions
from signals.catalogue import Catalogue
from signals.paths import Paths

TRIGGER = "01935b0e-6a70-7cc3-98c4-dc0c0c07398f"
SETTINGS = {"cycles_per_day": 12, "again_after_h": 168, "cycle_s": 3000}
CATALOGUE = Catalogue.load()
WHOLE: dict[str, Any] = {
    "about": "where the top is",
    "target": {"file": "tuned.yaml", "format": "yaml", "keys": {"x": "x"}},
    "search_space": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
    "evaluate": {"command": ["true"], "repeats": 5},
    "objective": {"metrics": {"f1": "maximize"}},
}


class Home:
    """A configuration folder with experiments, and a folder of promotions; no bus."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths.resolve(folder)
        self.experiments = self.paths.config / "experiments"
        self.experiments.mkdir(parents=True)
        self.promotions = self.paths.intents.parent / "promotions"
        self.promotions.mkdir()
        self.tuned("x: 0.8\n")

    def tuned(self, text: str) -> None:
        (self.paths.config / "tuned.yaml").write_text(text)

    def experiment(self, name: str = "top", **said: Any) -> None:
        (self.experiments / f"{name}.yaml").write_text(yaml.safe_dump(WHOLE | said, sort_keys=False))

    def promote(self, name: str, **said: Any) -> None:
        whole = {"schema": 1, "id": name, "created_at": "x", "experiment": "top", "params": {"x": 0.5}} | said
        path = self.promotions / f"{name}.json"
        path.write_text(json.dumps(whole))
        os.utime(path, (0, 0))

    def plan(self, wish: Wish, state: dict[str, Any] | None = None) -> Plan:
        return plan(self.paths.config, self.promotions, wish, state or {}, SETTINGS)

    def refused(self, wish: Wish, state: dict[str, Any] | None = None) -> Outcome:
        """The answer to a trigger for which nothing is run, as the bus would take it."""
        runner = Runner(self.paths, self.paths.state_of("dream_runner"), state or {}, SETTINGS, lambda _: None)
        outcome = asyncio.run(runner.run(TRIGGER, 0.0, wish))
        CATALOGUE[outcome.signal].check(outcome.facts)
        for one in outcome.acknowledged:
            CATALOGUE["Q_PROMOTION_ACKNOWLEDGED"].check(one)
        return outcome


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def wish(*, topic: str | None = None, experiment: str | None = None, person: bool = False) -> Wish:
    return Wish("a test", topic, experiment, person)


def test_what_cannot_be_read_names_the_file_and_what_to_do(home: Home) -> None:
    """`line 3: …` alone leaves a person to guess which of a dozen files is meant."""
    home.experiment()
    home.tuned("x: [\n")
    assert f"{home.paths.config}/tuned.yaml: line 2" in home.refused(wish()).facts["detail"]
    home.tuned("y: 1\n")
    detail = home.refused(wish()).facts["detail"]
    assert f"{home.paths.config}/tuned.yaml: x does not stand in the file; write it there" in detail
    (home.paths.config / "tuned.yaml").unlink()
    assert "tuned.yaml: No such file" in home.refused(wish()).facts["detail"]


def test_an_answer_can_be_carried_however_files_are_called(home: Home) -> None:
    """A file of an odd name, or a hundred experiments, must not leave every trigger without an answer."""
    for name in ("n" * 200, "Not A Name", os.fsdecode(b"n\xff")):
        (home.experiments / f"{name}.yaml").write_text("a: [")
    answer = home.refused(wish())
    assert answer.facts["reason"] == "experiment_failed"
    home.experiment()
    made = home.plan(wish(person=True))
    assert [run["experiment"] for run in made.runs] == ["top"]
    assert max(len(one["experiment"]) for one in made.failed) <= 64
    for nth in range(60):
        (home.experiments / f"{'n' * 50}{nth}.yaml").write_text("a: [")
    assert home.refused(wish(experiment="nonesuch")).facts["reason"] == "no_such_experiment"


def test_a_promotion_that_cannot_be_used_keeps_nothing_else_from_running(home: Home) -> None:
    """One file that somebody mistyped must not end D-REAM for all."""
    home.experiment()
    home.promote("good")
    home.promote("half", created_at="\ud800", experiment="\ud800")
    home.promote("text", params={"x": "\ud800"})
    home.promote("outside", params={"x": 7})
    home.promote("other", experiment="nonesuch")
    (home.promotions / "deep.json").write_text("[" * 10_000)
    os.utime(home.promotions / "deep.json", (0, 0))
    made = home.plan(wish())
    assert [one["id"] for one in made.runs[0]["promotions"]] == ["good"]
    assert {one["id"] for one in made.rejected} == {"half", "text", "outside", "other", "deep"}


def test_an_experiment_that_cannot_run_keeps_no_promotion_of_another_waiting(home: Home) -> None:
    """A program that proposes each night would fill all places with what waits for a file to be mended."""
    home.experiment()
    home.experiment("stuck", target={"file": "gone.yaml", "format": "yaml", "keys": {"x": "x"}})
    (home.experiments / "mistyped.yaml").write_text("a: [")
    for nth in range(60):
        home.promote(f"a{nth}", experiment=("stuck", "mistyped")[nth % 2])
    home.promote("z")
    made = home.plan(wish())
    assert [one["id"] for one in made.runs[0]["promotions"]] == ["z"]
    assert made.rejected == []


def test_no_more_promotions_are_read_than_it_says(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a hundred thousand for one experiment would be read whole at each trigger."""
    home.experiment()
    for nth in range(60):
        home.promote(f"a{nth:02}")
    read, reading = list[Path](), promotions.read

    def counting(path: Path) -> promotions.Promotion:
        read.append(path)
        return reading(path)

    monkeypatch.setattr(promotions, "read", counting)
    monkeypatch.setattr(planning, "MAX_READ", 55)
    assert len(home.plan(wish()).runs[0]["promotions"]) == 48
    assert len(read) == 55


def test_of_very_many_promotions_a_cycle_judges_what_its_answer_can_carry(home: Home) -> None:
    """A thousand files that somebody has dropped are judged one cycle after the other, and none is forgotten."""
    home.experiment()
    for nth in range(60):
        home.promote(f"good{nth}")
        home.promote(f"other{nth}", experiment="nonesuch")
    made = home.plan(wish())
    assert (len(made.rejected), len(made.runs[0]["promotions"])) == (24, 24)
    judged = {f"acknowledged|{one['id']}": 1.0 for one in (*made.rejected, *made.runs[0]["promotions"])}
    again = home.plan(wish(), judged)
    first, second = ({one["id"] for one in each.rejected} for each in (made, again))
    assert not first & second
    assert len(home.refused(wish(topic="nothing of this kind")).acknowledged) == 24


def test_a_cycle_begins_with_what_somebody_proposed_then_with_the_best_of_the_last(home: Home) -> None:
    """What earlier cycles found is not lost, unless the person allows it no more."""
    home.experiment()
    home.promote("mine", params={"x": 0.25})
    (run,) = home.plan(wish(), {"survivors|top": [{"x": 0.5}, {"x": 7.0}, {"y": 1}]}).runs
    assert run["seeds"] == [
        {"params": {"x": 0.25}, "from": "promotion:mine"},
        {"params": {"x": 0.5}, "from": "survivor"},
    ]


def test_a_trigger_that_fires_for_ever_finds_nothing_due(home: Home) -> None:
    """In the system before this one the same was measured every minute for ever."""
    home.experiment()
    (run,) = home.plan(wish()).runs
    ran = {"ran|top": {"at": 1e12, "fingerprint": run["fingerprint"]}}
    assert home.plan(wish(), ran).refused is None, "a clock that was set back"
    ran["ran|top"]["at"] = time.time()
    assert home.refused(wish(), ran).facts["reason"] == "nothing_due"
    assert home.plan(wish(person=True), ran).refused is None
    home.promote("again")
    assert home.plan(wish(), ran).refused is None
    assert home.plan(wish(), ran | {"acknowledged|again": 1.0}).refused is not None
    home.tuned("x: 0.7\n")
    assert home.plan(wish(), ran).refused is None, "another value is in use"
    busy = {"starts": [ran["ran|top"]["at"]] * 12}
    assert home.refused(wish(), busy).facts["reason"] == "no_budget"
    assert home.plan(wish(person=True), busy).refused is None
