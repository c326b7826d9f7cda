"""The bounds that hours of sound are held to."""

from __future__ import annotations

from tests.voice.bounds import of_others, of_sound, of_speech


def test_a_measurement_that_is_too_bad_is_said_to_be() -> None:
    """A figure that nobody is held to grows from release to release."""
    assert [*of_sound("silence", 0, 60), *of_sound("babble", 10, 60), *of_others(0)] == []
    assert list(of_sound("music", 1, 60)) == ["1 words told in 60 min of music, more than 0"]
    assert list(of_sound("babble", 3, 6)) == ["3 words told in 6 min of babble, more than 1"]
    assert list(of_others(1)) == ["1 false commands, where there may be none"]
    assert [*of_speech("commands", None, 0.053), *of_speech("free speech", 15.0, 0.489)] == []
    assert list(of_speech("commands", None, 0.2)) == ["word error rate of commands 0.200, more than 0.1"]
