"""A bus with one fault, which the proofs must find: `python -m tests.support.faulty FAULT` runs it.

A check that finds nothing must be able to find something.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from services.bus.deadfile import LetterFile
from services.bus.journaling import Journaling
from services.bus.lanes import Lane
from services.bus.server import main
from services.bus.store import Store


def _instead(owner: type, name: str, acts: Callable[..., Any]) -> None:
    patch.object(owner, name, acts).start()


def _forgets(owner: type, name: str) -> None:
    _instead(owner, name, lambda *_: None)


def forget_acknowledgements() -> None:
    """What was acknowledged is not written down."""
    _forgets(Store, "put_cursor")


def forget_what_stands_aside() -> None:
    """What was overtaken by a later acknowledgement, or failed, is not written down."""
    _forgets(Store, "put_aside")


def lose_deadlines() -> None:
    """That an answer is awaited is not written down."""
    _forgets(Store, "put_deadline")


def deliver_twice() -> None:
    """Each third signal that was settled comes once more."""
    settle = Lane.settle

    def again(lane: Lane, seq: int) -> None:
        hand = lane.in_hand.get(seq)
        settle(lane, seq)
        if hand is not None and lane.settled_count % 3 == 1:
            lane._append(hand.seq, hand.raw)

    _instead(Lane, "settle", again)


def commit_by_halves() -> None:
    """What a handler emits is on disk before the acknowledgement is."""
    write = Journaling.write

    def at_once(journaling: Journaling, *given: Any) -> list[int]:
        found = write(journaling, *given)
        journaling._state.store.commit()
        return found

    _instead(Journaling, "write", at_once)


def rename_unsynced() -> None:
    """The dead-letter file is replaced without a sync of its folder."""
    _forgets(LetterFile, "_sync_folder")


FAULTS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        forget_acknowledgements,
        forget_what_stands_aside,
        lose_deadlines,
        deliver_twice,
        commit_by_halves,
        rename_unsynced,
    )
}


def command(fault: str) -> tuple[str, ...]:
    """The arguments with which Python runs such a bus."""
    return ("-m", "tests.support.faulty", fault)


if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    main()
