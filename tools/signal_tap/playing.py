"""What a recording becomes when it is played. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from signals.catalogue import Catalogue, Contract
from signals.envelope import BUS_FIELDS, Signal, from_dict
from signals.masking import MASK
from tools.signal_tap.measures import unix

LIVE_KINDS = frozenset({"intent", "advisory", "sensor"})
RECORDING = "recording"
PERSON = "person@"
_UNFIT = re.compile(r"[^\w.-]")
Envelope = Mapping[str, Any]


@dataclass(slots=True)
class Replica:
    """The same stories: ids, causes, facts, times and taint as recorded; sources as `person@SOURCE`.

    Only a daemon itself may speak as a daemon; on a bus of their own people may speak for it. A cause that is not
    in the recording, or does not fit its contract, is left out. `adrift` counts what then begins a story.
    """

    catalogue: Catalogue
    adrift: int = 0
    skipped: int = 0
    _known: set[str] = field(default_factory=set)

    def signals(self, recorded: Iterable[Envelope]) -> Iterator[tuple[Envelope, Signal]]:
        """Each envelope and what is emitted for it. Raises `MalformedError`."""
        for envelope in recorded:
            yield envelope, self._signal(envelope)
            contract = self.catalogue.get(str(envelope.get("signal")))
            if contract and contract.delivery == "durable" and contract.is_valid(envelope.get("facts")):
                self._known.add(str(envelope.get("id")))

    def _signal(self, envelope: Envelope) -> Signal:
        fields = {key: value for key, value in envelope.items() if key not in BUS_FIELDS}
        named = [fields.pop("causation_id", None), *fields.pop("also_caused_by", ())]
        causes = [cause for cause in named if cause in self._known]
        self.adrift += bool(any(named) and not causes)
        if causes:
            fields["causation_id"] = causes[0]
        if causes[1:]:
            fields["also_caused_by"] = causes[1:]
        return from_dict(fields | {"source": as_person(str(fields.get("source")))})


@dataclass(slots=True)
class Anew:
    """For the running bus: what people may say, under new ids and times, as roots by `source`, tainted.

    `skipped` counts what people may not say, and what had secrets that the recording does not hold.
    """

    catalogue: Catalogue
    source: str
    host: str
    stamp: Any
    new_id: Any
    adrift: int = 0
    skipped: int = 0

    def signals(self, recorded: Iterable[Envelope]) -> Iterator[tuple[Envelope, Signal]]:
        """Each envelope that may be played and what is emitted for it. Raises `MalformedError`."""
        for envelope in recorded:
            contract = self.catalogue.get(str(envelope.get("signal")))
            if contract is None or contract.kind not in LIVE_KINDS or has_masks(contract, envelope.get("facts")):
                self.skipped += 1
                continue
            kept = {key: envelope[key] for key in ("signal", "version", "facts") if key in envelope}
            taint = sorted({*(envelope.get("taint") or ()), RECORDING})
            own = {"id": self.new_id(), "timestamp": self.stamp(), "source": self.source, "host": self.host}
            yield envelope, from_dict({**kept, **own, "taint": taint})


def has_masks(contract: Contract, facts: Any) -> bool:
    """Whether recorded facts have a mask where a secret was."""
    return bool(contract.secrets) and f'"{MASK}"'.encode() in orjson.dumps(facts)


def as_person(source: str) -> str:
    """The name under which people speak for a source."""
    return source if source.startswith(PERSON) else PERSON + _UNFIT.sub(".", source)


def moment(envelope: Envelope) -> float | None:
    """When a recorded signal came, in Unix seconds."""
    return unix(envelope.get("received_at") or envelope.get("timestamp"))


def batches(played: Iterable[tuple[Envelope, Signal]], most: int) -> Iterator[list[tuple[Envelope, Signal]]]:
    """Runs of up to `most` signals."""
    held: list[tuple[Envelope, Signal]] = []
    for one in played:
        held.append(one)
        if len(held) == most:
            yield held
            held = []
    if held:
        yield held
