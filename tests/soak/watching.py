"""Follows the journal during a soak, before it is pruned: which stories ended, how often, how long they took."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from signals.envelope import decode, unix_seconds
from signals.journal import Journal
from tests.support.load import INTENT_ENDS, STEPS
from tools.bench.report import percentile

DONE, ASKED = STEPS[-1], "Q_INTENT_READY"
TOLD = ("Q_CONSUMER_LAGGING", "Q_CONSUMER_RECOVERED", "Q_JOURNAL_PRESSURE", "Q_DEAD_LETTER_ADDED")


class Ends:
    """Reads on from where it was. `ended` and `answered` count the ends of each story."""

    def __init__(self, journal: Path) -> None:
        self._path = journal
        self._after = 0
        self.ended: Counter[int] = Counter()
        self.asked: set[str] = set()
        self.answered: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.head = 0
        self._took_ms: list[float] = []

    def read(self) -> None:
        """All that came since."""
        with Journal(self._path) as journal:
            self.head = journal.head()
            for seq, raw in journal.walk(self._after, (DONE, ASKED, *INTENT_ENDS, *TOLD)):
                self._take(raw)
                self._after = seq

    def _take(self, raw: bytes) -> None:
        signal = decode(raw)
        if signal.signal == DONE:
            self.ended[signal.facts["n"]] += 1
            self._took_ms.append(unix_seconds(signal.received_at or "") * 1e3 - signal.facts["at_us"] / 1e3)
        elif signal.signal == ASKED:
            self.asked.add(signal.id)
        elif signal.signal in TOLD:
            self.told[signal.signal] += 1
        else:
            self.answered[str(signal.correlation_id)] += 1

    def latencies_ms(self) -> tuple[float, float]:
        """p50 and p99 of the stories that ended since this was last asked; zeros when none did."""
        took, self._took_ms = sorted(self._took_ms), []
        return (percentile(took, 50), percentile(took, 99)) if took else (0.0, 0.0)
