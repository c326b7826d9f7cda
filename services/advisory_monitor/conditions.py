"""From readings to what is told: the memory of each condition, and the signals that its edges lead to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from services.advisory_monitor.logic import Edge, Moment, Pace, Pending, Severity, Step, Told, step
from services.advisory_monitor.seen import Reading, Said, clean
from signals.envelope import rfc3339

LEAD = "edge"
MAX_STANDING = 200
_TEXTS = {"message": 1024, "hint": 1024, "subject": 512, "unit": 32, "value": 256, "threshold": 256}


@dataclass(slots=True)
class Conditions:
    """The conditions of one check; what is pending is forgotten with the process, what was told is kept."""

    name: str
    _pending: dict[str, Pending] = field(default_factory=dict)

    def judge(
        self, readings: Iterable[Reading], state: Mapping[str, Any], now: Moment, pace: Pace, *, whole: bool = True
    ) -> tuple[list[Said], dict[str, Any]]:
        """What is to be said, and what is to be put. Does not change what it is given.

        `whole`: all conditions were looked at, so that one without a reading has ended.
        """
        says: list[Said] = []
        puts: dict[str, Any] = {}
        lead = f"{LEAD}|{self.name}|"
        kept = {key: value for key, value in state.items() if key.startswith(lead)}
        now_there = {f"{lead}{_key(reading)}": reading for reading in map(_tidy, readings)}
        gone = {key: _gone(value) for key, value in kept.items() if whole or value["cleared"]}
        for key, reading in _bounded(gone | now_there, kept):
            before = Told.of_json(kept[key]) if key in kept else None
            found = step(before, self._pending.get(key), reading.severity, now, pace)
            self._note(key, found)
            if found.edge is not None and found.told is not None:
                says.append(_said(found.edge, found.told, before, reading, now))
            if found.told != before:
                puts[key] = None if found.told is None else _kept(found.told, reading)
        for key in [key for key in self._pending if key not in kept and key not in now_there]:
            del self._pending[key]
        return says, puts

    def _note(self, key: str, found: Step) -> None:
        self._pending.pop(key, None)
        if found.pending is not None:
            self._pending[key] = found.pending


def standing(state: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The conditions that were told and have not ended, as they were last told."""
    for key, value in state.items():
        if key.startswith(f"{LEAD}|") and not value["cleared"]:
            yield value


def severities(state: Mapping[str, Any], name: str) -> Iterator[tuple[tuple[str, str | None], Severity]]:
    """How bad each condition of one check is that was told and has not ended, by check and subject."""
    for key, value in state.items():
        if key.startswith(f"{LEAD}|{name}|") and not value["cleared"]:
            yield (value["check"], value["subject"]), value["severity"]


def _bounded(found: Mapping[str, Reading], kept: Mapping[str, Any]) -> Iterator[tuple[str, Reading]]:
    """All that were told already, and of the others the worst, so that the memory stays small."""
    room = MAX_STANDING - len(kept)
    for key, reading in sorted(found.items(), key=lambda item: item[1].severity != "critical"):
        if key in kept:
            yield key, reading
        elif reading.severity is not None and room > 0:
            room -= 1
            yield key, reading


def _tidy(reading: Reading) -> Reading:
    subject = clean(reading.subject)[: _TEXTS["subject"]] if reading.subject else None
    return replace(reading, subject=subject, message=clean(reading.message), hint=clean(reading.hint))


def _key(reading: Reading) -> str:
    return f"{reading.check}|{sha256((reading.subject or '').encode('utf-8', 'replace')).hexdigest()[:16]}"


def _kept(told: Told, reading: Reading) -> dict[str, Any]:
    known = {"check": reading.check, "subject": reading.subject, "unit": reading.unit, "threshold": reading.threshold}
    return told.as_json() | known


def _gone(kept: Mapping[str, Any]) -> Reading:
    """The reading of a condition that was told and of which the check says nothing any more."""
    what = kept["subject"] or kept["check"]
    message = f"{what}: nothing is wrong with it any more, or it is not watched any more"
    return Reading(kept["check"], None, "none", kept["threshold"], kept["unit"], message, subject=kept["subject"])


def _said(edge: Edge, told: Told, before: Told | None, reading: Reading, now: Moment) -> Said:
    facts: dict[str, Any] = {
        "check": reading.check,
        "severity": told.severity,
        "value": reading.value,
        "threshold": reading.threshold,
        "unit": reading.unit,
        "since": rfc3339(told.since),
        "message": reading.message,
        "hint": reading.hint,
    }
    facts |= {"subject": reading.subject} if reading.subject else {}
    facts = {name: _cut(name, value) for name, value in facts.items()}
    if edge is Edge.CLEARED and before is not None:
        facts["lasted_s"] = round(max(0.0, now.wall - before.since), 3)
        return Said("Q_HEALTH_CLEARED", facts, reading.because)
    return Said("Q_HEALTH_ALERT", facts | {"edge": str(edge)}, reading.because)


def _cut(name: str, value: Any) -> Any:
    return value[: _TEXTS.get(name, 4096)] if isinstance(value, str) else value
