"""Keeps a recogniser at hand: starts this child, has it turn utterances into text, and starts it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from services.audio_sensor.children import Child
from services.audio_sensor.logic import Trouble

MOST_UTTERANCES = 4
LOAD_S = 60.0
STT_S = 60.0
MEND = "Mend that, and reload: systemctl reload ligand-audio-sensor, or SIGHUP. See docs/voice.md."


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


class Understanding:
    """`understood` is awaited for each utterance; `tell` is called with what is in its way, None when nothing is."""

    def __init__(
        self,
        config: Mapping[str, Any],
        log: Any,
        understood: Callable[[Understood], Awaitable[None]],
        tell: Callable[[Trouble | None], None],
    ) -> None:
        self._config = config
        self._log = log
        self._understood = understood
        self._tell = tell
        self._attended = False
        self._recogniser: Child | None = None
        self._engine = ""
        self._stale = False
        self._troubled = False
        self._utterances: asyncio.Queue[tuple[dict[str, Any], bytes, float] | None] = asyncio.Queue(MOST_UTTERANCES)

    def take(self, config: Mapping[str, Any]) -> None:
        """Go by another configuration: the recogniser is started anew with it, once it is wanted."""
        self._config = config
        self._stale = True
        self._look()

    def attend(self, on: bool) -> None:
        """Somebody may be heard: have the models loaded while the person draws breath. Or nobody is any more."""
        self._attended = on
        self._look()

    def put(self, message: dict[str, Any], pcm: bytes) -> None:
        """An utterance, with what the ear told of it."""
        try:
            self._utterances.put_nowait((message, pcm, time.monotonic()))
        except asyncio.QueueFull:
            self._log.warning("utterance_dropped", waiting=MOST_UTTERANCES)

    async def run(self) -> None:
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
            if self._attended or self._troubled:
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
            self._say(None)
            return child
        await self._end_recogniser()
        self._say(Trouble(f"nothing can be understood: {reason}"[:400], MEND))
        return None

    async def _end_recogniser(self) -> None:
        if self._recogniser is not None:
            child, self._recogniser = self._recogniser, None
            await child.end()

    def _look(self) -> None:
        """Have it see what has changed; where an utterance waits it will, and there may be no room for more."""
        if self._utterances.empty():
            self._utterances.put_nowait(None)

    def _say(self, trouble: Trouble | None) -> None:
        self._troubled = trouble is not None
        self._tell(trouble)
