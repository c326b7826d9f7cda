"""Rates, sizes and delays from what signals say of themselves. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from math import ceil
from statistics import pstdev
from typing import Any

WINDOW = 1000
Envelope = Mapping[str, Any]


@dataclass(slots=True)
class Flow:
    """Arrivals of one signal: times (Unix seconds) and sizes (bytes) of the last ones, and how many in all."""

    name: str
    times: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    sizes: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))
    count: int = 0

    def add(self, at: float, size: int) -> None:
        """One more."""
        self.times.append(at)
        self.sizes.append(size)
        self.count += 1

    @property
    def span_s(self) -> float:
        """Seconds from the first to the last that is remembered."""
        return max(0.0, self.times[-1] - self.times[0])

    def rate(self) -> dict[str, Any]:
        """Signals a second, and the gaps between them in seconds."""
        gaps = [after - before for before, after in pairwise(self.times)]
        return {
            "signal": self.name,
            "count": self.count,
            "window": len(self.times),
            "rate_per_s": round(len(gaps) / self.span_s, 3) if gaps and self.span_s else None,
            "gap_min_s": round(min(gaps), 6) if gaps else None,
            "gap_max_s": round(max(gaps), 6) if gaps else None,
            "gap_stddev_s": round(pstdev(gaps), 6) if gaps else None,
        }

    def size(self) -> dict[str, Any]:
        """Bytes a second, and the sizes of envelopes in bytes."""
        whole = sum(self.sizes)
        return {
            "signal": self.name,
            "count": self.count,
            "window": len(self.sizes),
            "bytes_per_s": round(whole / self.span_s) if len(self.sizes) > 1 and self.span_s else None,
            "bytes_mean": round(whole / len(self.sizes)),
            "bytes_min": min(self.sizes),
            "bytes_max": max(self.sizes),
        }


class Flows:
    """The flow of each signal, and of all together."""

    ALL = "*"

    def __init__(self) -> None:
        self._by_name: dict[str, Flow] = {}

    def add(self, envelope: Envelope, size: int) -> None:
        """One more signal of so many bytes."""
        at = unix(envelope.get("received_at") or envelope.get("timestamp"))
        for name in (str(envelope.get("signal")), self.ALL):
            if at is not None:
                self._by_name.setdefault(name, Flow(name)).add(at, size)

    def __iter__(self) -> Iterator[Flow]:
        """Each by name, and their sum last."""
        names = sorted(name for name in self._by_name if name != self.ALL)
        several = [self.ALL] if len(names) > 1 else []
        return iter([self._by_name[name] for name in (*names, *several)])


@dataclass(slots=True)
class Delays:
    """How long signals of one name took: from emit to the bus, and from there to the end of their handling."""

    name: str
    to_bus: list[float] = field(default_factory=list)
    handled: dict[str, list[float]] = field(default_factory=dict)

    def rows(self) -> list[dict[str, Any]]:
        """One for each leg, in seconds."""
        legs: list[tuple[str, str | None, list[float]]] = [("emit → bus", None, self.to_bus)]
        legs += [("bus → handled", by, self.handled[by]) for by in sorted(self.handled)]
        return [{"signal": self.name, "leg": leg, "by": by, **summary(values)} for leg, by, values in legs if values]


def delays(sample: Iterable[Envelope], effects: Mapping[str, Sequence[Envelope]]) -> list[Delays]:
    """The delays of signals; `effects` are what followed directly from each, by its id.

    A handling is seen by what its handler emitted: that becomes true together with the acknowledgement, so the
    last effect under an id of the cause's own time is its end. A handler that emits nothing leaves no trace.
    """
    found: dict[str, Delays] = {}
    for envelope in sample:
        name, signal_id = str(envelope["signal"]), str(envelope["id"])
        sent, received = unix(envelope.get("timestamp")), unix(envelope.get("received_at"))
        if received is None:
            continue
        own = found.setdefault(name, Delays(name))
        if sent is not None:
            own.to_bus.append(received - sent)
        for by, ended in _ends(signal_id, effects.get(signal_id, ())).items():
            own.handled.setdefault(by, []).append(max(0.0, ended - received))
    return [found[name] for name in sorted(found)]


def _ends(cause: str, effects: Sequence[Envelope]) -> dict[str, float]:
    """When each daemon's handling of `cause` ended."""
    ends: dict[str, float] = {}
    for effect in effects:
        at, by = unix(effect.get("received_at")), str(effect.get("source"))
        if at is not None and by != "bus" and is_derived(str(effect["id"]), cause):
            ends[by] = max(at, ends.get(by, at))
    return ends


def is_derived(effect: str, cause: str) -> bool:
    """Whether an id was made while its cause was handled: it keeps the cause's time, and is a UUIDv8."""
    return effect[:13] == cause[:13] and effect[14:15] == "8"


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Count, percentiles and largest of some seconds."""
    ordered = sorted(values)
    return {
        "count": len(ordered),
        **{f"p{percent}_s": round(percentile(ordered, percent), 6) for percent in (50, 90, 99)},
        "max_s": round(ordered[-1], 6),
    }


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest of the ordered values that `percent` % of them do not exceed."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def unix(text: object) -> float | None:
    """Unix seconds of an RFC 3339 time; None when it is none."""
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None
