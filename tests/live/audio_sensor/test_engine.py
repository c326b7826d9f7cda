"""A dose of what `python -m tests.voice` measures: what is said is understood, what is not said is not imagined."""

from __future__ import annotations

import pytest

from tests.support.sound import VOICES, engines

pytestmark = [pytest.mark.xdist_group("sound"), pytest.mark.slow]


@pytest.fixture(scope="module")
def recogniser():
    engines()
    from tests.voice.measuring import engine  # noqa: PLC0415 - only with the extra

    return engine()


def test_commands_and_free_speech_are_understood(recogniser) -> None:
    """A person who has to say everything twice stops speaking to it."""
    from tests.voice.measuring import measure  # noqa: PLC0415 - only with the extra
    from tests.voice.sentences import FREE, SAID_COMMANDS  # noqa: PLC0415

    commands = measure(recogniser, SAID_COMMANDS[:12:6], VOICES)
    assert commands.commands >= 5, commands.wrong
    assert commands.word_error_rate <= 0.1, commands.wrong
    free = measure(recogniser, FREE[:5:2], VOICES[:2])
    assert free.word_error_rate <= 0.25, free.wrong
    assert free.commands == 0


def test_a_story_is_no_command(recogniser) -> None:
    """A light that goes off because somebody talks of lights is worse than one that stays on."""
    from tests.voice.measuring import measure  # noqa: PLC0415 - only with the extra
    from tests.voice.sentences import OTHERS  # noqa: PLC0415

    assert measure(recogniser, OTHERS[::20], VOICES[:1]).commands == 0


@pytest.mark.parametrize("kind", ["silence", "white", "brown", "music"])
def test_noise_becomes_no_text(recogniser, kind: str) -> None:
    """An assistant that answers the wind is switched off."""
    from tests.voice.measuring import told  # noqa: PLC0415 - only with the extra
    from tests.voice.noise import sound  # noqa: PLC0415

    assert told(recogniser, sound(kind, 10)) == []
