"""The two acts of the demonstration of D-REAM, and what must have happened in each."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import yaml

from signals.paths import Paths
from tools.demo import dream_home
from tools.demo.checks import Check
from tools.signal_tap.following import Tail
from tools.signal_tap.output import Output
from tools.signal_tap.rendering import Painter

Envelope = dict[str, Any]
QUIET = frozenset({"Q_POLICY_DUE"})
HELD_OUT = tuple(f"all {nth}/16" for nth in range(5, 17))


@dataclass(slots=True)
class Stage:
    """Where the acts play; `seen` is every durable signal so far. `deadline` is on the monotonic clock."""

    paths: Paths
    tail: Tail
    paint: Painter
    output: Output
    deadline: float
    seen: list[Envelope] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """The file that is tuned."""
        return self.paths.config / "semantic_dedup.yaml"

    def until(self, *names: str) -> Envelope | None:
        """Show what comes until a signal of one of these names does; None when the time is over."""
        while time.monotonic() < self.deadline:
            for envelope in self._new():
                if envelope["signal"] in names:
                    return envelope
            self.tail.wait(0.5)
        return None

    def _new(self) -> Iterable[Envelope]:
        for _, raw in self.tail.rows():
            envelope = orjson.loads(raw)
            self.seen.append(envelope)
            if envelope["signal"] not in QUIET:
                self.output.line(self.paint.short(raw))
            yield envelope

    def named(self, name: str) -> list[Envelope]:
        """All signals of a name so far."""
        return [envelope for envelope in self.seen if envelope["signal"] == name]

    def command(self, *argv: str) -> None:
        """Run a `ligand` command of this home, as a person would."""
        self.output.line(self.paint.paint(f"$ ligand {' '.join(argv)}", "cyan"))
        home = ("--home", str(self.paths.home))
        subprocess.run([sys.executable, "-m", "tools.ligand", *argv, *home], check=True, stdout=subprocess.DEVNULL)

    def measured(self) -> float:
        """How well the file's present bounds judge the pairs that were held out, measured here and now."""
        params = json.dumps(yaml.safe_load(self.file.read_text())["bounds"])
        found = [_evaluated(params, case) for case in HELD_OUT]
        return sum(found) / len(found)


def _evaluated(params: str, case: str) -> float:
    entry = "services.semantic_dedup.measure:evaluate"
    done = subprocess.run(
        [sys.executable, "-m", "services.experiments.called", ".", entry],
        input=params,
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "LIGAND_CASE": case},
    )
    return float(json.loads(done.stdout)["right"])


def improve(stage: Stage) -> list[Check]:
    """From a dropped promotion to a better value in a person's file."""
    before, text = stage.measured(), stage.file.read_text()
    promotion = dream_home.promote(stage.paths, dream_home.IMPROVED)
    ended = stage.until("Q_WINNER_DEPLOYED", "Q_DEPLOYMENT_FAILED", "Q_DREAM_FAILED", "Q_DREAM_TIMEOUT")
    deployed = ended["facts"] if ended and ended["signal"] == "Q_WINNER_DEPLOYED" else {"changes": {}}
    waiting = [one for one in stage.named("Q_PROMOTIONS_DETECTED") if one["facts"]["unacknowledged_count"]]
    triggers = stage.named("Q_DREAM_TRIGGER")
    cycles = [one for done in stage.named("Q_DREAM_COMPLETE") for one in done["facts"]["experiments"]]
    acknowledged = [one["facts"]["promotion_id"] for one in stage.named("Q_PROMOTION_ACKNOWLEDGED")]
    return [
        Check("the promotion was told of once, and started one cycle", [len(waiting), len(triggers)] == [1, 1]),
        Check("a winner was better on pairs that were held out, by more than chance", _significant(cycles)),
        Check("the file has the winner's values, and every other byte of it is the person's", _kept(text, stage)),
        Check("what was deployed is what stands in the file", _is_in(deployed["changes"], stage)),
        Check("semantic_dedup uses it", _used(stage)),
        Check(
            f"measured again it is better: {before:.2f} before, {stage.measured():.2f} now", stage.measured() > before
        ),
        Check("the promotion is acknowledged", acknowledged == [promotion]),
    ]


def sabotage(stage: Stage) -> list[Check]:
    """A winner that reality disagrees with by the time that a person approves it."""
    dream_home.begin_again(stage.paths)
    digest = _sha256(stage.file)
    dream_home.promote(stage.paths, dream_home.SABOTAGED)
    stage.command("dream", "run", dream_home.SABOTAGED)
    cycle = stage.until("Q_DREAM_COMPLETE", "Q_DREAM_FAILED", "Q_DREAM_TIMEOUT")
    proposed = stage.until("Q_DEPLOYMENT_PROPOSED") if cycle and cycle["facts"].get("winners") else None
    untouched = _sha256(stage.file) == digest
    ended = None
    if proposed:
        dream_home.spoil(stage.paths)
        stage.command("deploy", "approve", proposed["facts"]["deployment_id"])
        ended = stage.until("Q_WINNER_DEPLOYED", "Q_DEPLOYMENT_FAILED")
    facts = ended["facts"] if ended else {}
    return [
        Check(
            "the second winner waited for a person, and nothing was changed meanwhile",
            proposed is not None and untouched,
        ),
        Check("measured in place it was worse, and was taken back", facts.get("rolled_back") is True),
        Check("the file is byte for byte what it was", _sha256(stage.file) == digest),
        Check("semantic_dedup uses the old values again", _used(stage)),
    ]


def _significant(cycles: Iterable[dict[str, Any]]) -> bool:
    return [one["significant"] for one in cycles if one["name"] == dream_home.IMPROVED] == [True]


def _kept(text: str, stage: Stage) -> bool:
    now, before = stage.file.read_text().splitlines(), text.splitlines()
    changed = [one.split(":")[0].strip() for one, other in zip(before, now, strict=True) if one != other]
    comments = [one.partition("#")[2] for one in before] == [one.partition("#")[2] for one in now]
    return comments and set(changed) <= {"near", "agree", "agree_on_a_module"} and bool(changed)


def _is_in(changes: dict[str, dict[str, Any]], stage: Stage) -> bool:
    bounds = yaml.safe_load(stage.file.read_text())["bounds"]
    new = {key.removeprefix("bounds."): change["new"] for key, change in changes.items()}
    return bool(new) and all(bounds[key] == value for key, value in new.items())


def _used(stage: Stage) -> bool:
    """Whether the last configuration that semantic_dedup took is the file as it stands."""
    told = [one["facts"] for one in stage.named("Q_CONFIGURATION_RELOADED")]
    mine = [facts for facts in told if facts["daemon"] == "semantic_dedup"]
    return bool(mine) and mine[-1].get("sha256") == _sha256(stage.file)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
