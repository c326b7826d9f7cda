"""The linking of findings: how long one takes among 10,000, and how good it is on labelled pairs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tools.bench.report import Measured, Skipped

MODULE = "services.semantic_dedup"


def measure(within: Path, quick: bool) -> list[Measured] | Skipped:
    """What `python -m services.semantic_dedup.measure` says, in a process of its own."""
    if find_spec(MODULE) is None:
        return Skipped("dedup", "services/semantic_dedup is not part of this installation")
    command = [sys.executable, "-m", f"{MODULE}.measure", *(["--quick"] if quick else [])]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, text=True, cwd=within).stdout)
    speed = found["speed"]
    how = f"one finding among {speed['findings']:,}, n-grams, processor time"
    return [
        Measured("dedup, lookup mean", 1000 * speed["mean_s"], "ms", None, how),
        Measured("dedup, lookup p99", 1000 * speed["p99_s"], "ms", None, how),
        Measured("dedup, memory of the findings", speed["memory_mib"], "MiB", None, f"{speed['findings']:,} findings"),
        *_quality(found["chosen_on"], "the pairs that the bounds were chosen on"),
        *_quality(found["held_out"], "pairs written afterwards"),
    ]


def _quality(found: dict[str, Any], which: str) -> list[Measured]:
    told = f"{found['pairs']} labelled pairs, {which}"
    scores = [(name, score) for name in ("duplicates", "contradictions") for score in ("precision", "recall")]
    scores.append(("embedding_alone", "precision"))
    few = "held out" if "afterwards" in which else "chosen on"
    return [
        Measured(f"dedup, {name.replace('_', ' ')} {score}, {few}", found[name][score], "", None, told)
        for name, score in scores
    ]
