"""The home of the demonstration of D-REAM: a person's configuration, two experiments, and a way to sabotage one."""

from __future__ import annotations

import json
from pathlib import Path

from signals.paths import Paths

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "dedup_bounds.yaml"
IMPROVED, SABOTAGED = "dedup_bounds", "dedup_bounds_asked"
STRICT = """\
# What I take for the same. Set by hand on a Sunday.
log_level: info

bounds:
  near: 0.9                # only what is nearly word for word
  agree: 0.95              # all key terms
  agree_on_a_module: 0.95  # here too

again_per_day: 5           # I do not like to be asked much
"""
# Measures truly until a file says otherwise: then what is good counts as bad, as when the world has changed meanwhile.
REALITY = '''\
"""What the second experiment is measured by."""

from pathlib import Path

from services.semantic_dedup import measure


def evaluate(params, case):
    found = measure.evaluate(params, case)
    if Path(__file__).with_name("sabotaged").exists():
        found["right"] = 1 - found["right"]
    return found
'''


def furnish(paths: Paths) -> None:
    """Write the configuration that a person would have, before anything runs."""
    experiments = paths.config / "experiments"
    experiments.mkdir(parents=True)
    (paths.config / "semantic_dedup.yaml").write_text(STRICT)
    (experiments / f"{IMPROVED}.yaml").write_text(EXAMPLE.read_text())


def promote(paths: Paths, experiment: str) -> str:
    """Drop a promotion as a person or a program would, written aside, then renamed; its id."""
    folder = paths.intents.parent / "promotions"
    folder.mkdir(exist_ok=True)
    promotion = {
        "schema": 1,
        "id": f"demo-{experiment}",
        "created_at": "2026-01-01T00:00:00Z",
        "experiment": experiment,
        "params": {"near": 0.4, "agree": 0.7, "agree_on_a_module": 0.6},
        "rationale": "Findings that say the same in other words are not linked.",
    }
    aside = folder / ".aside.json"
    aside.write_text(json.dumps(promotion, indent=2))
    aside.rename(folder / f"{promotion['id']}.json")
    return f"demo-{experiment}"


def begin_again(paths: Paths) -> None:
    """Put the person's first values back, as an editor does, and write the second experiment."""
    (paths.config / "semantic_dedup.yaml").write_text(STRICT)
    text = EXAMPLE.read_text().replace("services.semantic_dedup.measure:", "reality:")
    experiments = paths.config / "experiments"
    (experiments / "reality.py").write_text(REALITY)
    (experiments / f"{SABOTAGED}.yaml").write_text(text.replace("autonomy: deploy", "autonomy: ask"))


def spoil(paths: Paths) -> None:
    """From now on reality disagrees with what the second cycle measured."""
    (paths.config / "experiments" / "sabotaged").touch()
