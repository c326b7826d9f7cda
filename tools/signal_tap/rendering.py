"""How signals are shown: short lines, JSON, tables. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any, Literal

import orjson
from rich.console import RenderableType
from rich.text import Text

from signals.catalogue import Catalogue
from signals.masking import LetterOf, Masker
from tools.drawing import drawn
from tools.signal_tap import exporting
from tools.signal_tap.conditions import ABSENT, value_at
from tools.signal_tap.exporting import Path, pruned
from tools.signal_tap.lines import COLOURS, WIDE, Stamping, Stamps, cut, painted, segments, short_time
from tools.text import clean, clean_json

__all__ = ["FORMATS", "WIDE", "Format", "Painter", "short_time"]

Format = Literal["short", "short-iso", "json", "json-pretty", "cat", "csv", "cloudevents"]
FORMATS: tuple[Format, ...] = ("short", "short-iso", "json", "json-pretty", "cat", "csv", "cloudevents")
LISTED: tuple[Format, ...] = ("short", "json", "json-pretty")
"""The forms of what is no signal: tables, and the same as JSON."""
Envelope = Mapping[str, Any]


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
        fields: tuple[Path, ...] = (),
        stamps: Stamping = "abs",
        full: bool = False,
        letter_of: LetterOf | None = None,
    ) -> None:
        """`terminal`: JSON also escapes what a terminal would obey; `zone`: of short times, None is local.

        `fields`: only these are shown; `stamps`: times as they are, since the one before or since the first;
        `full`: nothing is cut to `width` columns; `letter_of`: as the masker takes it.
        """
        self.catalogue = catalogue
        self.colour = colour
        self.terminal = terminal
        self.width = width
        self.full = full
        self.fields = fields
        self.masker = Masker(catalogue.versions.values(), letter_of)
        self._kinds = {name: contract.kind for name, contract in catalogue.items()}
        self._zone = zone
        self._stamps = Stamps(stamps, zone)

    def shower(self, form: Format) -> Callable[[bytes], bytes]:
        """The function that turns a journaled envelope into what is printed, without the last line break."""
        showers: dict[Format, Callable[[bytes], bytes]] = {
            "short": self.short,
            "short-iso": self.short_iso,
            "json": self.json,
            "json-pretty": self.pretty,
            "cat": self.cat,
            "csv": self.csv,
            "cloudevents": self.cloudevent,
        }
        return showers[form]

    def heading(self, form: Format) -> bytes | None:
        """What is printed before the first signal."""
        return exporting.csv_line([".".join(path) for path in self._columns()]) if form == "csv" else None

    # -- for programs --------------------------------------------------------------------------------

    def json(self, raw: bytes) -> bytes:
        """The whole envelope on one line, byte for byte as journaled unless something has to be hidden."""
        masked = self.masker.raw(raw)
        if self.fields:
            masked = orjson.dumps(pruned(orjson.loads(masked), self.fields))
        return self._safe(masked)

    def pretty(self, raw: bytes) -> bytes:
        """The whole envelope over several lines."""
        envelope = orjson.loads(self.masker.raw(raw))
        shown = pruned(envelope, self.fields) if self.fields else envelope
        return self._safe(orjson.dumps(shown, option=orjson.OPT_INDENT_2))

    def cloudevent(self, raw: bytes) -> bytes:
        """A CloudEvent 1.0 in its JSON format."""
        envelope = self._masked(raw)
        event = exporting.cloudevent(envelope)
        if self.fields:
            event["data"] = pruned(envelope, self.fields).get("facts", {})
        return self._safe(orjson.dumps(event))

    def csv(self, raw: bytes) -> bytes:
        """One line of RFC 4180; what could steer a terminal, line breaks too, is shown as an escape."""
        envelope = self._masked(raw)
        return exporting.csv_line([exporting.cell(value_at(envelope, path)) for path in self._columns()])

    def _columns(self) -> tuple[Path, ...]:
        return self.fields or exporting.COLUMNS

    def cat(self, raw: bytes) -> bytes:
        """The facts alone, as JSON; with `fields` their values, between tabs."""
        envelope = self._masked(raw)
        if not self.fields:
            return self._safe(orjson.dumps(envelope.get("facts")))
        return "\t".join(exporting.cell(value_at(envelope, path)) for path in self.fields).encode()

    def _safe(self, raw: bytes) -> bytes:
        return clean_json(raw) if self.terminal else raw

    def _masked(self, raw: bytes) -> Envelope:
        return self.masker.envelope(orjson.loads(raw))

    # -- for people ----------------------------------------------------------------------------------

    def short(self, raw: bytes) -> bytes:
        """Time, sequence number, signal, source and the most telling facts on one line."""
        return self._line(raw, iso=False)

    def short_iso(self, raw: bytes) -> bytes:
        """The same with the date in full."""
        return self._line(raw, iso=True)

    def _line(self, raw: bytes, *, iso: bool) -> bytes:
        envelope = self._masked(raw)
        width = None if self.full else self.width
        parts = segments(envelope, self._stamps.of(envelope, iso=iso), self.style, width, self._chosen(envelope))
        return painted(cut(parts, width), self.colour).encode()

    def _chosen(self, envelope: Envelope) -> str | None:
        if not self.fields:
            return None
        values = ((".".join(path), value_at(envelope, path)) for path in self.fields)
        return " ".join(f"{name}={exporting.cell(value)}" for name, value in values if value is not ABSENT)

    def style(self, name: str) -> str | None:
        """The colour of a signal's kind."""
        return COLOURS.get(self._kinds.get(name, ""))

    def paint(self, text: str, style: str | None) -> str:
        """`text` in a colour, when there are colours."""
        return painted([(text, style)], self.colour)

    def moment(self, text: object) -> str:
        """A time of RFC 3339, short."""
        return short_time(clean(text), self._zone)

    def text(self, name: str) -> Text:
        """A signal's name in the colour of its kind, for tables."""
        return Text(clean(name), style=self.style(name) or "")

    def draw(self, renderable: RenderableType, least: int = 0) -> str:
        """A table or tree of rich as text, in no fewer than `least` columns."""
        return drawn(renderable, colour=self.colour, width=max(self.width, least))
