"""A dose of what `python -m tests.voice` measures: what is said is understood, what is not said is not imagined."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from signals.errors import ConfigError
from tests.support.sound import VOICES, engines, say

pytestmark = [
    pytest.mark.may_leak("recognisers stay for the next test"),
    pytest.mark.xdist_group("senses"),
    pytest.mark.slow,
]
NOISES = ("silence", "white", "brown", "music")


@pytest.fixture(scope="module", autouse=True)
def _needs_the_extra() -> None:
    engines()


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Two that listen beside each other."""
    with ProcessPoolExecutor(2, get_context("spawn")) as found:
        yield found


def test_commands_and_free_speech_are_understood(pool: ProcessPoolExecutor) -> None:
    """A person who has to say everything twice stops speaking to it."""
    from tests.voice.measuring import measure  # noqa: PLC0415 - only with the extra
    from tests.voice.sentences import FREE, SAID_COMMANDS  # noqa: PLC0415

    commands = measure(SAID_COMMANDS[:12:6], VOICES, each=pool.map)
    assert commands.commands >= 5, commands.wrong
    assert commands.word_error_rate <= 0.1, commands.wrong
    free = measure(FREE[:5:2], VOICES[:2], each=pool.map)
    assert free.word_error_rate <= 0.25, free.wrong
    assert free.commands == 0


def test_a_model_in_a_folder_is_used_and_what_it_lacks_is_said(tmp_path: Path) -> None:
    """Who speaks another language gives a folder for it; here it holds the package's model, laid out as it must be."""
    from pocketsphinx import get_model_path  # noqa: PLC0415 - only with the extra

    from services.audio_sensor.sphinx import Sphinx  # noqa: PLC0415 - only with the extra

    settings = {"model": str(tmp_path), "disagreement": 0.7, "commands": "", "commands_file": ""}
    package = Path(get_model_path()) / "en-us"
    for name, own in (("acoustic", "en-us"), ("language.lm.bin", "en-us.lm.bin")):
        (tmp_path / name).symlink_to(package / own)
    with pytest.raises(ConfigError, match=r"has no dictionary\.dict"):
        Sphinx(settings)
    (tmp_path / "dictionary.dict").symlink_to(package / "cmudict-en-us.dict")
    recogniser = Sphinx(settings)
    assert recogniser.name == f"pocketsphinx/{tmp_path.name}"
    assert recogniser.hear(say("tell me what happened last night")).text == "tell me what happened last night"


def test_a_story_is_no_command(pool: ProcessPoolExecutor) -> None:
    """A light that goes off because somebody talks of lights is worse than one that stays on."""
    from tests.voice.measuring import measure  # noqa: PLC0415 - only with the extra
    from tests.voice.sentences import OTHERS  # noqa: PLC0415

    assert measure(OTHERS[::20], VOICES[:1], each=pool.map).commands == 0


@pytest.fixture(scope="module")
def heard(pool: ProcessPoolExecutor) -> dict[str, Future[Any]]:
    """What becomes of each noise."""
    from tests.voice.measuring import imagined  # noqa: PLC0415 - only with the extra

    return {kind: pool.submit(imagined, kind, minute=0, seconds=60) for kind in NOISES}


@pytest.mark.parametrize("kind", NOISES)
def test_noise_becomes_no_text(heard: dict[str, Future[Any]], kind: str) -> None:
    """An assistant that answers the wind is switched off."""
    assert heard[kind].result().told == ()
