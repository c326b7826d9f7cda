"""A constellation with a microphone and a loudspeaker of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from signals.envelope import Signal, unix_seconds
from tests.support.constellation import Constellation, Running, constellation
from tests.support.model_server import ModelServer, model_server
from tests.support.sound import Server, engines, say, sound_server

LOOK = {"score": 0.9, "factors": {"face_centred": 1, "eyes_open": 1, "gaze": 0.9}}
WAIT_S = 60.0


@dataclass
class Room:
    """What a test speaks into, listens to and looks at."""

    home: Constellation
    server: Server
    audio: Running
    model: ModelServer | None = None

    def emit(self, name: str, facts: dict[str, Any] | None = None, **envelope: Any) -> Signal:
        with self.home.emitter() as emitter:
            signal = emitter.signal(name, facts or {}, **envelope)
            emitter.emit(signal)
            return signal

    def look(self) -> None:
        """Somebody looks here; returns when it listens."""
        self.emit("Q_ATTENTION_GAINED", LOOK)
        self.until(lambda: self.listens, "it does not listen")

    def look_away(self) -> None:
        """Nobody looks here any more; returns when it does not listen."""
        self.emit("Q_ATTENTION_LOST", LOOK)
        self.until(lambda: not self.listens, "it goes on listening")

    @property
    def listens(self) -> bool:
        return self.log.rfind(" listening") > self.log.rfind(" attention_over")

    def until(self, condition: Any, otherwise: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, f"{otherwise}:\n{self.audio.tail()}"
            time.sleep(0.05)

    @property
    def log(self) -> str:
        return self.audio.log.read_text(errors="replace")

    def hears(self, text: str, voice: str = "slt") -> Signal:
        """Say this until it is understood, since a busy machine swallows a word; what was heard."""
        for _ in range(5):
            voices = self.count("Q_USER_VOICE")
            self.server.speak(say(text, voice))
            heard = self.after(voices, "Q_USER_VOICE")
            if heard.facts["text"] == text:
                return heard
        raise AssertionError(f"{text!r} is not understood:\n{self.audio.tail()}")

    def end_of(self, asked: Signal) -> Signal:
        """How a text that was to be said ended."""
        found: list[Signal] = []

        def is_there() -> bool:
            ends = self.home.signals("Q_SPOKEN", "Q_SPEAK_FAILED")
            found[:] = [one for one in ends if one.causation_id == asked.id]
            return bool(found)

        self.until(is_there, f"{asked.facts} was not said")
        assert len(found) == 1
        return found[0]

    def answer_to(self, heard: Signal) -> Signal:
        """What was said to who was heard."""
        found: list[Signal] = []

        def is_said() -> bool:
            found[:] = [one for one in self.home.signals("Q_SPOKEN") if one.correlation_id == heard.correlation_id]
            return bool(found)

        self.until(is_said, f"{heard.facts} is not answered")
        return found[0]

    def quiet(self) -> None:
        """Somebody looks here until everything that was heard is answered, and what was to be said has ended."""
        ends = ("Q_SPOKEN", "Q_SPEAK_FAILED")
        self.emit("Q_ATTENTION_GAINED", LOOK)

        def is_quiet() -> bool:
            answered = self.count("Q_USER_VOICE") == self.count("Q_MODEL_RESPONSE")
            return answered and len(self.home.signals(*ends)) == self.count("Q_SPEAK")

        self.until(is_quiet, "it goes on speaking")

    def after(self, seen: int, name: str, **facts: Any) -> Signal:
        """The next signal of that name, when `seen` were there before."""
        return self.home.wait_for(name, seen + 1, WAIT_S, **facts)[seen]

    def count(self, name: str) -> int:
        return len(self.home.signals(name))

    def stages(self, spoken: Signal) -> str:
        """How long each stage of a conversation took."""
        story = {one.signal: one for one in self.home.signals() if one.correlation_id == spoken.correlation_id}
        names = ("Q_USER_VOICE", "Q_MODEL_REQUEST", "Q_MODEL_RESPONSE", "Q_SPEAK", "Q_SPOKEN")
        voice, asked, answered, wanted, _ = (at(story[name]) for name in names)
        latency = story["Q_USER_VOICE"].facts["latency_s"]
        begun = at(spoken) - spoken.facts["duration_s"]
        return (
            f"end of speech noticed {latency['vad']:.2f}, text {latency['stt']:.2f}, policy {asked - voice:.2f}, "
            f"model {answered - asked:.2f}, policy {wanted - answered:.2f}, voice {begun - wanted:.2f}"
        )


def at(one: Signal) -> float:
    """When it was emitted, in seconds since the epoch."""
    return unix_seconds(one.timestamp)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """The whole way: ear, policy, model, voice."""
    engines()
    folder: Path = tmp_path_factory.mktemp("room")
    # the servers go last: a worker whose server has gone waits for it to come back
    with sound_server(folder / "sound") as server, model_server() as model, constellation(folder / "home") as home:
        home.config("model_worker@primary", {"servers": [{"base_url": model.url}]})
        home.bus()
        running = [home.daemon("policy_engine"), home.daemon("model_worker", "primary")]
        audio = home.daemon("audio_sensor", **server.environ)
        for one in (*running, audio):
            one.ready()
        found = Room(home, server, audio, model)
        found.until(lambda: "microphone_open" in found.log, "no microphone")
        yield found
