"""How good and how fast it is: `python -m services.semantic_dedup.measure`, one JSON object on standard output."""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from services.semantic_dedup import logic, ngrams
from services.semantic_dedup.index import Index
from services.semantic_dedup.logic import Bounds, Compared, Finding

FINDINGS = 10_000
LOOKUPS = 200
SETS = ("chosen_on", "held_out")
USUAL = Bounds(ngrams.NEAR)
_KIND = {"same": "duplicate", "contradiction": "contradiction", "other": "other"}
_WORDS = " ".join(
    (
        "camera microphone door window garden boiler heating light lamp server backup photo mail calendar phone",
        "printer disk memory network sensor battery key lock visitor picture report log rule signal journal",
        "branch commit port invoice folder record watch open close read write send count start stop check copy move",
    )
).split()


def labelled(kept: str) -> list[dict[str, str]]:
    """Pairs of texts about one subject, judged by hand: same, contradiction or other.

    `kept` is chosen_on, the pairs that the bounds were chosen on, held_out, which were written afterwards, or all.
    """
    text = resources.files("services.semantic_dedup").joinpath("labelled.json").read_text(encoding="utf-8")
    found: list[dict[str, str]] = json.loads(text)
    return [pair for pair in found if kept in ("all", pair["set"])]


def judged(pair: Mapping[str, str], bounds: Bounds = USUAL) -> Compared:
    """A pair as the daemon judges it by n-grams."""
    one, other = (Finding(name, name, pair["subject"], "?", pair[name], "static") for name in ("one", "other"))
    value = ngrams.cosine(ngrams.vector(one.text), ngrams.vector(other.text))
    return logic.compare(one, other, value, bounds)


def quality(pairs: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Precision and recall of duplicates, and of duplicates by the embedding alone, for comparison."""
    found = [(pair["is"], judged(pair)) for pair in pairs]
    alone = [(is_, "duplicate" if how.similarity >= ngrams.NEAR else "other") for is_, how in found]
    return {
        "pairs": len(pairs),
        "duplicates": _scores([(is_ == "same", how.kind == "duplicate") for is_, how in found]),
        "contradictions": _scores([(is_ == "contradiction", how.kind == "contradiction") for is_, how in found]),
        "embedding_alone": _scores([(is_ == "same", kind == "duplicate") for is_, kind in alone]),
    }


def evaluate(parameters: Mapping[str, Any], case: str) -> dict[str, float]:
    """How `parameters`, some of the bounds, judge one part of the labelled pairs: `all 3/16` or `held_out 1/4`.

    Gives `right`, the share of pairs judged as they were by hand, and `wrong_links`, the share linked as saying the
    same that do not. For an experiment of D-REAM.
    """
    kept, _, part = case.partition(" ")
    nth, _, parts = part.partition("/")
    pairs = labelled(kept)[int(nth) - 1 :: int(parts)]
    bounds = replace(USUAL, **{name: float(value) for name, value in parameters.items()})
    found = [(_KIND[pair["is"]], judged(pair, bounds).kind) for pair in pairs]
    return {
        "right": sum(is_ == told for is_, told in found) / len(found),
        "wrong_links": sum(told == "duplicate" != is_ for is_, told in found) / len(found),
    }


def _scores(found: Sequence[tuple[bool, bool]]) -> dict[str, float]:
    hits = sum(1 for is_, told in found if is_ and told)
    told, there = sum(told for _, told in found), sum(is_ for is_, _ in found)
    return {"precision": round(hits / max(1, told), 3), "recall": round(hits / max(1, there), 3)}


def made_up(count: int, seed: int = 1) -> list[Finding]:
    """Findings as they come: half about one of many modules, half about nothing that has a name."""
    draw = random.Random(seed)
    found = []
    for nth in range(count):
        text = " ".join(draw.choices(_WORDS, k=24))
        subject = f"module_{draw.randrange(count // 8 + 1)}" if nth % 2 else ""
        found.append(Finding(f"f{nth}", f"q{nth}", subject, text[:60], text, "model"))
    return found


def speed(count: int = FINDINGS, lookups: int = LOOKUPS) -> dict[str, Any]:
    """Seconds of processor time that one new finding takes among `count`, the slowest of `lookups` too."""
    with tempfile.TemporaryDirectory() as folder:
        before = _rss_mib()
        index = Index(Path(folder) / "findings.jsonl")
        for finding in made_up(count):
            index.keep(finding)
        grown = _rss_mib() - before
        took = [_one(index, finding) for finding in made_up(lookups, seed=2)]
    p99 = sorted(took)[int(len(took) * 0.99)]
    return {"findings": count, "mean_s": sum(took) / len(took), "p99_s": p99, "memory_mib": grown}


def _rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1048576


def _one(index: Index, finding: Finding) -> float:
    began = time.process_time()
    old = [one for one in index.candidates(finding) if logic.agree(finding, one, USUAL)]
    for one, value in zip(old, ngrams.similarities(finding.text, [each.text for each in old]), strict=True):
        logic.compare(finding, one, value, USUAL)
    return time.process_time() - began


if __name__ == "__main__":
    SIZE = (500, 20) if "--quick" in sys.argv else (FINDINGS, LOOKUPS)
    print(json.dumps({**{kept: quality(labelled(kept)) for kept in SETS}, "speed": speed(*SIZE)}))
