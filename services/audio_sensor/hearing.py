"""Keeps an ear open and a recogniser at hand: starts these children, hears them, and starts them again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from services.audio_sensor import machine
from services.audio_sensor.children import Child
from services.audio_sensor.logic import Trouble
from services.audio_sensor.voices import Sound

POLL_S = 3.0
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
MOST_UTTERANCES = 4
OPEN_S = 30.0
"""Seconds to open a microphone, on a busy machine; a sound server that hangs never ends to."""
LOAD_S = 60.0
STT_S = 60.0
NOT_UNDERSTOOD = "Mend that, and reload: systemctl reload ligand-audio-sensor, or SIGHUP. See docs/voice.md."
NO_MICROPHONE = Trouble("no microphone was found", "Plug one in; nothing needs to be restarted. See docs/voice.md.")


@dataclass(frozen=True, slots=True)
class Understood:
    """What an utterance was taken for. Durations in seconds; `vad_s` and `stt_s` count from the end of speech."""

    text: str
    confidence: float
    command: bool
    engine: str
    duration_s: float
    vad_s: float
    stt_s: float
    began_at: float
    pcm: bytes

    @property
    def age_s(self) -> float:
        """Seconds since it began; `began_at` is on the monotonic clock."""
        return time.monotonic() - self.began_at


class Hearing:
    """`understood` is awaited for each utterance; `changed` is called when trouble or a person's speaking changes."""

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
        self.barge_in: Callable[[], None] = lambda: None
        """Called when a person speaks while it speaks itself."""
        self._config = config
        self._log = log
        self._understood = understood
        self._changed = changed
        self._attended = False
        self._ear: Child | None = None
        self._recogniser: Child | None = None
        self._engine = ""
        self._stale = False
        self._anew = False
        self._utterances: asyncio.Queue[tuple[dict[str, Any], bytes, float] | None] = asyncio.Queue(MOST_UTTERANCES)

    async def take(self, config: Mapping[str, Any]) -> None:
        """Go by another configuration: both children are started anew with it."""
        self._config = config
        self._stale = True
        if "understand" in self.troubles:
            self._get_ready()
        if self._ear is not None:
            self._anew = True
            self._ear.ask_to_end()

    # -- what it is told -----------------------------------------------------------------------------

    async def attend(self, on: bool) -> None:
        """Attention was given, or taken back."""
        if on != self._attended:
            self._attended = on
            await self._tell({"op": "attend", "on": on})
            self._log.info("listening" if on else "attention_over")
            if on:
                self._get_ready()

    def _get_ready(self) -> None:
        """Have the recogniser load its models while the person draws breath."""
        if not self._utterances.full():
            self._utterances.put_nowait(None)

    async def speaks(self, sound: Sound) -> None:
        """It speaks from now on: this is not a person."""
        await self._tell({"op": "speaks", "rate": sound.rate, "barge_in": self._config["barge_in"]}, sound.pcm)

    async def silent(self) -> None:
        """It does not speak any more."""
        await self._tell({"op": "silent"})

    async def _tell(self, message: Mapping[str, Any], payload: bytes = b"") -> None:
        if self._ear is not None:
            await self._ear.tell(message, payload)

    # -- the ear -------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Keep an ear open for as long as this runs."""
        pause = FIRST_RETRY_S
        while True:
            began = time.monotonic()
            trouble = machine.lacking() or (None if machine.sound_at() else NO_MICROPHONE)
            try:
                trouble = trouble or await self._one_ear()
            finally:
                self._person(False)
            if self._anew:  # told to end: that is no trouble
                self._anew, pause = False, FIRST_RETRY_S
                continue
            there = await machine.seen()
            self._say("listen", trouble)
            self.settled.set()
            lasted = time.monotonic() - began
            pause = FIRST_RETRY_S if lasted > LAST_RETRY_S else min(LAST_RETRY_S, pause * 2)
            await _change(there, pause)
            self._changed()  # what speaks may find a loudspeaker now

    async def _one_ear(self) -> Trouble:
        """One child until it ends; why it ended."""
        config = self._config
        settings = {"device": config["microphone"], "detection": config["detection"]}
        ear = await Child.start("ear", settings)
        trouble: str | None = None
        try:
            async with asyncio.timeout(OPEN_S) as opening:
                async for message, payload in ear.all():
                    opening.reschedule(None)
                    if message["is"] == "trouble":  # not its end: that hangs where the sound server does
                        trouble = str(message["reason"])
                        break
                    await self._heard(ear, message, payload)
        except TimeoutError:
            trouble = f"the microphone was not opened within {OPEN_S:g} s; the sound server, or its driver, hangs"
        finally:
            self._ear = None
            await ear.end()
        if trouble is None:
            return Trouble(f"what listens ended: {ear.last_words}", "It is started again. See docs/voice.md.")
        return Trouble(trouble[:400], NO_MICROPHONE.hint)

    async def _heard(self, ear: Child, message: dict[str, Any], payload: bytes) -> None:
        what = message["is"]
        if what == "open":
            self._ear = ear
            self._log.info("microphone_open", device=message["device"], rate=message["rate"])
            await ear.tell({"op": "attend", "on": self._attended})
            self._say("listen", None)
            self.settled.set()
        elif what == "speech":
            self._person(True)
        elif what == "barge_in":
            self._log.info("barge_in")
            self.barge_in()
        elif what == "utterance":
            self._person(False)
            self._take(message, payload)
        elif what == "overruns":
            self._log.warning("overruns", count=message["count"])

    def _take(self, message: dict[str, Any], pcm: bytes) -> None:
        try:
            self._utterances.put_nowait((message, pcm, time.monotonic()))
        except asyncio.QueueFull:
            self._log.warning("utterance_dropped", waiting=MOST_UTTERANCES)

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

    # -- the recogniser ------------------------------------------------------------------------------

    async def understand(self) -> None:
        """Turn utterances into text, in their order, for as long as this runs."""
        try:
            while True:
                await self._one_utterance()
        finally:
            await self._end_recogniser()

    async def _one_utterance(self) -> None:
        idle_s = self._config["idle_s"] if self._recogniser is not None else None
        try:
            async with asyncio.timeout(idle_s):
                given = await self._utterances.get()
        except TimeoutError:
            if not self._attended:
                await self._end_recogniser()
            return
        if given is None:
            await self._at_hand()
            return
        message, pcm, ended = given
        found = await self._ask(pcm)
        if found is None:
            self._log.warning("utterance_lost", seconds=round(len(pcm) / 32000, 2))
            return
        now = time.monotonic()
        told = Understood(
            text=found["text"],
            confidence=found["confidence"],
            command=found["command"],
            engine=self._engine,
            duration_s=message["speech_s"],
            vad_s=message["vad_s"],
            stt_s=message["vad_s"] + now - ended,
            began_at=ended - len(pcm) / 32000,
            pcm=pcm,
        )
        await self._understood(told)

    async def _ask(self, pcm: bytes) -> dict[str, Any] | None:
        """What the recogniser makes of it; None when there is none, or it takes too long."""
        child = await self._at_hand()
        if child is None:
            return None
        with suppress(TimeoutError):
            async with asyncio.timeout(STT_S):
                await child.tell({"op": "hear"}, pcm)
                if (answer := await child.hear()) is not None:
                    return answer[0]
        await self._end_recogniser()
        return None

    async def _at_hand(self) -> Child | None:
        """The recogniser, started if need be; None when it cannot be."""
        if self._recogniser is not None and self._recogniser.runs and not self._stale:
            return self._recogniser
        return await self._start()

    async def _start(self) -> Child | None:
        await self._end_recogniser()
        self._stale = False
        child = await Child.start("recogniser", self._config["recogniser"])
        self._recogniser = child
        try:
            async with asyncio.timeout(LOAD_S):
                answer = await child.hear()
            reason = answer[0].get("reason") if answer is not None else child.last_words
        except TimeoutError:
            answer, reason = None, f"it was not ready within {LOAD_S:g} s"
        if answer is not None and answer[0]["is"] == "ready":
            self._engine = answer[0]["engine"]
            self._say("understand", None)
            return child
        await self._end_recogniser()
        self._say("understand", Trouble(f"nothing can be understood: {reason}"[:400], NOT_UNDERSTOOD))
        return None

    async def _end_recogniser(self) -> None:
        if self._recogniser is not None:
            child, self._recogniser = self._recogniser, None
            await child.end()


async def _change(there: tuple[str, ...], at_most_s: float) -> None:
    """Wait until something was plugged in or out, or a while has passed."""
    until = time.monotonic() + at_most_s
    while (left := until - time.monotonic()) > 0 and await machine.seen() == there:
        await asyncio.sleep(min(POLL_S, left))
