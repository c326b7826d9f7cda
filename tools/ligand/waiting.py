"""Who has yet to handle a signal, as manifests and the journal's cursors tell it; the bus may be down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from services.runtime.manifest import MAIN, Manifest, Subscription
from signals.catalogue import Catalogue
from signals.journal import ConsumerRow, Journal
from tools.text import clean, shorten


class Waiting:
    """Where each consumer stands, read once."""

    def __init__(self, journal: Journal, manifests: Iterable[Manifest], catalogue: Catalogue) -> None:
        self._journal = journal
        self._manifests = {manifest.daemon: manifest for manifest in manifests}
        self._catalogue = catalogue
        self._rows = journal.consumers()

    def of(self, envelope: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """(consumer, how it stands) of each that has not settled the signal."""
        seq = int(envelope.get("seq") or 0)
        for row in self._rows:
            if not self._takes(row, envelope):
                continue
            aside = [found for found in self._journal.asides(row.consumer) if found[0] == seq]
            if aside:
                _, attempts, error = aside[0]
                said = f": {shorten(clean(error).rstrip('. '), 200)}" if error else ""
                yield row.consumer, f"which failed {attempts} times{said}" if attempts else "which is to get it again"
            elif row.cursor < seq:
                yield row.consumer, "which has not handled it yet"

    def _takes(self, row: ConsumerRow, envelope: Mapping[str, Any]) -> bool:
        contract = self._catalogue.get(str(envelope["signal"]))
        daemon, at, instance = row.daemon.partition("@")
        manifest = self._manifests.get(daemon)
        if contract is None or manifest is None:
            return False
        lines = (manifest.instance(instance) if at else manifest).subscriptions(contract)
        first = next((line for line in lines if not line.where or line.matches(envelope["facts"])), None)
        return first is not None and _key(row.daemon, first) == row.consumer


def _key(daemon: str, line: Subscription) -> str:
    return daemon if line.lane == MAIN else f"{daemon}.{line.lane}"
