"""Hears signals about attention and what is to be said; says what it heard, said, and cannot do."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from services.audio_sensor.grammar import FILE, MOST_BYTES, Grammar, parse
from services.audio_sensor.hearing import Hearing, for_hearing
from services.audio_sensor.logic import Attention, Trouble, is_own_voice, told
from services.audio_sensor.recording import record
from services.audio_sensor.speaking import Speaking
from services.audio_sensor.understanding import Understood
from services.runtime import Daemon, Reject
from signals.envelope import Signal, unix_seconds
from signals.errors import ConfigError
from signals.files import read_regular
from signals.ids import uuid7

SETTLE_S = 10.0
daemon = Daemon("audio_sensor")


@dataclass
class _Desk:
    """What holds while the daemon runs."""

    attention: Attention = field(default_factory=lambda: Attention("push_to_talk", 0.0))
    asked: Signal | None = None
    """Who asked it to listen, as long as that holds."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    hearing: Hearing = field(init=False)
    speaking: Speaking = field(init=False)
    unkept: Trouble | None = None
    """Why an utterance could not be recorded."""


desk = _Desk()


@daemon.on_check
def commands() -> tuple[str, Grammar]:
    """The person's commands, as the file has them now. Raises `ConfigError` with the line."""
    path = daemon.paths.config / FILE
    try:
        text = read_regular(path, MOST_BYTES).decode("utf-8") if path.exists() else ""
    except OSError as error:
        raise ConfigError(f"audio_sensor: cannot read {path}: {error.strerror}", file=str(path), line=0) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"audio_sensor: {path} is no text in UTF-8: {error}", file=str(path), line=0) from error
    return text, parse(text, str(path))


@daemon.on_start
async def start() -> None:
    """Begin to listen and to speak. Raises `ConfigError` for commands that cannot be read."""
    config = daemon.config
    since = daemon.state.get("attention")
    desk.attention = Attention(config["attention"], config["attention_at_most_s"], since)
    desk.hearing = Hearing(_for_hearing(), daemon.log, _understood, desk.changed.set)
    desk.speaking = Speaking(daemon, desk.hearing, _is_there, desk.changed.set)
    desk.hearing.barge_in = desk.speaking.barge_in
    daemon.status("looking for a microphone")


def _for_hearing() -> dict[str, Any]:
    return for_hearing(daemon.config, commands()[0], daemon.paths.config / FILE)


@daemon.on_reload
async def reload() -> None:
    """Take the configuration as it now is; commands that cannot be read leave the old ones in force."""
    config = daemon.config
    await desk.hearing.take(_for_hearing())
    desk.attention.mode, desk.attention.at_most_s = config["attention"], config["attention_at_most_s"]
    desk.speaking.reload()
    desk.unkept = None
    desk.changed.set()


# Each of these goes on for as long as the daemon does; one that fails takes it down, to be started again.


@daemon.every(1.0)
async def keep_listening() -> None:
    """Keep an ear open."""
    await desk.hearing.listen()


@daemon.every(1.0)
async def keep_understanding() -> None:
    """Turn what was heard into text."""
    await desk.hearing.understanding.run()


@daemon.every(1.0)
async def keep_speaking() -> None:
    """Say what waits to be said."""
    await desk.speaking.speak()


# -- attention ---------------------------------------------------------------------------------------


@daemon.on("Q_ATTENTION_GAINED")
async def gained(signal: Signal, put: Any) -> None:
    """Somebody looks here."""
    at = unix_seconds(signal.timestamp)
    desk.attention.gained(at)
    put("attention", at)
    desk.changed.set()


@daemon.on("Q_ATTENTION_LOST")
async def lost(put: Any) -> None:
    """Nobody looks here any more."""
    _lose(put)


@daemon.on("Q_SENSOR_DEGRADED")
async def blind(put: Any) -> None:
    """The camera's daemon cannot tell any more whether somebody looks here."""
    _lose(put)


@daemon.on("Q_DAEMON_STOPPING")
async def gone(put: Any) -> None:
    """The camera's daemon goes."""
    _lose(put)


def _lose(put: Any) -> None:
    desk.attention.lost()
    put("attention", None)
    desk.changed.set()


@daemon.on("Q_LISTEN_WANTED")
async def listen(signal: Signal) -> None:
    """A person asks it to listen, whatever the eyes say."""
    until = unix_seconds(signal.timestamp) + signal.facts.get("for_s", daemon.config["listen_for_s"])
    if until > time.time():
        desk.attention.listen(until)
        desk.asked = signal
        desk.changed.set()


def _attended() -> bool:
    return desk.attention.until(time.time()) is not None


def _is_there() -> bool:
    return desk.attention.hears_answers(time.time())


@daemon.every(1.0)
async def keep_up() -> None:
    """Bring what hears and what speaks up to date whenever something changed, or attention ends by itself."""
    try:
        async with asyncio.timeout(SETTLE_S):
            await desk.hearing.settled.wait()
    except TimeoutError:
        daemon.log.warning("microphone_slow", waited_s=SETTLE_S)
    while True:
        desk.changed.clear()
        if desk.hearing.person_speaks:
            desk.attention.speaking(time.time() + daemon.config["detection"]["longest_s"], time.time())
        until = desk.attention.until(time.time())
        await desk.hearing.attend(until is not None)
        desk.speaking.wake()
        await _tell_health()
        left = None if until is None or until == float("inf") else max(0.0, until - time.time()) + 0.01
        try:
            async with asyncio.timeout(left):
                await desk.changed.wait()
        except TimeoutError:
            continue


# -- what was heard ----------------------------------------------------------------------------------


async def _understood(heard: Understood) -> None:
    """Tell what was understood, unless it was nothing, or its own voice."""
    if not heard.text or heard.confidence < daemon.config["hearing"]["least_confidence"]:
        daemon.log.info("not_understood", seconds=round(heard.duration_s, 2), confidence=heard.confidence)
        return
    if is_own_voice(heard.text, desk.speaking.lately(heard.began_at)):
        daemon.log.info("own_voice", seconds=round(heard.duration_s, 2))
        return
    facts = {
        "text": heard.text[:16384],
        "confidence": heard.confidence,
        "language": daemon.config["language"],
        "audio_duration_s": round(heard.duration_s, 3),
        "latency_s": {"vad": round(heard.vad_s, 3), "stt": round(heard.stt_s, 3)},
        "engine": heard.engine,
        "command": heard.command,
    }
    asked = desk.asked if desk.attention.listen_until > time.time() - heard.age_s else None
    desk.asked = None
    if daemon.config["record"]:
        await _keep(heard.pcm)
    await daemon.emit("Q_USER_VOICE", facts, because=[asked] if asked else [], taint=["microphone"])
    daemon.log.info("heard", confidence=heard.confidence, stt_s=round(heard.stt_s, 3), command=heard.command)
    desk.attention.answered(time.time())
    desk.changed.set()


async def _keep(pcm: bytes) -> None:
    """Have an utterance kept; where there is no room for it, it is told all the same."""
    folder = daemon.state_dir / "recordings"
    try:
        await asyncio.to_thread(record, folder, uuid7(), pcm)
        desk.unkept = None
    except OSError as error:
        daemon.log.warning("not_recorded", error=str(error))
        hint = f"See to {folder}, or set record: false in audio_sensor.yaml."
        desk.unkept = Trouble(f"what is understood cannot be recorded: {error.strerror}", hint)


# -- what is said ------------------------------------------------------------------------------------


@daemon.on("Q_SPEAK")
async def speak(signal: Signal) -> None:
    """Keep a text until it is said. What was recorded elsewhere is not said again here."""
    if "recording" in signal.taint:
        raise Reject("This comes from a recording; what acts in the world does not follow those.")
    await desk.speaking.add(signal)


# -- how it fares ------------------------------------------------------------------------------------


async def _tell_health() -> None:
    """Tell once when something is missing, and once when all is well again; a restart tells nothing anew."""
    troubles = (*desk.hearing.troubles.values(), desk.speaking.trouble, desk.unkept)
    now = told(one for one in troubles if one is not None)
    known = daemon.state.get("degraded")
    _say_status(now)
    if (now.reason if now else None) == (known["reason"] if known else None):
        return
    if now is not None:
        since = known["since"] if known else time.time()
        async with daemon.batch({"degraded": {"reason": now.reason, "since": since}}) as emit:
            emit("Q_SENSOR_DEGRADED", sensor=daemon.name, reason=now.reason, hint=now.hint)
    elif known is not None:
        lasted = max(0.0, round(time.time() - known["since"], 3))
        async with daemon.batch({"degraded": None}) as emit:
            emit("Q_SENSOR_RECOVERED", sensor=daemon.name, reason=f"no more: {known['reason']}"[:512], lasted_s=lasted)
    daemon.log.info("health", reason=now.reason if now else "well")


def _say_status(trouble: Trouble | None) -> None:
    if trouble is not None:
        daemon.status(": ".join(filter(None, (trouble.reason, trouble.hint))), degraded=True)
        return
    doing = "listening" if _attended() else f"waiting for attention ({desk.attention.mode})"
    daemon.status(f"{doing}; sound was lost {times} times" if (times := desk.hearing.overruns) else doing)
