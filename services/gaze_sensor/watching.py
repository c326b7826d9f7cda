"""Watches a camera for as long as there is one, and tells what changes."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from services.gaze_sensor import bundle, cameras, enrolment
from services.gaze_sensor.cameras import Target, Trouble
from services.gaze_sensor.logic import ENROLLED, NOBODY, Attention, Change, Factors, judge, nearest
from services.gaze_sensor.session import Session, session
from services.gaze_sensor.settings import Seeing, Settings
from services.runtime import Daemon
from signals.errors import ConfigError, PressureError

LOOK_S = 1.0
"""How often it is seen whether a camera, a face or a model has come, or has gone."""
SCORE_S = 0.5
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0
STEADY_S = 60.0
CLOSE_S = 2.0
SLOW_FPS, SLOW_S = 4.0, 3.0
"""A camera is too slow when it gave fewer frames a second for so long."""
ATTENDING, TROUBLE = "attending", "trouble"


class Watch:
    """What holds while the daemon runs."""

    settings: Settings
    _wanted: Seeing | Trouble

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._reloaded = asyncio.Event()
        self._attention: Attention | None = None
        self._delay_s = FIRST_DELAY_S
        self._degraded_at: float | None = None
        self._steady_from: float | None = None
        self._score_due = 0.0
        self._look_due = 0.0
        self._times: deque[float] = deque(maxlen=15)
        self._source = ""
        self._status = ""

    async def open(self) -> None:
        """Take the configuration as it now is. Raises `ConfigError`."""
        fresh = Settings.of(self._daemon.config)
        if self._attention is not None:
            self._attention.times = fresh.times
        self.settings = fresh
        self._wanted = self._as_it_is()
        self._delay_s = FIRST_DELAY_S  # who reloads may have mended it
        self._reloaded.set()

    async def close(self) -> None:
        """Who stops looking takes back that somebody attends; if that cannot be told now, the next start tells it."""
        with suppress(TimeoutError, PressureError):
            async with asyncio.timeout(CLOSE_S):
                await self._nobody_attends()

    async def watch(self) -> None:
        """Look once for a camera and, while there is one, through it."""
        self._reloaded.clear()
        try:
            await self._look()
        except PressureError as error:  # nothing is told now; it is tried again, without starting a child all the time
            self._daemon.log.warning("put_off", task="watch", error=error.message)
            await self._pause(None, LONGEST_DELAY_S)

    async def _look(self) -> None:
        await self._nobody_attends()
        if not self.settings.enabled:
            await self._recover("it is switched off")
            self._say("switched off")
            await self._reloaded.wait()
            return
        target = self._find()
        if isinstance(target, Trouble):
            await self._degrade(target)
            self._delay_s = FIRST_DELAY_S  # for the camera that comes
            await self._pause(target, LOOK_S)
            return
        trouble = await self._through(target)
        await self._nobody_attends()
        if trouble is not None:
            await self._degrade(trouble)
            await self._pause(target, float("inf") if target.is_film else self._delay_s)
            self._delay_s = min(LONGEST_DELAY_S, 2 * self._delay_s)

    def _as_it_is(self) -> Seeing | Trouble:
        """What to look at and for, with the model and the enrolled face that are there by now."""
        seeing = replace(self.settings.seeing, model_stamp=bundle.stamp(self.settings.seeing.model))
        if seeing.face != ENROLLED:
            return seeing
        try:
            return replace(seeing, enrolled=enrolment.load(self._daemon.paths.state_of(self._daemon.name)))
        except ConfigError as error:
            return Trouble(error.message, enrolment.AGAIN)

    def _find(self) -> Target | Trouble:
        self._wanted = wanted = self._as_it_is()
        return wanted if isinstance(wanted, Trouble) else cameras.find(wanted)

    async def _pause(self, target: Target | Trouble | None, seconds: float) -> None:
        """Wait, but not beyond a change of the configuration or of what is plugged in."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._reloaded.is_set():
            try:
                async with asyncio.timeout(min(LOOK_S, left)):
                    await self._reloaded.wait()
            except TimeoutError:
                if target is not None and self._find() != target:
                    return

    # -- while a child looks -------------------------------------------------------------------------

    async def _through(self, target: Target) -> Trouble | None:
        """Look through a camera until it ends; why, unless something else is wanted by now."""
        self._attention, self._steady_from = Attention(self.settings.times), None
        self._times.clear()
        if not self._is_degraded:
            self._say(f"opening {', '.join(map(cameras.shown, target.sources))}")
        async with session(target) as child:
            while self.settings.enabled and self._wanted == target.seeing:
                try:
                    told = await child.next()
                except TimeoutError:
                    child.kill()
                    return cameras.HUNG
                if told is None:
                    return await self._ended(child)
                if "ended" in told:
                    return cameras.ended(told, target.sources)
                await self._hear(told)
                if (now := time.monotonic()) >= self._look_due:
                    self._look_due, self._wanted = now + LOOK_S, self._as_it_is()
        return None

    async def _ended(self, child: Session) -> Trouble:
        code, said = await child.end()
        self._daemon.log.warning("engine_ended", status=code, said=said)
        return cameras.crashed(code, said, self.settings.seeing.model)

    async def _hear(self, told: Mapping[str, Any]) -> None:
        if "source" in told:
            self._source = told["source"]
            self._daemon.log.info("camera", source=cameras.shown(self._source), size=[told["width"], told["height"]])
            return
        assert self._attention is not None
        self._times.append(told["t"])
        factors = judge(nearest(told["faces"]), self.settings.bounds)
        change = self._attention.feed(told["t"], factors.score)
        if change is not None:
            await self._tell(change, factors)
        await self._judge_camera()
        self._show(factors, told["seen"])

    @property
    def _fps(self) -> float:
        between = self._times[-1] - self._times[0] if self._times else 0.0
        return (len(self._times) - 1) / between if between > 0 else 0.0

    async def _judge_camera(self) -> None:
        now = time.monotonic()
        least = min(SLOW_FPS, self.settings.seeing.fps / 2)
        if self._times[-1] - self._times[0] >= SLOW_S and self._fps < least:
            self._steady_from = None
            await self._degrade(cameras.too_slow(least, self._source))
            return
        self._steady_from = now if self._steady_from is None else self._steady_from
        steady_s = now - self._steady_from
        if self._is_degraded and steady_s >= self._delay_s:
            await self._recover(f"{cameras.shown(self._source)} gives frames")
        if steady_s >= STEADY_S:
            self._delay_s = FIRST_DELAY_S

    def _show(self, factors: Factors, faces: int) -> None:
        if (now := time.monotonic()) < self._score_due or self._attention is None:
            return
        self._score_due = now + SCORE_S
        smoothed, fps = round(self._attention.smoothed, 3), round(self._fps, 1)
        facts = {"score": round(factors.score, 3), "smoothed": smoothed, "fps": fps, "faces": faces}
        self._daemon.emit_live("Q_ATTENTION_SCORE", facts)
        if not self._is_degraded:
            attends = "somebody attends" if ATTENDING in self._daemon.state else "nobody attends"
            self._say(f"{attends}; {cameras.shown(self._source)} at {self._fps:.0f} frames a second")

    # -- what is told --------------------------------------------------------------------------------

    def _say(self, status: str, *, degraded: bool = False) -> None:
        if status != self._status:
            self._status = status
            self._daemon.status(status, degraded=degraded)

    async def _tell(self, change: Change, factors: Factors) -> None:
        facts = factors.facts()
        if change.duration_s is not None:
            facts["duration_s"] = change.duration_s
        name = "Q_ATTENTION_GAINED" if change.gained else "Q_ATTENTION_LOST"
        async with self._daemon.batch({ATTENDING: True if change.gained else None}) as emit:
            emit(name, facts)
        self._daemon.log.info("attention", gained=change.gained, score=facts["score"])

    async def _nobody_attends(self) -> None:
        """Take back what was told before the camera ended, or this process was killed: nobody is seen any more."""
        attention, self._attention = self._attention, None
        if ATTENDING in self._daemon.state:
            change = attention.end() if attention is not None else None
            await self._tell(change or Change(False, None), NOBODY)

    @property
    def _is_degraded(self) -> bool:
        return TROUBLE in self._daemon.state

    async def _degrade(self, trouble: Trouble) -> None:
        """Tell of a trouble once, also across restarts."""
        self._say(f"{trouble.reason}: {trouble.hint}", degraded=True)
        if self._daemon.state.get(TROUBLE) == trouble.reason:
            return
        if not self._is_degraded:
            self._degraded_at = time.monotonic()
        async with self._daemon.batch({TROUBLE: trouble.reason}) as emit:
            emit("Q_SENSOR_DEGRADED", trouble.facts(self._daemon.name))
        self._daemon.log.warning("degraded", reason=trouble.reason, hint=trouble.hint)

    async def _recover(self, why: str) -> None:
        if not self._is_degraded:
            return
        facts: dict[str, Any] = {"sensor": self._daemon.name, "reason": why[:512]}
        if self._degraded_at is not None:
            facts["lasted_s"] = round(time.monotonic() - self._degraded_at, 3)
        async with self._daemon.batch({TROUBLE: None}) as emit:
            emit("Q_SENSOR_RECOVERED", facts)
        self._degraded_at = None
        self._daemon.log.info("recovered", reason=why)
