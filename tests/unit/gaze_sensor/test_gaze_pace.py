"""Which frames are looked at: all while something changes, fewer when nothing does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from services.gaze_sensor.engine.pace import Pace
from services.gaze_sensor.geometry import LEFT_CHEEK, LEFT_EYE, RIGHT_CHEEK, USED

FPS = 15
Face = Mapping[int, Sequence[float]]


def face(x: float = 0.5, lid: float = 0.0) -> Face:
    """One 0.2 wide, of which nothing matters but where its landmarks are."""
    found = {at: [x, 0.5, 0.0] for at in USED} | {RIGHT_CHEEK: [x - 0.1, 0.5, 0.0], LEFT_CHEEK: [x + 0.1, 0.5, 0.0]}
    found[LEFT_EYE.lids[0][0]] = [x, 0.5 + lid, 0.0]
    return found


def looked_at(seen: Callable[[int], list[Face]], seconds: float) -> list[bool]:
    """For each frame whether it was looked at; `seen`: number of the frame -> the faces in it."""
    pace, looks = Pace(), []
    for nth in range(round(seconds * FPS)):
        looks.append(not pace.rests(nth / FPS))
        if looks[-1]:
            pace.note(nth / FPS, seen(nth))
    return looks


def test_every_frame_counts_while_a_face_moves() -> None:
    assert all(looked_at(lambda nth: [face(0.3 + 0.01 * nth)], 2.0))


def test_every_other_frame_of_a_calm_face_is_looked_at_after_half_a_second() -> None:
    looks = looked_at(lambda nth: [face(0.5 + 0.002 * (nth % 2))], 3.0)
    assert all(looks[:9])
    assert looks[9:] == [nth % 2 == 1 for nth in range(len(looks) - 9)]


@pytest.mark.parametrize("at", [30, 31])
@pytest.mark.parametrize("changed", [face(0.52), face(lid=0.009)], ids=["moves", "closes its eyes"])
def test_a_calm_face_that_changes_is_looked_at_again_a_frame_later_at_most(changed: Face, at: int) -> None:
    looks = looked_at(lambda nth: [face() if nth < at else changed], 4.0)
    assert looks[at] or looks[at + 1]
    assert all(looks[at + 1 : at + 8])


def test_one_who_goes_is_missed_a_frame_later_at_most_and_one_frame_in_three_waits_for_the_next() -> None:
    looks = looked_at(lambda nth: [face()] if nth < 30 else [], 6.0)
    assert looks[30] or looks[31]
    assert all(looks[31:45])
    assert looks[60:].count(True) * 3 in range(len(looks[60:]) - 3, len(looks[60:]) + 4)


def test_one_who_comes_after_a_while_is_seen_within_three_frames_and_every_frame_counts_again() -> None:
    looks = looked_at(lambda nth: [face()] if nth >= 60 else [], 6.0)
    seen = next(nth for nth in range(60, 90) if looks[nth])
    assert seen <= 62
    assert all(looks[seen : seen + 8])
