"""The child that listens: microphone, voice activity, utterances. Run by the daemon; ends when the daemon has gone.

One thread captures and hands each block on; another watches whether the source is still there. Nothing is heard beyond
the ring buffer unless the daemon said `attend`.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import fields
from queue import Empty, SimpleQueue
from typing import Any

from sounddevice import PortAudioError

from services.audio_sensor import messages
from services.audio_sensor.detecting import Detector, detector_of
from services.audio_sensor.devices import Form, Mono, NoDeviceError, at_rate, is_gone, open_input
from services.audio_sensor.echo import AFTER_S, Echo
from services.audio_sensor.segmenting import FRAME_BYTES, RATE, Bounds, Segmenter, Utterance, frames_of
from signals.errors import ConfigError

STALLED_S = 3.0
LOOK_S = 2.0
MOST_WAITING = 300
"""Blocks of 32 ms that may wait; more are dropped, and counted."""
TELL_OVERRUNS_S = 10.0


class Ear:
    """One microphone, until it stops giving sound or the daemon goes."""

    def __init__(self, device: str, bounds: Bounds, detector: Detector) -> None:
        self._device = device
        self._bounds = bounds
        self._segmenter = Segmenter(bounds)
        self._vad = detector
        self._queue: SimpleQueue[tuple[dict[str, Any], bytes]] = SimpleQueue()
        self._rest = b""
        self._attended = False
        self._echo = Echo()
        self._aloud = False
        """Whether its own voice may be in the air."""
        self._mute = False
        self._fading: int | None = None
        """Frames until its own voice has died away, once it has ended: a busy machine hears them late."""
        self._overruns = 0
        self._told_overruns = 0
        self._told_at = 0.0

    def run(self) -> int:
        """Listen; 0 when the daemon has gone, 1 when the microphone has."""
        try:
            stream, form = open_input(self._device)
        except NoDeviceError as error:
            return self._trouble(error.message)
        threading.Thread(target=self._orders, daemon=True).start()
        threading.Thread(target=self._watch, args=[form], daemon=True).start()
        with stream:
            threading.Thread(target=self._capture, args=[stream, form], daemon=True).start()
            messages.write(sys.stdout.buffer, {"is": "open", "device": form.device, "rate": form.rate})
            return self._listen(form)

    def _capture(self, stream: Any, form: Form) -> None:
        """Hand on what the microphone gives; it does nothing else, so that capture never stalls."""
        try:
            while True:
                block, overflowed = stream.read(form.block)
                waiting = self._queue.qsize() > MOST_WAITING
                self._overruns += overflowed or waiting
                if not waiting:
                    self._queue.put(({"op": "sound"}, bytes(block)))
        except PortAudioError:
            self._queue.put(({"op": "gone"}, b""))

    def _orders(self) -> None:
        while (order := messages.read(sys.stdin.buffer)) is not None:
            self._queue.put(order)
        os._exit(0)

    def _watch(self, form: Form) -> None:
        while not is_gone(form):
            time.sleep(LOOK_S)
        self._queue.put(({"op": "gone"}, b""))

    def _listen(self, form: Form) -> int:
        mono, last = Mono(form), time.monotonic()
        while True:
            try:
                order, payload = self._queue.get(timeout=STALLED_S)
            except Empty:
                return self._trouble(f"{form.device} gives no sound any more")
            if order["op"] == "sound":
                last = time.monotonic()
                self.hear(mono.take(payload))
            elif order["op"] == "gone":
                return self._trouble(f"{form.device} is there no more")
            else:
                self.obey(order, payload)
            if time.monotonic() - last > STALLED_S:
                return self._trouble(f"{form.device} gives no sound any more")

    def obey(self, order: dict[str, Any], payload: bytes = b"") -> None:
        """What the daemon says: attend, it speaks, it is silent."""
        if order["op"] == "attend":
            self._attend(order["on"])
        elif order["op"] == "speaks":
            self._fading, self._mute = None, not order["barge_in"]
            self._echo.play(at_rate(payload, order["rate"], RATE), self._segmenter.ring)
            self._aloud = True
        elif order["op"] == "silent":
            self._fading = frames_of(AFTER_S)

    def _attend(self, on: bool) -> None:
        if on and not self._attended:
            self._vad.reset()
        if not on and (found := self._segmenter.stop()) is not None:
            self._say(found)
        self._attended = on

    def hear(self, pcm: bytes) -> None:
        """More of what the microphone gives: 16-bit mono at 16 kHz."""
        self._rest += pcm
        while len(self._rest) >= FRAME_BYTES:
            frame, self._rest = self._rest[:FRAME_BYTES], self._rest[FRAME_BYTES:]
            self._frame(frame)
        self._tell_overruns()

    def _frame(self, frame: bytes) -> None:
        self._fade()
        speaking = self._segmenter.speaking
        if self._aloud and (speaking or self._mute or not self._attended):
            self._echo.pass_by()
        if not self._attended or (self._mute and not speaking):
            self._segmenter.pass_by(frame)
            return
        probability = self._vad(frame)
        if speaking or not self._aloud:
            self._listen_on(frame, probability)
        elif self._echo.person(frame, probability, self._bounds.threshold):
            messages.write(sys.stdout.buffer, {"is": "barge_in"})
            self._fall_silent()
            self._listen_on(frame, 1.0)
        else:
            self._segmenter.pass_by(frame)

    def _fade(self) -> None:
        if self._fading is not None:
            self._fading -= 1
            if self._fading < 0:
                self._fall_silent()

    def _fall_silent(self) -> None:
        self._echo = Echo()
        self._mute, self._aloud, self._fading = False, False, None

    def _listen_on(self, frame: bytes, probability: float) -> None:
        found = self._segmenter.feed(frame, probability)
        if found is True:
            messages.write(sys.stdout.buffer, {"is": "speech"})
        elif isinstance(found, Utterance):
            self._say(found)

    def _say(self, found: Utterance) -> None:
        facts = {"is": "utterance", "speech_s": found.speech_s, "vad_s": found.vad_s, "cut": found.cut}
        messages.write(sys.stdout.buffer, facts, found.pcm)
        self._vad.reset()

    def _tell_overruns(self) -> None:
        now, count = time.monotonic(), self._overruns - self._told_overruns
        if count and now - self._told_at > TELL_OVERRUNS_S:
            messages.write(sys.stdout.buffer, {"is": "overruns", "count": count})
            self._told_overruns, self._told_at = self._told_overruns + count, now

    def _trouble(self, reason: str) -> int:
        messages.write(sys.stdout.buffer, {"is": "trouble", "reason": reason})
        return 1


def main(settings: dict[str, Any]) -> int:
    """Listen to `device`, by `detection`; 1 when that cannot be."""
    detection = settings["detection"]
    try:
        detector = detector_of(detection)
    except ConfigError as error:
        messages.write(sys.stdout.buffer, {"is": "unfit", "reason": error.message})
        return 1
    bounds = Bounds(**{one.name: detection[one.name] for one in fields(Bounds)})
    return Ear(settings["device"], bounds, detector).run()
