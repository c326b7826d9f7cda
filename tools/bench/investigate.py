"""An investigation with a model, from a discovered module to its entry in the registry: how much of the time is the
model's own, and where the rest goes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from signals.envelope import Signal, decode, unix_seconds
from signals.journal import Journal
from tools.bench.home import BenchError, Home, opened
from tools.bench.load import pipeline
from tools.bench.report import Measured, Skipped, percentile
from tools.bench.talker import MODEL, Talker, talking

DAEMONS = ("policy_engine", "model_worker", "investigator", "capability_integrator")
DISCOVERED, INTEGRATED = "Q_MODULE_DISCOVERED", "Q_MODULE_INTEGRATED"
STEPS = {
    "policy": (DISCOVERED, "Q_CURIOSITY_INVESTIGATE"),
    "reading": ("Q_CURIOSITY_INVESTIGATE", "Q_MODEL_REQUEST"),
    "asking": ("Q_MODEL_REQUEST", "Q_MODEL_RESPONSE"),
    "concluding": ("Q_MODEL_RESPONSE", "Q_INVESTIGATION_COMPLETE"),
    "registering": ("Q_INVESTIGATION_COMPLETE", INTEGRATED),
}
"""From which signal to which each part of the time goes."""
WARM_UP = 2
PIECES, PAUSE_S = 20, 0.02
_CLAIM = {"text": "Looks after what grows.", "evidence": ["E1"]}
_MORE = {"integration_points": [], "risks": [], "confidence": 0.9, "unknowns": []}
SAYS = json.dumps({"purpose": _CLAIM, "capabilities": [_CLAIM], **_MORE})


def measure(within: Path, quick: bool) -> list[Measured] | Skipped:
    """Modules one after the other, each when the one before is in the registry."""
    missing = [name for name in DAEMONS if find_spec(f"services.{name}") is None]
    if missing:
        return Skipped("investigation", f"services/{missing[0]} is not part of this installation")
    modules = 3 if quick else 15
    size = -(-len(SAYS) // PIECES)
    pieces = [SAYS[start : start + size] for start in range(0, len(SAYS), size)]
    with opened(within, DAEMONS) as home, talking(pieces, PAUSE_S) as talker:
        _start(home, talker)
        stories = [_story(home, nth) for nth in range(WARM_UP + modules)][WARM_UP:]
        own = [1000 * seconds for seconds in talker.took[-modules:]]
    how = f"{modules} modules one at a time; {len(pieces)} pieces from a stand-in, each after {PAUSE_S} s"
    whole = [_took(story, (DISCOVERED, INTEGRATED)) for story in stories]
    beside = [all_of_it - model for all_of_it, model in zip(whole, own, strict=True)]
    parts = {name: [_took(story, ends) for story in stories] for name, ends in STEPS.items()}
    parts["asking"] = [asked - model for asked, model in zip(parts["asking"], own, strict=True)]
    return [
        Measured("investigation, discovered → integrated p50", percentile(whole, 50), "ms", None, how),
        Measured(
            "investigation, the model's own time p50", percentile(own, 50), "ms", None, "from question to last token"
        ),
        Measured("investigation, beside the model p50", percentile(beside, 50), "ms", None, "what is left"),
        *(
            Measured(f"investigation, of that {name} p50", percentile(took, 50), "ms", None, " → ".join(STEPS[name]))
            for name, took in parts.items()
        ),
    ]


def _start(home: Home, talker: Talker) -> None:
    root = home.folder / "root"
    root.mkdir()
    _write(home, "investigator", {"roots": [str(root)], "interpreter_library": False})
    server = {"base_url": talker.url, "model": MODEL, "structured": "json_schema"}
    _write(home, "model_worker@research", {"servers": [server]})
    home.manifest("bench_monitor", emits=[DISCOVERED])
    home.bus(instances={"model_worker": ["research"]})
    home.start("model_worker@research", "-m", "services.model_worker", "research")
    for daemon in ("policy_engine", "investigator", "capability_integrator"):
        home.start(daemon, "-m", f"services.{daemon}")


def _write(home: Home, daemon: str, config: Mapping[str, Any]) -> None:
    home.paths.config_of(daemon).write_text(yaml.safe_dump(dict(config)))


def _story(home: Home, nth: int) -> dict[str, Signal]:
    """Discover the nth module; what followed, by name, once it is integrated. Raises `BenchError` without a model."""
    folder = home.folder / "root" / f"module_{nth}"
    folder.mkdir()
    functions = "".join(f'def act_{n}(x: int) -> int:\n    """Do the {n}th thing."""\n\n\n' for n in range(20))
    (folder / "__init__.py").write_text(f'"""Looks after number {nth}."""\n\n\n{functions}')
    facts = {"module_name": folder.name, "module_path": str(folder), "py_files_count": 1, "has_init": True}
    with pipeline(home.paths.bus_socket) as client:
        client.emit(DISCOVERED, facts)
        client.drain()
    home.wait(lambda journal: journal.names().get(INTEGRATED, 0) > nth, 60)
    time.sleep(0.05)  # the last acknowledgement is none of the next one's time
    with Journal(home.paths.journal) as journal:
        signals = [decode(raw) for _, raw in journal.walk(0)]
    root = [one.id for one in signals if one.signal == DISCOVERED][-1]
    story = {one.signal: one for one in signals if one.correlation_id == root}
    if nth >= WARM_UP and "Q_MODEL_RESPONSE" not in story:
        raise BenchError(f"Module {nth} was investigated without the model: {sorted(story)}.")
    return story


def _took(story: Mapping[str, Signal], ends: tuple[str, str]) -> float:
    """Milliseconds from one signal of a story to another, as the bus stamped them."""
    began, ended = (unix_seconds(story[name].received_at or "") for name in ends)
    return 1000 * (ended - began)
