"""What `top` shows: signals by rate, consumers by lag, the last errors. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from tools.drawing import Column, Listing, Screen, fitting
from tools.signal_tap.consumers import table as consumer_table
from tools.signal_tap.lines import LEAST_FACTS
from tools.signal_tap.rates import bytes_text
from tools.signal_tap.rendering import Painter
from tools.signal_tap.types import rate_text
from tools.text import clean, key_facts

OVER_S = 10.0
ERRORS = 8
Row = Mapping[str, Any]


@dataclass(slots=True)
class Counts:
    """How many of each signal there have been, at several times; the rates between them."""

    _seen: deque[tuple[float, dict[str, int]]] = field(default_factory=deque)

    def note(self, at_s: float, counts: dict[str, int]) -> None:
        """What was counted at a time; what is older than it must be for the rate is forgotten."""
        if self._seen and any(counts.get(name, 0) < count for name, count in self._seen[-1][1].items()):
            self._seen.clear()  # the bus has begun to count anew
        self._seen.append((at_s, counts))
        while len(self._seen) > 2 and at_s - self._seen[1][0] >= OVER_S:
            self._seen.popleft()

    def rates(self) -> dict[str, float]:
        """Signals a second of each name that there is."""
        if len(self._seen) < 2:
            return {}
        (began, before), (ended, after) = self._seen[0], self._seen[-1]
        span = max(ended - began, 1e-9)
        return {name: (count - before.get(name, 0)) / span for name, count in after.items()}


@dataclass(slots=True)
class Board:
    """What is known at one time. `rates` are signals a second; `status` is None while the bus does not answer."""

    rates: Mapping[str, float]
    over: str
    totals: Mapping[str, int]
    consumers: Sequence[dict[str, Any]]
    errors: Sequence[Row]
    status: Row | None
    dead: int

    def to_json(self) -> dict[str, Any]:
        """As `-o json` prints it."""
        return {
            "signals": [
                {"signal": name, "rate_per_s": round(rate, 4), "count": self.totals.get(name)}
                for name, rate in by_rate(self.rates)
            ],
            "over": self.over,
            "consumers": by_lag(self.consumers),
            "errors": list(self.errors),
            "dead_letters": self.dead,
            "bus": self.status,
        }

    def drawn(self, paint: Painter, height: int | None) -> Screen:
        """The whole screen, in at most `height` lines."""
        room = None if height is None else max(height - 9 - min(len(self.errors), ERRORS), 2)
        signals, consumers = by_rate(self.rates), by_lag(self.consumers)
        if room is not None:
            signals = signals[: max(room - min(len(consumers), room // 2), 1)]
            consumers = consumers[: max(room - len(signals), 1)]
        return Screen(
            self._headline(paint.width),
            Text(),
            _signals(signals, self.totals, self.over, paint),
            Text(),
            consumer_table(consumers),
            Text(),
            *_errors(self.errors[-ERRORS:], paint),
        )

    def _headline(self, width: int) -> Text:
        whole = sum(self.rates.values())
        dead = f"{self.dead:,} dead letter{'s' * (self.dead != 1)}"
        if self.status is None:
            return _line(("The bus does not answer.", "red", 0), (dead, "red", 0), width=width)
        journal = f"journal {bytes_text(self.status['journal_bytes'])} of {bytes_text(self.status['budget_bytes'])}"
        paused = f"paused: {clean(', '.join(self.status['paused']))}" if self.status["paused"] else ""
        return _line(
            (f"#{self.status['head']:,}", "bold", 3),
            (rate_text(whole), "bold", 2),
            (journal, "", 4),
            (dead, "red" if self.dead else "", 0 if self.dead else 1),
            (paused, "yellow", 0),
            width=width,
        )


def _line(*parts: tuple[str, str, int], width: int) -> Text:
    """Parts, each (text, style, rank), side by side; where there is no room for all, the highest ranks are left out."""
    said = [part for part in parts if part[0]]
    kept = [said[n] for n in fitting([(cell_len(text), rank) for text, _, rank in said], width)]
    line = Text(no_wrap=True, overflow="ellipsis")
    for nth, (text, style, _) in enumerate(kept):
        line.append("  " * bool(nth)).append(text, style=style)
    return line


def by_rate(rates: Mapping[str, float]) -> list[tuple[str, float]]:
    """The most frequent first."""
    return sorted(rates.items(), key=lambda one: (-one[1], one[0]))


def by_lag(consumers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those furthest behind first."""
    return sorted(
        consumers, key=lambda one: (-(one["lag"] if one["lag"] is not None else one["behind"]), one["consumer"])
    )


def _signals(rates: list[tuple[str, float]], totals: Mapping[str, int], over: str, paint: Painter) -> Listing:
    shown = Listing(Column("SIGNAL"), Column(f"RATE ({over})", 1, right=True), Column("COUNT", 2, right=True))
    for name, rate in rates:
        shown.add(paint.text(name), rate_text(rate), f"{totals.get(name, 0):,}")
    return shown


def _errors(errors: Sequence[Row], paint: Painter) -> list[RenderableType]:
    if not errors:
        return [Text("No errors are kept.", style="bright_black", no_wrap=True, overflow="ellipsis")]
    lines: list[RenderableType] = [Text("LAST ERRORS", style="bold")]
    for error in errors:
        name = clean(error.get("signal"))
        parts = (paint.moment(error.get("received_at")), 2), (f"#{error.get('seq')}", 1), (name, 0)
        kept = fitting([(cell_len(text), rank) for text, rank in parts], paint.width * 2 // 3, 1)
        head = " ".join(parts[n][0] for n in kept) + " "
        facts = key_facts(error.get("facts"), max(paint.width - len(head) - 1, LEAST_FACTS))
        lines.append(Text(head, style="red", no_wrap=True, overflow="ellipsis").append(facts, style=""))
    return lines
