"""Where utterances begin and end."""

from __future__ import annotations

from services.audio_sensor.segmenting import FRAME_BYTES, FRAME_S, START_FRAMES, Bounds, Segmenter, Utterance, frames_of

BOUNDS = Bounds(pre_roll_s=0.2, hang_over_s=0.3, longest_s=3.0)
PRE, HANG = frames_of(0.2), frames_of(0.3)


def frame(n: int) -> bytes:
    return n.to_bytes(2, "little") * (FRAME_BYTES // 2)


def fed(segmenter: Segmenter, *spans: tuple[float, int]) -> list[bool | Utterance]:
    """Feed (probability, frames) spans, numbering the frames; what came of it."""
    found, n = [], 0
    for probability, count in spans:
        for _ in range(count):
            if (event := segmenter.feed(frame(n), probability)) is not None:
                found.append(event)
            n += 1
    return found


def test_an_utterance_has_its_beginning_and_its_end() -> None:
    """A first word that is cut off is not understood."""
    began, ended = fed(Segmenter(BOUNDS), (0.1, 50), (0.9, 30), (0.1, HANG))
    assert began is True
    assert isinstance(ended, Utterance)
    assert ended.pcm[:FRAME_BYTES] == frame(50 - PRE)
    assert len(ended.pcm) == (PRE + 30 + HANG) * FRAME_BYTES
    assert ended.cut is False
    assert ended.vad_s == HANG * FRAME_S


def test_a_click_begins_nothing() -> None:
    """A door that slams is no speech."""
    assert fed(Segmenter(BOUNDS), *[(0.1, 20), (0.9, START_FRAMES - 1)] * 5, (0.1, 50)) == []


def test_a_breath_does_not_end_it() -> None:
    """Who pauses within a sentence is heard to its end."""
    found = fed(Segmenter(BOUNDS), (0.9, 10), (0.1, HANG - 1), (0.9, 10), (0.4, 2 * HANG), (0.1, HANG))
    assert len(found) == 2


def test_an_endless_sound_is_cut() -> None:
    """A television does not fill the memory."""
    found = fed(Segmenter(BOUNDS), (0.9, 3 * frames_of(3.0)))
    cut = [one for one in found if isinstance(one, Utterance)]
    assert len(cut) >= 2
    assert all(one.cut and len(one.pcm) <= frames_of(3.0) * FRAME_BYTES for one in cut)


def test_without_attention_nothing_is_kept_but_the_ring() -> None:
    """What was said before somebody looked is gone."""
    segmenter = Segmenter(BOUNDS)
    for n in range(1000):
        segmenter.pass_by(frame(n))
    found = fed(segmenter, (0.9, 20), (0.1, HANG))
    assert isinstance(found[1], Utterance)
    assert len(found[1].pcm) <= (PRE + START_FRAMES + 20 + HANG) * FRAME_BYTES


def test_what_was_under_way_can_be_ended() -> None:
    """Attention that ends ends what is heard, in the same instant."""
    segmenter = Segmenter(BOUNDS)
    assert segmenter.stop() is None
    fed(segmenter, (0.9, 20))
    ended = segmenter.stop()
    assert ended is not None
    assert ended.cut is True
    assert segmenter.stop() is None
