"""The linking of findings: how long one takes among 10,000, and how good it is on labelled pairs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tools.bench.report import Measured, Skipped

MODULE = "services.semantic_dedup"


def measure(within: Path, quick: bool) -> list[Measured] | Skipped:
    """What `python -m services.semantic_dedup.measure` says, in a process of its own."""
    if find_spec(MODULE) is None:
        return Skipped("dedup", "services/semantic_dedup is not part of this installation")
    command = [sys.executable, "-m", f"{MODULE}.measure", *(["--quick"] if quick else [])]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, text=True, cwd=within).stdout)
    speed, quality = found["speed"], found["quality"]
    how = f"one finding among {speed['findings']:,}, n-grams, processor time"
    pairs = f"{quality['pairs']} labelled pairs, the ones that the bounds were chosen on"
    return [
        Measured("dedup, lookup mean", 1000 * speed["mean_s"], "ms", None, how),
        Measured("dedup, lookup p99", 1000 * speed["p99_s"], "ms", None, how),
        Measured("dedup, memory of the findings", speed["memory_mib"], "MiB", None, f"{speed['findings']:,} findings"),
        *(
            Measured(f"dedup, {name} {score}", quality[name][score], "", None, pairs)
            for name in ("duplicates", "contradictions")
            for score in ("precision", "recall")
        ),
        Measured("dedup, precision of the embedding alone", quality["embedding_alone"]["precision"], "", None, pairs),
    ]
