"""Keeps an ear open: starts this child, hears it, starts it again, and hands on what it caught."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from services.audio_sensor import machine
from services.audio_sensor.children import Child
from services.audio_sensor.detecting import ONNX
from services.audio_sensor.logic import Trouble
from services.audio_sensor.understanding import MEND, Understanding, Understood
from services.audio_sensor.voices import Sound

FIRST_POLL_S, POLL_S = 0.5, 3.0
"""Between two looks for a microphone: often at first, since what was pulled out is often plugged in again."""
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
OPEN_S = 30.0
"""Seconds to open a microphone, on a busy machine; a sound server that hangs never ends to."""
NO_MICROPHONE = Trouble("no microphone was found", "Plug one in; nothing needs to be restarted. See docs/voice.md.")


class Hearing:
    """`understood` is awaited for each utterance; `changed` is called after `troubles`, `overruns` or `person_speaks`
    change.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        log: Any,
        understood: Callable[[Understood], Awaitable[None]],
        changed: Callable[[], None],
    ) -> None:
        self.troubles: dict[str, Trouble] = {}
        """What cannot be done: "listen", or "understand"."""
        self.settled = asyncio.Event()
        """Set once it is known whether there is a microphone."""
        self.person_speaks = False
        self.overruns = 0
        """How often sound came faster than it was taken, and some was lost."""
        self.barge_in: Callable[[], None] = lambda: None
        """Called when a person speaks while it speaks itself."""
        self._config = config
        self._log = log
        self._changed = changed
        self.understanding = Understanding(config, log, understood, partial(self._say, "understand"))
        self._attended = False
        self._ear: Child | None = None
        self._reloaded = asyncio.Event()
        self._sound: Sound | None = None
        """What it is saying."""

    async def take(self, config: Mapping[str, Any]) -> None:
        """Go by another configuration: an ear that it does not concern hears on, who is speaking is heard out."""
        before, self._config = self._config, config
        self.understanding.take(config)
        if _of_ear(config) == _of_ear(before) and "listen" not in self.troubles:
            return
        self._reloaded.set()
        if self._ear is not None:
            self._ear.ask_to_end()

    # -- what it is told -----------------------------------------------------------------------------

    async def attend(self, on: bool) -> None:
        """Attention was given, or taken back."""
        if on != self._attended:
            self._attended = on
            await self._tell({"op": "attend", "on": on})
            self._log.info("listening" if on else "attention_over")
            self.understanding.attend(on and self._ear is not None)

    async def speaks(self, sound: Sound) -> None:
        """It speaks from now on: this is not a person."""
        self._sound = sound
        await self._tell({"op": "speaks", "rate": sound.rate, "barge_in": self._config["barge_in"]}, sound.pcm)

    async def silent(self) -> None:
        """It does not speak any more."""
        self._sound = None
        await self._tell({"op": "silent"})

    async def _tell(self, message: Mapping[str, Any], payload: bytes = b"") -> None:
        if self._ear is not None:
            await self._ear.tell(message, payload)

    # -- the ear -------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Keep an ear open for as long as this runs."""
        pause = FIRST_RETRY_S
        while True:
            self._reloaded.clear()
            began = time.monotonic()
            onnx = ("silero",) if self._config["detection"]["engine"] == ONNX else ()
            trouble = machine.lacking("audio", *onnx) or (None if machine.sound_at() else NO_MICROPHONE)
            try:
                trouble = trouble or await self._one_ear()
            finally:
                self._person(False)
            if self._reloaded.is_set():  # told to end: that is no trouble
                pause = FIRST_RETRY_S
                continue
            there = await machine.seen()
            self._say("listen", trouble)
            self.settled.set()
            lasted = time.monotonic() - began
            pause = FIRST_RETRY_S if lasted > LAST_RETRY_S else min(LAST_RETRY_S, pause * 2)
            await self._change(there, pause)
            self._changed()  # what speaks may find a loudspeaker now

    async def _change(self, there: tuple[str, ...], at_most_s: float) -> None:
        """Wait until something was plugged in or out, the configuration is another, or a while has passed."""
        until, look_s = time.monotonic() + at_most_s, FIRST_POLL_S
        while (left := until - time.monotonic()) > 0 and await machine.seen() == there:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(look_s, left)):
                    await self._reloaded.wait()
                    return
            look_s = min(POLL_S, 2 * look_s)

    async def _one_ear(self) -> Trouble:
        """One child until it ends; why it ended."""
        ear = await Child.start("ear", _of_ear(self._config))
        trouble: str | None = None
        try:
            async with asyncio.timeout(OPEN_S) as opening:
                async for message, payload in ear.all():
                    opening.reschedule(None)
                    if message["is"] == "trouble":  # not its end: that hangs where the sound server does
                        trouble = str(message["reason"])
                        break
                    if message["is"] == "unfit":
                        return Trouble(str(message["reason"])[:400], MEND)
                    await self._heard(ear, message, payload)
        except TimeoutError:
            trouble = f"the microphone was not opened within {OPEN_S:g} s; the sound server, or its driver, hangs"
        finally:
            self._ear = None
            self.understanding.attend(False)
            await ear.end()
        if trouble is None:
            return Trouble(f"what listens ended: {ear.last_words}", "It is started again. See docs/voice.md.")
        return Trouble(trouble[:400], NO_MICROPHONE.hint)

    async def _heard(self, ear: Child, message: dict[str, Any], payload: bytes) -> None:
        what = message["is"]
        if what == "open":
            self._ear = ear
            if self._reloaded.is_set():  # while it was being opened
                ear.ask_to_end()
            self._log.info("microphone_open", device=message["device"], rate=message["rate"])
            if self._sound is not None:  # it comes in the midst of that, and cannot know where
                await ear.tell({"op": "speaks", "rate": self._sound.rate, "barge_in": False}, self._sound.pcm)
            await ear.tell({"op": "attend", "on": self._attended})
            self.understanding.attend(self._attended)
            self._say("listen", None)
            self.settled.set()
        elif what == "speech":
            self._person(True)
        elif what == "barge_in":
            self._log.info("barge_in")
            self.barge_in()
        elif what == "utterance":
            self._person(False)
            self.understanding.put(message, payload)
        elif what == "overruns":
            self.overruns += message["count"]
            self._log.warning("overruns", count=message["count"])
            self._changed()

    def _person(self, speaks: bool) -> None:
        if speaks != self.person_speaks:
            self.person_speaks = speaks
            self._changed()

    def _say(self, what: str, trouble: Trouble | None) -> None:
        if trouble is None:
            self.troubles.pop(what, None)
        else:
            self.troubles[what] = trouble
        self._changed()


def _of_ear(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the ear is told at its start."""
    return {"device": config["microphone"], "detection": config["detection"]}


def for_hearing(config: Mapping[str, Any], commands: str, file: Path) -> dict[str, Any]:
    """What of the daemon's configuration is for hearing, with the text of the person's commands and its file."""
    recogniser = {
        **{key: config["hearing"][key] for key in ("engine", "model", "disagreement")},
        "language": config["language"],
        "commands": commands,
        "commands_file": str(file),
    }
    return {
        "microphone": config["microphone"],
        "detection": config["detection"],
        "barge_in": config["speaking"]["barge_in"],
        "idle_s": config["hearing"]["idle_s"],
        "recogniser": recogniser,
    }
