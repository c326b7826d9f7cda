"""Says aloud what waits to be said: each text once, whatever is killed, and cut when a person breaks in.

What waits is kept by the bus; what was spoken stands in the ledger. A text that a crash cut is said once more, from its
beginning; one that a second crash cuts is given up, and that is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from services.audio_sensor import machine, voices
from services.audio_sensor.children import Child
from services.audio_sensor.hearing import Hearing
from services.audio_sensor.ledger import Ledger
from services.audio_sensor.logic import Moment, Saying, Trouble, next_to_say, overtakes
from services.runtime import Daemon
from signals.envelope import Signal, unix_seconds
from signals.errors import LigandError

KEPT = "say|"
TRIES = 2
RETRY_S, LOOK_S = 15.0, 1.0
LATELY_S = 1.5
OPEN_S = 30.0
"""Seconds to open a loudspeaker, and that it may play longer than the sound is: else it hangs."""
NO_LOUDSPEAKER = "Connect one; nothing needs to be restarted. See docs/voice.md."
NO_VOICE = "Install one: sudo apt install flite. See docs/voice.md."


class Speaking:
    """`attended` tells whether a person attends; `changed` is called when its trouble changes."""

    def __init__(
        self, daemon: Daemon, hearing: Hearing, attended: Callable[[], bool], changed: Callable[[], None]
    ) -> None:
        self.trouble: Trouble | None = None
        self._daemon = daemon
        self._hearing = hearing
        self._attended = attended
        self._changed = changed
        self._ledger = Ledger.open(daemon.state_dir / "spoken.jsonl", [one.id for one in self._waiting()])
        self._wake = asyncio.Event()
        self._mouth: Child | None = None
        self._current: Saying | None = None
        self._why_cut = ""
        self._broken: Trouble | None = None
        """What the last attempt failed by, until another may do better."""
        self._there: tuple[str, ...] = ()
        """Where sound could go to then."""
        self._said: list[tuple[float, str]] = []

    # -- what waits ----------------------------------------------------------------------------------

    async def add(self, signal: Signal) -> None:
        """Keep a text to be said; durable when it returns. One that was said already is not said again."""
        if self._ledger.ended(signal.id) is not None or f"{KEPT}{signal.id}" in self._daemon.state:
            return
        limits, urgency = self._daemon.config["speaking"], signal.facts.get("urgency", "when_attended")
        asked_at = time.time() if signal.replayed else unix_seconds(signal.timestamp)
        longest = limits["now_within_s"] if urgency == "now" else limits["waits_at_most_s"]
        until = min(asked_at + longest, unix_seconds(signal.expires_at) if signal.expires_at else float("inf"))
        kept = {
            "text": signal.facts["text"],
            "urgency": urgency,
            "voice": signal.facts.get("voice", ""),
            "asked_at": asked_at,
            "until": until,
        }
        async with self._daemon.batch({f"{KEPT}{signal.id}": kept}):
            pass
        self.wake()

    def reload(self) -> None:
        """The configuration is another: what failed may work now."""
        self._broken = None
        self.wake()

    def wake(self) -> None:
        """Something changed that may decide what is said: look again."""
        self._wake.set()
        current = self._current
        if current is not None and any(overtakes(one, current) for one in self._waiting()):
            self._cut("overtaken")

    def barge_in(self) -> None:
        """A person speaks over it."""
        self._cut("person")

    def lately(self, since: float) -> list[str]:
        """What it said since a moment on the monotonic clock, and what it is saying."""
        said = [text for at, text in self._said if at + LATELY_S >= since]
        return [*said, self._current.text] if self._current is not None else said

    def _waiting(self) -> list[Saying]:
        state = self._daemon.state
        return [Saying.of(key.removeprefix(KEPT), kept) for key, kept in state.items() if key.startswith(KEPT)]

    # -- the work ------------------------------------------------------------------------------------

    async def speak(self) -> None:
        """Say what waits, for as long as this runs."""
        while True:
            self._wake.clear()
            able = self._look()
            await self._settle()
            one = self._next() if able else None
            if one is None:
                await self._until_woken()
                continue
            await self._say(one)

    def _next(self) -> Saying | None:
        moment = Moment(time.time(), self._attended(), self._hearing.person_speaks)
        return next_to_say(self._waiting(), moment)

    async def _until_woken(self) -> None:
        """Until something changes, the first of what waits has waited too long, or what is missing may be there."""
        waiting = self._waiting()
        ends = [max(0.05, one.until - time.time()) for one in waiting]
        if self.trouble is not None:
            ends.append(RETRY_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(ends, default=None)):
                await self._wake.wait()

    def _look(self) -> bool:
        """Whether it is worth trying to speak here, as far as that can be told without speaking."""
        there = machine.sound_at()
        if there != self._there:
            self._broken = None
        found = machine.lacking("audio")
        if found is None:
            try:
                self._voice()
            except LigandError as error:
                found = Trouble(f"it cannot speak: {error.message}", NO_VOICE)
        if found is None and not there:
            found = Trouble("no loudspeaker was found", NO_LOUDSPEAKER)
        self._tell(found or self._broken)
        return found is None

    def _voice(self) -> voices.Voice:
        wanted = self._daemon.config["speaking"]
        return voices.find(wanted["engine"], wanted["voice"], wanted["model"], self._daemon.config["language"])

    def _tell(self, trouble: Trouble | None) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._changed()

    async def _settle(self) -> None:
        """Tell of what is over: said before a crash, given up after two, or not said in time."""
        now = time.time()
        for one in self._waiting():
            how = self._ledger.ended(one.id)
            if how is None and self._ledger.begun(one.id) >= TRIES:
                how = {"reason": "crashed", "detail": "Its speaking was cut short twice."}
            elif how is None and one.until <= now:
                why = self.trouble.reason if self.trouble is not None else "Nobody attended in time."
                how = {"reason": "unable" if self.trouble is not None else "expired", "detail": why}
            if how is not None:
                await self._over(one, how)

    async def _over(self, one: Saying, how: Mapping[str, Any]) -> None:
        """Tell how it ended, and forget it, as one step; an id by the text's own keeps that single."""
        name = "Q_SPEAK_FAILED" if "reason" in how else "Q_SPOKEN"
        if self._ledger.ended(one.id) is None:
            self._ledger.end(one.id, dict(how))
        cause = Signal("Q_SPEAK", one.id, "", "", "", 1, {})
        async with self._daemon.batch({f"{KEPT}{one.id}": None}) as emit:
            emit(name, {"text": one.text, **how}, key=f"over|{one.id}", because=[cause])
        self._daemon.log.info("said" if name == "Q_SPOKEN" else "not_said", cause=one.id, **how)

    async def _say(self, one: Saying) -> None:
        """Say one text, and see how it ends."""
        try:
            voice = self._voice()
            sound = await voices.speak(voice, one.text, one.voice)
        except voices.UnspeakableError as error:  # tried again and again it would keep all others from being said
            await self._over(one, {"reason": "unable", "detail": error.message[:1024]})
            return
        except LigandError as error:
            await self._cannot(Trouble(f"it cannot speak: {error.message}"[:400], NO_VOICE))
            return
        self._current, self._why_cut = one, ""
        how = None
        try:
            how = await self._play(one, sound, voice.engine)
        finally:
            self._current = None
            self._said = [*self._said[-7:], (time.monotonic(), one.text)]
            await self._hearing.silent()
        if how is not None:
            self._broken = None
            await self._over(one, how)

    async def _play(self, one: Saying, sound: voices.Sound, engine: str) -> dict[str, Any] | None:
        """How it was said; None when it made room, or could not be heard, and is to be said again."""
        mouth = await Child.start("mouth", {"device": self._daemon.config["loudspeaker"]})
        self._mouth = mouth
        try:
            last = await self._through(mouth, one, sound)
        finally:
            self._mouth = None
            await mouth.end()
        if last is not None and last["is"] in ("ended", "cut") and self._why_cut != "overtaken":
            how = {"duration_s": round(last["played_s"], 3), "engine": engine, "interrupted": last["is"] == "cut"}
            self._ledger.end(one.id, how)  # from this instant on it is not said again, whatever is killed
            return how
        if self._ledger.begun(one.id):
            self._ledger.again(one.id)
        if not self._why_cut:
            reason = last["reason"] if last is not None and last["is"] == "trouble" else mouth.last_words
            await self._cannot(Trouble(f"it cannot be heard: {reason}"[:400], NO_LOUDSPEAKER))
        return None

    async def _through(self, mouth: Child, one: Saying, sound: voices.Sound) -> dict[str, Any] | None:
        """Have it played, unless it must wait now; the last thing that the mouth said."""
        last = None
        try:
            async with asyncio.timeout(OPEN_S + sound.seconds):
                await mouth.tell({"rate": sound.rate}, sound.pcm)
                async for last, _ in mouth.all():
                    if last["is"] == "open":
                        if self._why_cut or self._next() != one:  # a person speaks by now, or something is urgent
                            self._why_cut = self._why_cut or "overtaken"
                            break
                        self._ledger.begin(one.id)
                        await mouth.tell({"op": "go"})
                    elif last["is"] == "begun":
                        await self._hearing.speaks(sound)
        except TimeoutError:
            return {"is": "trouble", "reason": "the loudspeaker hangs"}
        return last

    async def _cannot(self, trouble: Trouble) -> None:
        """Say so, and try again later, or when something was plugged in."""
        self._broken, self._there = trouble, machine.sound_at()
        self._tell(trouble)
        until = time.monotonic() + RETRY_S
        while time.monotonic() < until and self._broken is not None:
            await asyncio.sleep(LOOK_S)
            await self._settle()
            self._look()

    def _cut(self, why: str) -> None:
        if self._current is not None and not self._why_cut:
            self._why_cut = why
            if self._mouth is not None:
                self._mouth.ask_to_end()
