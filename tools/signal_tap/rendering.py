"""How signals are shown: short lines, JSON, tables. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any, Literal

import orjson
from rich.console import RenderableType

from signals.catalogue import Catalogue
from signals.masking import Masker
from tools.drawing import drawn
from tools.text import clean, clean_json, key_facts, shorten

Format = Literal["short", "json", "json-pretty"]
FORMATS = ("short", "json", "json-pretty")
WIDE = 200
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


class Painter:
    """Shows signals as one catalogue knows them, their secret facts masked."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        colour: bool = False,
        terminal: bool = False,
        width: int = WIDE,
        zone: tzinfo | None = None,
    ) -> None:
        """`terminal`: JSON also escapes what a terminal would obey; `zone`: of short times, None is local."""
        self.catalogue = catalogue
        self.colour = colour
        self.terminal = terminal
        self.width = width
        self.masker = Masker(catalogue.versions.values())
        self._kinds = {name: contract.kind for name, contract in catalogue.items()}
        self._zone = zone

    def shower(self, form: Format) -> Callable[[bytes], bytes]:
        """The function that turns a journaled envelope into what is printed, without the last line break."""
        return {"short": self.short, "json": self.json, "json-pretty": self.pretty}[form]

    def json(self, raw: bytes) -> bytes:
        """The whole envelope on one line, byte for byte as journaled unless something has to be hidden."""
        masked = self.masker.raw(raw)
        return clean_json(masked) if self.terminal else masked

    def pretty(self, raw: bytes) -> bytes:
        """The whole envelope over several lines."""
        masked = self.masker.raw(raw)
        indented = orjson.dumps(orjson.loads(masked), option=orjson.OPT_INDENT_2)
        return clean_json(indented) if self.terminal else indented

    def short(self, raw: bytes) -> bytes:
        """Time, sequence number, signal, source and the most telling facts on one line."""
        envelope = self.masker.envelope(orjson.loads(raw))
        name, seq = clean(envelope.get("signal")), envelope.get("seq")
        head = f"{self.time(envelope)} {seq if seq is not None else 'live':>7} "
        signal = self.paint(f"{shorten(name, 40):<26}", self.style(name))
        source = self.paint(f" {shorten(clean(envelope.get('source')), 28):<20} ", "bright_black")
        used = len(head) + max(len(name), 26) + 22
        taint = "".join(f" !{clean(label)}" for label in envelope.get("taint") or ())
        facts = key_facts(envelope.get("facts"), max(self.width - used - len(taint), 40))
        return f"{head}{signal}{source}{facts}{self.paint(taint, 'yellow')}".encode()

    def time(self, envelope: Mapping[str, Any]) -> str:
        """`MM-DD HH:MM:SS.mmm`, when the bus had it."""
        return short_time(str(envelope.get("received_at") or envelope.get("timestamp") or ""), self._zone)

    def style(self, name: str) -> str | None:
        """The colour of a signal's kind."""
        return COLOURS.get(self._kinds.get(name, ""))

    def paint(self, text: str, style: str | None) -> str:
        """`text` in a colour, when there are colours."""
        return f"\x1b[{_ANSI[style]}m{text}\x1b[0m" if self.colour and style and text else text

    def draw(self, renderable: RenderableType, least: int = 0) -> str:
        """A table or tree of rich as text, in no fewer than `least` columns."""
        return drawn(renderable, colour=self.colour, width=max(self.width, least))


def short_time(text: str, zone: tzinfo | None = None) -> str:
    """An RFC 3339 time as `MM-DD HH:MM:SS.mmm` in a zone (None: local)."""
    try:
        when = datetime.fromisoformat(text).astimezone(zone)
    except ValueError:
        return f"{shorten(clean(text), 18):<18}"
    return f"{when:%m-%d %H:%M:%S}.{when.microsecond // 1000:03d}"
