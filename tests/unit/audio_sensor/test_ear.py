"""What the ear keeps and what it gives away."""

from __future__ import annotations

import gc
from types import FunctionType, ModuleType
from typing import Any

import pytest

from services.audio_sensor.segmenting import FRAME_BYTES, START_FRAMES, Bounds, frames_of
from tests.support.sound import engines, say

RING = (frames_of(Bounds().pre_roll_s) + START_FRAMES) * FRAME_BYTES


@pytest.fixture
def ear() -> Any:
    engines()
    from services.audio_sensor.ear import Ear  # noqa: PLC0415 - only with the extra

    return Ear("", Bounds())


def kept(ear: object) -> int:
    """Bytes of sound that can be reached from it, wherever they are."""
    found, seen, waiting = 0, set(), [ear.__dict__]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType, FunctionType)):
            continue
        seen.add(id(one))
        if type(one).__name__ == "ndarray" or (isinstance(one, (bytes, bytearray)) and len(one) >= FRAME_BYTES // 8):
            found += len(memoryview(one).cast("B"))  # type: ignore[arg-type]
        waiting += gc.get_referents(one)
    return found


def test_without_attention_nothing_is_kept_but_the_ring_and_nothing_is_given_away(ear, capfdbinary) -> None:
    """What is said in a room while nobody turns to the machine is gone half a second later."""
    speech = say("the train leaves at half past nine") * 5
    for at in range(0, len(speech), 1000):  # in blocks that are no whole frames
        ear.hear(speech[at : at + 1000])
        assert kept(ear) <= RING + FRAME_BYTES
    assert kept(ear) >= RING - FRAME_BYTES  # it does hear
    assert capfdbinary.readouterr().out == b""


def test_when_attention_ends_only_what_was_begun_is_given_away(ear, capfdbinary) -> None:
    """Who looks away in the middle of a sentence has said the first half of it, and no word more."""
    speech = say("tell me what happened last night and then read the news to me")
    half = len(speech) // 2 // FRAME_BYTES * FRAME_BYTES
    ear.obey({"op": "attend", "on": True})
    ear.hear(speech[:half])
    assert kept(ear) > RING
    ear.obey({"op": "attend", "on": False})
    ear.hear(speech[half:])
    assert kept(ear) <= RING + FRAME_BYTES
    told = capfdbinary.readouterr().out
    assert told.count(b'"is":"utterance"') == 1
    assert len(told) < half + 1000
