"""A way into Ligand, and what came of what was put into it."""

from __future__ import annotations

import ctypes
import gc
import os
import random
import re
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from signals.errors import LigandError
from tests.fuzz.mutator import Mutator

TAKEN = "taken"
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|/\S+|[^a-zA-Z ]+")
MOST_SHAPES = 5000
CHECKS = 50
"""How often in a run the door is looked after, and its process's memory noted."""


class Door(ABC):
    """One door. `take` says TAKEN or raises a `LigandError`; all else is a finding."""

    name: str
    may_grow_kib = 8 * 1024
    """By how much its process may grow over the last three quarters of the inputs, as a line through it says."""

    @abstractmethod
    def seeds(self) -> Sequence[bytes]:
        """What is right, for the mutator to begin with."""

    @abstractmethod
    def take(self, raw: bytes) -> str:
        """Put one input in. Raises the refusal."""

    def pid(self) -> int:
        """The process whose memory must stay level."""
        return os.getpid()

    def settle(self) -> None:
        """Called now and then, and at the end: raise `AssertionError` when something is not as it must be."""
        return

    def close(self) -> None:
        """Clean up."""
        return


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that led to something else than an effect or a refusal."""

    raw: bytes
    error: str


@dataclass
class Tally:
    """What became of the inputs of one door: how many of each outcome, findings, memory (inputs, KiB) as it went."""

    door: str
    outcomes: Counter[str] = field(default_factory=Counter)
    shapes: set[str] = field(default_factory=set)
    findings: dict[str, Finding] = field(default_factory=dict)
    memory: list[tuple[int, int]] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """How many were put in."""
        return self.outcomes.total()


def fuzz(door: Door, inputs: int, seed: int) -> Tally:
    """Put so many inputs through a door; the same seed gives the same inputs."""
    chance = random.Random(f"{door.name} {seed}")
    mutator = Mutator(chance, door.seeds())
    tally = Tally(door.name)
    every = max(1, inputs // CHECKS)
    for nth in range(inputs):
        raw = mutator.draw()
        if _put(door, raw, tally):
            mutator.keep(raw)
        if nth % every == 0:
            _settle(door, raw, tally)
            tally.memory.append((nth, rss_kib(door.pid())))
    _settle(door, b"", tally)
    return tally


def _put(door: Door, raw: bytes, tally: Tally) -> bool:
    """Whether the answer is of a shape not seen before."""
    try:
        outcome = shape = door.take(raw)
    except LigandError as error:
        outcome = f"refused: {error.code}"
        shape = f"{outcome} {_VARYING.sub('_', error.message)[:80]}"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        outcome = shape = "FOUND"
        tally.findings.setdefault(_where(error), Finding(raw, "".join(traceback.format_exception(error))))
    tally.outcomes[outcome] += 1
    fresh = shape not in tally.shapes and len(tally.shapes) < MOST_SHAPES
    if fresh:
        tally.shapes.add(shape)
    return fresh


def _settle(door: Door, raw: bytes, tally: Tally) -> None:
    try:
        door.settle()
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        tally.findings.setdefault(_where(error), Finding(raw, "".join(traceback.format_exception(error))))


def _where(error: Exception) -> str:
    """One finding a kind and a place."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"


def rss_kib(pid: int) -> int:
    """Resident memory of a process; of this one without what was freed and only kept by the allocator."""
    if pid == os.getpid():
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
