"""D-REAM cycles on a real bus. If this fails, a proposal is lost, work is done twice, or chance wins."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from signals.envelope import Signal
from signals.live import Subscription
from tests.live.advisory_monitor.conftest import CHECKS
from tests.support import commands
from tests.support.commands import Done
from tests.support.constellation import ROOT, Constellation, Running, constellation, others

ENDS = ("Q_DREAM_COMPLETE", "Q_DREAM_FAILED")
CASES = {"tuning": ["a"], "held_out": ["c", "d", "e", "f", "g"]}
PLAIN = """
import json, os
params = json.load(open(0))
with open("measured.jsonl", "a") as log:
    log.write(json.dumps([params["x"], os.environ["LIGAND_CASE"]]) + "\\n")
HOOK
print(json.dumps({"score": 1 - (params["x"] - 0.3) ** 2, "safe": 1 - params["x"]}))
"""


class Dreams:
    """A bus, experiments in the configuration folder, promotions beside the drop folder."""

    def __init__(self, home: Constellation) -> None:
        self.home = home
        self.folder = home.paths.config / "experiments"
        self.promotions = home.paths.intents.parent / "promotions"
        self.folder.mkdir(parents=True)
        self.promotions.mkdir()
        (home.paths.config / "tuned.yaml").write_text("x: 0.8  # by hand\n")

    def experiment(self, name: str = "plain", *, hook: str = "", trials: int = 6, **changed: Any) -> None:
        (self.folder / f"{name}.py").write_text(PLAIN.replace("HOOK", hook))
        whole = {
            "about": "where the top is",
            "target": {"file": "tuned.yaml", "format": "yaml", "keys": {"x": "x"}},
            "search_space": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
            "evaluate": {"command": ["python3", "-S", f"{name}.py"], "repeats": 1, "cases": CASES},
            "objective": {"metrics": {"score": "maximize"}, "guardrails": {"safe": {"min": 0.05}}},
            "budget": {"trials": trials},
        }
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(whole | changed, sort_keys=False))

    def promote(self, name: str, x: object, experiment: str = "plain") -> None:
        said = {"schema": 1, "id": name, "created_at": "2026-01-01T00:00:00Z", "experiment": experiment}
        (self.promotions / f"{name}.json").write_text(json.dumps({**said, "params": {"x": x}}))

    def trigger(self, *, reason: str = "promotions", experiment: str | None = None) -> Signal:
        facts: dict[str, Any] = {"reason": reason, "topic": None, "promotion_count": 1}
        return self._emit("Q_DREAM_TRIGGER", facts, experiment)

    def ask(self, experiment: str) -> Signal:
        return self._emit("Q_DREAM_WANTED", {"reason": "asked", "topic": None}, experiment)

    def _emit(self, name: str, facts: dict[str, Any], experiment: str | None) -> Signal:
        whole = facts | ({"experiment": experiment} if experiment else {})
        with self.home.emitter() as emitter:
            signal = emitter.signal(name, whole)
            emitter.emit(signal)
        return signal

    def command(self, *arguments: str) -> Done:
        """`ligand dream ...` as a person runs it."""
        return commands.ligand(None, "dream", *arguments, "--home", str(self.home.home))

    def watch(self) -> None:
        """Have the monitor look at the promotions, and at nothing else."""
        off = {name: {"enabled": False} for name in CHECKS}
        self.home.config("advisory_monitor", off | {"promotions": {"interval_s": 0.1, "settle_s": 0.2}})
        self.home.daemon("advisory_monitor").ready()

    def start(self) -> Running:
        return self.home.daemon("dream_runner").ready()

    def end_of(self, trigger: Signal) -> Signal:
        """What answered a trigger; that it is one alone."""
        deadline = time.monotonic() + 300
        with Subscription(self.home.paths.mirror_socket, ENDS) as woken:
            while not (found := self._ends(trigger)):
                assert time.monotonic() < deadline, self.home.running[-1].tail()
                woken.wait(2.0)
        (end,) = found
        return end

    def _ends(self, trigger: Signal) -> list[Signal]:
        return [one for one in self.home.signals(*ENDS) if one.causation_id == trigger.id]

    def judged(self) -> dict[str, tuple[str, str]]:
        found = [one.facts for one in self.home.signals("Q_PROMOTION_ACKNOWLEDGED")]
        assert len({one["promotion_id"] for one in found}) == len(found), "a promotion was judged twice"
        return {one["promotion_id"]: (one["verdict"], one["reason"]) for one in found}

    def measured(self) -> Counter[tuple[float, str]]:
        log = self.folder / "measured.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        return Counter((x, case) for x, case in map(json.loads, lines))


@pytest.fixture
def dreams(tmp_path: Path) -> Iterator[Dreams]:
    with constellation(tmp_path) as home:
        home.config("bus", {"disable": others("dream_runner", "advisory_monitor")})
        home.bus()
        yield Dreams(home)


def rejected(judged: dict[str, tuple[str, str]], names: Sequence[str]) -> list[str]:
    assert {judged[name][0] for name in names} == {"rejected"}
    return [judged[name][1] for name in names]


def test_a_promotion_is_tried_proven_and_acknowledged_and_nothing_runs_for_ever(dreams: Dreams) -> None:
    """From a proposal to a proven winner, each proposal with its verdict; triggers that follow find nothing to do."""
    dreams.experiment()
    dreams.promote("good", 0.3)
    dreams.promote("unsafe", 0.97)
    dreams.promote("outside", 7)
    dreams.promote("strange", 0.5, experiment="nonesuch")
    dreams.promote("huge", 10**400)
    half = {"schema": 1, "id": "\ud800", "created_at": "x", "experiment": "plain", "params": {"x": 0.3}}
    (dreams.promotions / "half.json").write_text(json.dumps(half))
    (dreams.promotions / "link.json").symlink_to("/etc/hostname")
    os.mkfifo(dreams.promotions / "pipe.json")
    os.utime(dreams.promotions / "huge.json", (0, 0))
    os.utime(dreams.promotions / "half.json", (0, 0))
    (dreams.promotions / "broken.json").write_text("{")
    os.utime(dreams.promotions / "broken.json", (0, 0))
    (dreams.folder / f"{'n' * 200}.yaml").write_text("a: [")
    dreams.watch()
    dreams.home.wait_for("Q_PROMOTIONS_DETECTED", unacknowledged_count=7)
    dreams.start()
    first, second = dreams.trigger(), dreams.trigger()
    end = dreams.end_of(first)
    assert end.signal == "Q_DREAM_COMPLETE"
    (winner,), (tried,) = end.facts["winners"], end.facts["experiments"]
    assert (winner["experiment"], winner["target"], winner["params"]) == ("plain", "tuned.yaml", {"x": 0.3})
    assert winner["fitness"] == pytest.approx(1.0)
    assert winner["baseline_fitness"] == pytest.approx(0.75)
    assert (tried["trials"], tried["significant"], tried["p_value"]) == (6, True, 1 / 32)

    judged = dreams.judged()
    assert judged.keys() == {"good", "unsafe", "outside", "strange", "broken", "huge", "half"}
    assert judged["good"][0] == "accepted"
    unsafe, outside, strange, broken = rejected(judged, ["unsafe", "outside", "strange", "broken"])
    assert "crosses a guardrail: safe is" in unsafe
    assert "x is 7, outside 0 to 1" in outside
    assert "there is no experiment nonesuch" in strange
    assert "not JSON" in broken
    huge, half_named = rejected(judged, ["huge", "half"])
    assert "params.x: " in huge
    assert "half a character" in half_named

    (seen,) = dreams.home.wait_for("Q_PROMOTIONS_DETECTED", unacknowledged_count=0)
    assert seen.facts["promotion_count"] == 7, "the monitor reports none of what was judged, though all lies there"
    (unusable,) = end.facts["failed"]
    assert (unusable["experiment"], unusable["reason"]) == (f"{'n' * 63}…", "not_usable")

    folded = dreams.end_of(second)
    assert (folded.signal, folded.facts["winners"]) == ("Q_DREAM_COMPLETE", [])
    assert folded.facts["folded_into"] == end.facts["cycle_id"]

    before = dreams.measured()
    for _ in range(5):  # one that fires every minute, for ever
        late = dreams.end_of(dreams.trigger())
        assert (late.signal, late.facts["reason"]) == ("Q_DREAM_FAILED", "nothing_due")
    assert dreams.measured() == before
    assert dreams.judged() == judged

    record = dreams.home.paths.state_of("dream_runner") / "cycles" / end.facts["cycle_id"]
    assert (record / "plain.svg").read_text().startswith("<svg")
    assert json.loads((record / "plain.json").read_text())["winner"]["params"] == {"x": 0.3}


def test_a_cycle_goes_on_where_it_was_when_the_runner_is_killed(dreams: Dreams) -> None:
    """A night's trials must not begin anew after a crash, nor a winner be told twice."""
    gate, reached, at = dreams.folder / "gate", dreams.folder / "reached", dreams.folder / "at"
    os.mkfifo(gate)
    os.mkfifo(reached)
    now = 'os.path.exists("reached") and sum(1 for _ in open("measured.jsonl")) == int(open("at").read())'
    dreams.experiment(hook=f'if {now}:\n    open("reached", "w").close()\n    open("gate").read()', trials=8)
    trigger = None
    for nth in (1, 5, 14):  # while the baseline is measured, a candidate is tried, the best one is proven
        at.write_text(str(nth))
        running = dreams.start()
        trigger = trigger or dreams.trigger()
        reached.read_text()  # until that measurement has begun
        running.kill()
    reached.unlink()
    dreams.start()
    assert trigger is not None
    end = dreams.end_of(trigger)
    after = dreams.measured()
    assert end.facts["experiments"][0]["trials"] == 8
    again = [key for key, times in after.items() if times > 1]
    assert len(again) <= 3, f"measured again: {again}"
    assert sum(after.values()) <= 1 + 8 + 10 + 3
    assert len(dreams.home.signals("Q_DREAM_COMPLETE")) == 1


def test_failed_evaluations_never_win(dreams: Dreams) -> None:
    """In the system before this one a trial that failed had the fitness -1e18, and such a one was deployed."""
    dreams.experiment("failing", hook='if params["x"] != 0.8: raise SystemExit(3)', trials=3)
    sentinel = 'if params["x"] != 0.8:\n    print(json.dumps({"score": -1e18, "safe": 1})); raise SystemExit'
    objective = {"metrics": {"score": "minimize"}}
    dreams.experiment("sentinel", hook=sentinel, trials=3, objective=objective)
    dreams.experiment("constant", hook='print(json.dumps({"score": 0.9, "safe": 1})); raise SystemExit', trials=3)
    slow = {"command": ["python3", "-S", "slow.py"], "repeats": 1, "timeout_s": 2, "cases": CASES}
    hook = 'if params["x"] not in (0.8, 0.3): import time; time.sleep(60)'
    budget = {"trials": 5, "wall_clock_s": 2}
    dreams.experiment("slow", hook=hook, evaluate=slow, budget=budget, objective=objective)
    dreams.promote("quick", 0.3, experiment="slow")
    once = 'if params["x"] != 0.8 and not os.path.exists("edited"):\n    open("edited", "w")\n    '
    dreams.experiment("own", hook=f'{once}open("own.py", "a").write("#")', trials=2)
    dreams.start()
    end = dreams.end_of(dreams.trigger())
    found = {one["name"]: one for one in end.facts["experiments"]}
    assert end.facts["winners"] == []
    assert found["failing"]["failed_trials"] == found["sentinel"]["failed_trials"] == 3
    assert "every one of 3 trials failed, most of them: exit_status" in found["failing"]["verdict"]
    assert "metric_not_plausible" in found["sentinel"]["verdict"]
    assert "none of the candidates looked better" in found["constant"]["verdict"]
    assert {found[name]["best"] for name in ("failing", "sentinel", "constant")} <= {0.75, 0.9}
    slow = found["slow"]
    assert (slow["trials"], slow["failed_trials"]) == (1, 0), "what the budget has cut off is no result"
    assert "own" not in found, "a script that was edited meanwhile has measured two different things"
    (edited,) = end.facts["failed"]
    assert (edited["experiment"], edited["reason"]) == ("own", "experiment_changed")
    again = dreams.end_of(dreams.trigger())
    assert [one["name"] for one in again.facts["experiments"]] == ["own"], "by what stands there now it is due"


def test_what_cannot_be_run_is_told_and_what_is_mended_runs(dreams: Dreams) -> None:
    """A mistyped experiment, one whose baseline fails, a name nobody knows: each is answered with what to do."""
    dreams.start()
    none = dreams.end_of(dreams.trigger())
    assert none.facts["reason"] == "no_experiments"
    dreams.experiment(trials=1, budget={"trials": 0})
    broken = dreams.end_of(dreams.trigger())
    assert broken.facts["reason"] == "experiment_failed"
    assert "plain.yaml:" in broken.facts["detail"]
    assert "budget.trials: must be at least 1" in broken.facts["detail"]
    unknown = dreams.end_of(dreams.ask("nonesuch"))
    assert unknown.facts["reason"] == "no_such_experiment"
    dreams.experiment(hook="raise SystemExit(9)", trials=1)
    failing = dreams.end_of(dreams.trigger())
    assert failing.facts["reason"] == "baseline_failed"
    again = dreams.end_of(dreams.trigger())
    assert again.facts["reason"] == "nothing_due", "a baseline that fails must not be tried every minute"
    dreams.experiment(trials=1, objective={"metrics": {"score": "maximize"}})
    mended = dreams.end_of(dreams.trigger())
    assert mended.signal == "Q_DREAM_COMPLETE", "a script that was mended makes its experiment due"
    asked = dreams.command("run", "plain", "--wait")
    assert asked.code == 0, asked.err
    assert "1/1" in asked.err, "the progress is not shown"
    assert "Ctrl-C ends the waiting, not the cycle" in asked.err
    (cycle,) = [line.split(":")[0] for line in asked.lines if line.startswith("c-")]
    (shown,) = dreams.command("show", cycle[:-1], "-o", "json").objects
    assert shown["experiments"][0]["trials"] == len(shown["records"][0]["trials"]) == 1
    assert shown["records"][0]["trials"][0]["from"] == "survivor", "the best of the earlier cycle comes first"
    (measured_by,) = shown["records"][0]["programs"].items()
    assert measured_by == ("plain.py", sha256((dreams.folder / "plain.py").read_bytes()).hexdigest())
    assert f"measured by plain.py (SHA-256 {measured_by[1][:12]}" in dreams.command("show", cycle[:-1]).text
    assert cycle in dreams.command("list").text
    assert "there are: plain" in dreams.command("run", "nonesuch").err


def test_without_the_optimiser_it_says_so_and_works_once_it_is_there(dreams: Dreams) -> None:
    """A person who lacks a package must learn which, and need not restart anything."""
    missing = dreams.home.home / "missing" / "optuna.py"
    missing.parent.mkdir()
    missing.write_text('raise ImportError("no module named optuna")\n')
    dreams.experiment(trials=1)
    dreams.home.daemon("dream_runner", PYTHONPATH=f"{missing.parent}:{ROOT}").ready()
    failed = dreams.end_of(dreams.trigger())
    assert (failed.facts["reason"], failed.facts["retryable"]) == ("engine_missing", True)
    assert "pip install optuna" in failed.facts["detail"]
    missing.unlink()
    assert dreams.end_of(dreams.trigger()).signal == "Q_DREAM_COMPLETE"
