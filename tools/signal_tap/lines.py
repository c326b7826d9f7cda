"""One signal on one line, cut to the columns of the terminal. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

from rich.cells import cell_len, set_cell_size

from tools.signal_tap.conditions import plain
from tools.text import clean, key_facts, shorten

Stamping = Literal["abs", "delta", "zero"]
STAMPS: tuple[Stamping, ...] = ("abs", "delta", "zero")
Segment = tuple[str, str | None]
WIDE = 200
NARROW = 110
"""Below so many columns nothing is padded into columns of its own."""
NAME_ROOM = 28
"""What a name needs: where nothing is left of that many columns, the number and the time before it are left out."""
LEAST_FACTS = 40
COLOURS = {
    "intent": "cyan",
    "advisory": "blue",
    "trigger": "magenta",
    "completion": "green",
    "error": "red",
    "sensor": "yellow",
    "model": "bright_cyan",
    "system": "bright_black",
}
_ANSI = {
    "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36,
    "bright_black": 90, "bright_cyan": 96,
}  # fmt: skip


class Stamps:
    """Says when a signal came: at what time, how long after the one before, or after the first."""

    def __init__(self, stamping: Stamping = "abs", zone: tzinfo | None = None) -> None:
        self._stamping = stamping
        self._zone = zone
        self._base: float | None = None

    def of(self, envelope: Mapping[str, Any], *, iso: bool = False) -> str:
        """The time at which the bus had it."""
        text = str(envelope.get("received_at") or envelope.get("timestamp") or "")
        if self._stamping == "abs":
            return iso_time(text, self._zone) if iso else short_time(text, self._zone)
        return self._since(text)

    def _since(self, text: str) -> str:
        try:
            now = datetime.fromisoformat(text).timestamp()
        except ValueError:
            return f"{'?':>14}"
        base = now if self._base is None else self._base
        self._base = now if self._stamping == "delta" else base
        return f"{now - base:>+14.6f}"


def segments(
    envelope: Mapping[str, Any],
    stamp: str,
    style: Callable[[str], str | None],
    width: int | None,
    chosen: str | None = None,
) -> list[Segment]:
    """The parts of a line and their colours; `chosen` stands in the place of the facts. `width` None: all of them."""
    name, source, seq = clean(envelope.get("signal")), clean(envelope.get("source")), envelope.get("seq")
    taint = "".join(f" !{clean(label)}" for label in envelope.get("taint") or ())
    number = str(seq) if seq is not None else "live"
    if width is None or width >= NARROW:
        head = [f"{stamp} {number:>7} ", f"{shorten(name, 40):<26}", f" {shorten(source, 28):<20} "]
    else:
        head = [before_name(stamp, number, width), name, f" {shorten(source, 28)} "]
    facts = envelope.get("facts")
    if chosen is not None:
        said = chosen
    elif width is None:
        said = all_of(facts)
    else:
        said = key_facts(facts, max(width - sum(map(len, head)) - len(taint), LEAST_FACTS))
    return [(head[0], None), (head[1], style(name)), (head[2], "bright_black"), (said, None), (taint, "yellow")]


def before_name(stamp: str, number: str, width: int) -> str:
    """As much of a time and a number as leaves room for a name in so many columns: both, the number, or nothing."""
    room = width - NAME_ROOM
    whole = f"{stamp} {number} "
    return whole if len(whole) <= room else f"{number} " if len(number) < room else ""


def all_of(facts: Any) -> str:
    """Every fact on one line, uncut."""
    if not isinstance(facts, Mapping):
        return clean(plain(facts))
    return " ".join(f"{clean(key)}={clean(plain(value))}" for key, value in facts.items())


def cut(parts: Iterable[Segment], width: int | None) -> list[Segment]:
    """As much of a line as fits into `width` columns, with a mark where it was cut."""
    if width is None:
        return list(parts)
    kept: list[Segment] = []
    left = width
    for text, style in parts:
        size = cell_len(text)
        if size > left:
            kept.append((f"{set_cell_size(text, max(left - 1, 0))}…"[: max(left, 0)], style))
            break
        kept.append((text, style))
        left -= size
    return kept


def painted(parts: Iterable[Segment], colour: bool) -> str:
    """A line with its colours, when they are wanted."""
    if not colour:
        return "".join(text for text, _ in parts)
    return "".join(f"\x1b[{_ANSI[style]}m{text}\x1b[0m" if style and text else text for text, style in parts)


def short_time(text: str, zone: tzinfo | None = None) -> str:
    """An RFC 3339 time as `MM-DD HH:MM:SS.mmm` in a zone (None: local)."""
    try:
        when = datetime.fromisoformat(text).astimezone(zone)
    except ValueError:
        return f"{shorten(clean(text), 18):<18}"
    return f"{when:%m-%d %H:%M:%S}.{when.microsecond // 1000:03d}"


def iso_time(text: str, zone: tzinfo | None = None) -> str:
    """An RFC 3339 time with its offset in a zone (None: local), to the microsecond."""
    try:
        when = datetime.fromisoformat(text).astimezone(zone)
    except ValueError:
        return f"{shorten(clean(text), 32):<32}"
    whole = when.isoformat(timespec="microseconds")
    return whole.replace("+00:00", "Z") if zone is UTC else whole
