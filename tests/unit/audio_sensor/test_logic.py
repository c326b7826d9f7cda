"""What audio_sensor decides: whom it listens to, what it understood, what it says next."""

from __future__ import annotations

import pytest

from services.audio_sensor.logic import (
    Attention,
    Heard,
    Moment,
    Saying,
    Trouble,
    agree,
    choose,
    is_own_voice,
    next_to_say,
    overtakes,
    told,
    word_errors,
)


def test_nothing_is_heard_unless_attention_was_given() -> None:
    """A microphone that listens by itself would be the end of all trust."""
    for mode in ("gaze", "push_to_talk"):
        assert Attention(mode, 300.0).until(1000.0) is None
    assert Attention("always", 300.0).until(1000.0) == float("inf")


def test_a_glance_counts_until_it_is_taken_back_or_too_old() -> None:
    """A camera that died while somebody looked must not leave the microphone open for ever."""
    attention = Attention("gaze", 300.0)
    attention.gained(1000.0)
    assert attention.until(1010.0) == 1300.0
    assert attention.until(1300.0) is None
    attention.gained(1400.0)
    attention.lost()
    assert attention.until(1401.0) is None


def test_push_to_talk_does_not_follow_the_eyes() -> None:
    """Who chose a button is not overheard because they look."""
    attention = Attention("push_to_talk", 300.0)
    attention.gained(1000.0)
    assert attention.until(1001.0) is None
    attention.listen(1015.0)
    assert attention.until(1001.0) == 1015.0
    attention.answered(1001.0)
    assert attention.until(1001.0) is None
    assert attention.hears_answers(1060.0), "who has asked is told the answer"
    assert not attention.hears_answers(1200.0)


def test_a_clock_that_is_put_back_leaves_no_microphone_open() -> None:
    """A day that the clock was ahead by would be a day in which everything is heard."""
    attention = Attention("gaze", 300.0)
    attention.gained(90_000.0)
    attention.listen(90_015.0)
    assert attention.until(90_000.0) is not None
    assert attention.until(3_600.0) is None


def test_who_was_asked_to_speak_is_heard_out() -> None:
    """A sentence begun in time is not cut because the time is over; one begun later is not heard."""
    attention = Attention("push_to_talk", 300.0)
    attention.listen(1015.0)
    attention.speaking(1044.0, 1014.0)
    assert attention.until(1020.0) == 1044.0
    attention.answered(1020.0)
    attention.speaking(1100.0, 1050.0)
    assert attention.until(1060.0) is None


def test_word_errors_are_counted() -> None:
    """Agreement and the measured rates rest on it."""
    assert word_errors(["a", "b", "c"], ["a", "b", "c"]) == 0
    assert word_errors(["a", "b", "c"], ["a", "x", "c", "d"]) == 2
    assert word_errors([], ["a", "b"]) == 2


@pytest.mark.parametrize(
    ("command", "free", "agrees"),
    [
        ("turn on the light", "turn on the light", True),
        ("turn on the light", "turn own the night", True),
        ("turn on the light", "the doctor went home before the rain", False),
        ("", "anything", False),
    ],
)
def test_a_command_needs_both_passes(command: str, free: str, agrees: bool) -> None:
    """A grammar hears a command in everything; the free pass keeps it from switching the light off at a story."""
    assert agree(command, free, 0.7) is agrees
    chosen = choose(Heard(free, 0.6), command, 0.7)
    assert chosen.command is agrees
    assert chosen.text == (command if agrees else free)


def test_its_own_words_are_known_again() -> None:
    """An assistant that answers itself never stops."""
    said = ["The first thing that I found out today is that the disk is nearly full."]
    assert is_own_voice("first thing that i found out to day", said)
    assert not is_own_voice("what is the weather like", said)
    assert not is_own_voice("", said)
    assert not is_own_voice("hello", [])


def saying(name: str, urgency: str, asked_at: float = 0.0, until: float = 100.0) -> Saying:
    return Saying(name, name, urgency, asked_at, until)


WAITING = (saying("polite", "never_interrupt"), saying("usual", "when_attended", 1), saying("alarm", "now", 2))


@pytest.mark.parametrize(
    ("waiting", "moment", "next_one"),
    [
        (WAITING, Moment(10, True, False), "alarm"),
        (WAITING, Moment(10, False, True), "alarm"),
        (WAITING[:2], Moment(10, True, False), "usual"),
        (WAITING[:2], Moment(10, False, False), "polite"),
        (WAITING[:2], Moment(10, True, True), None),
        (WAITING, Moment(100, True, False), None),
        ((saying("second", "now", 2), saying("first", "now", 1)), Moment(10, False, False), "first"),
    ],
)
def test_what_is_said_next(waiting: tuple[Saying, ...], moment: Moment, next_one: str | None) -> None:
    """An alarm does not wait behind an answer, nobody is talked over by less, and what is too late is not said."""
    found = next_to_say(waiting, moment)
    assert (found.id if found else None) == next_one


def test_only_an_alarm_overtakes() -> None:
    """A voice that breaks off for every new text would finish none."""
    polite, usual, alarm = WAITING
    assert overtakes(alarm, usual)
    assert not overtakes(alarm, alarm)
    assert not overtakes(usual, polite)


def test_all_troubles_are_told_in_one() -> None:
    """One message a person reads, not one for each part."""
    assert told([]) is None
    one = told([Trouble("no microphone", "Plug one in."), Trouble("no voice", "Plug one in.")])
    assert one == Trouble("no microphone; no voice", "Plug one in.")
