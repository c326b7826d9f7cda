"""What is done to which process, and when: drawn from a seed alone, before anything runs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Act = Literal["kill", "freeze", "outage"]
FREEZES = 0.12
"""How many decisions beside the kills freeze a process (SIGSTOP) and thaw it (SIGCONT)."""
LONGEST_FREEZE_S = 2.0


@dataclass(frozen=True, slots=True)
class Decision:
    """`after` signals have been journaled since the last decision, and `then_s` later, `act` befalls `victim`.

    A kill: `awaits` whether the process that takes the place must be ready before the next decision. A freeze or an
    outage lasts `for_s` seconds; an outage has the bus stopped (`frozen`) or killed and not started.
    """

    act: Act
    victim: str
    after: int
    then_s: float
    awaits: bool = True
    for_s: float = 0.0
    frozen: bool = False


def decide(seed: int, kills: int, names: Sequence[str], outage_s: float) -> list[Decision]:
    """All decisions of a run: so many kills, freezes among them, and the bus away twice, frozen and killed."""
    chance = random.Random(seed)
    found: list[Decision] = []
    killed = 0
    while killed < kills:
        if chance.random() < FREEZES:
            found.append(_freeze(chance, names))
            continue
        found.append(_kill(chance, names))
        killed += 1
    for part, frozen in ((2 / 3, False), (1 / 3, True)):
        found.insert(int(len(found) * part), Decision("outage", "bus", 3, 0.0, for_s=outage_s, frozen=frozen))
    return found


def _kill(chance: random.Random, names: Sequence[str]) -> Decision:
    victim = chance.choice(names)
    after, then_s = chance.randrange(40), chance.random() * 0.02
    return Decision("kill", victim, after, then_s, awaits=chance.random() < 0.4)


def _freeze(chance: random.Random, names: Sequence[str]) -> Decision:
    victim = chance.choice(names)
    after, then_s = chance.randrange(40), chance.random() * 0.02
    return Decision("freeze", victim, after, then_s, for_s=chance.random() * LONGEST_FREEZE_S)
