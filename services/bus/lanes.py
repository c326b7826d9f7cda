"""A lane: one consumer's cursor, what waits for it, what it has in hand and what stands aside.

Every signal at or below the cursor is settled unless it stands aside; every one above it is not.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from services.bus.records import Admitted, Aside, Cause
from services.bus.registry import LaneSpec
from services.bus.soundness import check_envelope
from services.bus.store import Store

Belongs = Callable[[str, bytes], bool]

QUEUE_SIGNALS = 1000
QUEUE_BYTES = 4 << 20
PAGE = 250
SPAN = 20_000


@dataclass(slots=True)
class Hand:
    """A signal that a session has in hand. `aside` is set when it was delivered before.

    `answers` are what its handler has asked for and got: whatever it emits follows from them too.
    """

    seq: int
    raw: bytes
    aside: Aside | None
    answers: list[Cause] = field(default_factory=list)


class Lane:
    """What the bus knows of one lane. Changes that must last are written to the store at once."""

    def __init__(self, spec: LaneSpec, cursor: int, asides: list[Aside], store: Store) -> None:
        self.spec = spec
        self.key = spec.key
        self.cursor = cursor
        self.asides = {aside.seq: aside for aside in asides}
        self.in_hand: dict[int, Hand] = {}
        self.credit = 0
        self.resume_at = 0.0
        self.settled_count = 0
        self.redelivered = 0
        self.caught_up = False
        self.read = cursor
        self._store = store
        self._queue: deque[tuple[int, bytes]] = deque()
        self._queued_bytes = 0
        self._due = [(aside.due, aside.seq) for aside in asides]
        heapq.heapify(self._due)
        self._outstanding: list[int] = []
        self._written = cursor

    # -- feeding -------------------------------------------------------------------------------------

    def offer(self, admitted: Admitted) -> None:
        """A committed signal for this lane: kept ready, unless the lane still reads the journal."""
        if not self.caught_up:
            return
        if len(self._queue) >= QUEUE_SIGNALS or self._queued_bytes >= QUEUE_BYTES:
            self.caught_up = False
            self.read = admitted.seq - 1
            return
        self._append(admitted.seq, admitted.raw)

    def _append(self, seq: int, raw: bytes) -> None:
        self._queue.append((seq, raw))
        self._queued_bytes += len(raw)

    def wants_reading(self) -> bool:
        """Whether the journal must be read before anything more can be delivered."""
        return not self.caught_up and len(self._queue) < PAGE

    def read_page(self, head: int, belongs: Belongs) -> None:
        """Read the next page of the journal. `belongs(name, raw)` says whether a signal is this lane's."""
        self.read = max(self.read, self.cursor)  # what a session that outlived the bus has settled meanwhile
        rows, seen = self._store.page(self.read, self.spec.names, PAGE, SPAN)
        for seq, name, raw in rows:
            if seq <= head and seq not in self.in_hand and belongs(name, raw):
                check_envelope(self._store.path, seq, raw)
                self._append(seq, raw)
        self.read = min(seen, head)
        self.caught_up = self.read >= head

    def unread(self) -> None:
        """The session is gone: forget what was read ahead; the journal has it."""
        self._queue.clear()
        self._queued_bytes = 0
        self.caught_up = False
        self.read = self.cursor
        self.credit = 0

    # -- delivering ----------------------------------------------------------------------------------

    def suspect_waits(self, now: float) -> bool:
        """Whether the next to be delivered was in hand at a crash, and so must come alone."""
        aside = self._next_aside(now)
        return aside is not None and bool(aside.suspect) and now >= self.resume_at

    def take(self, now: float) -> Hand | None:
        """The next signal to deliver, now in hand; None when there is none, or no credit."""
        if len(self.in_hand) >= self.credit or now < self.resume_at:
            return None
        hand = self._take_aside(now) or self._take_queued()
        if hand is not None:
            self.in_hand[hand.seq] = hand
        return hand

    def _take_aside(self, now: float) -> Hand | None:
        """The next that stands aside and is due. What was pruned since is passed over: nobody needed it any more."""
        while (aside := self._next_aside(now)) is not None:
            heapq.heappop(self._due)
            raw = aside.envelope or self._store.envelope(aside.seq)
            if raw is not None:
                check_envelope(self._store.path, aside.seq, raw)
                self.redelivered += 1
                return Hand(aside.seq, raw, aside)
            self._forget_aside(aside.seq)
        return None

    def _take_queued(self) -> Hand | None:
        if not self._queue:
            return None
        seq, raw = self._queue.popleft()
        self._queued_bytes -= len(raw)
        heapq.heappush(self._outstanding, seq)
        return Hand(seq, raw, None)

    def _next_aside(self, now: float) -> Aside | None:
        while self._due:
            due, seq = self._due[0]
            aside = self.asides.get(seq)
            if aside is None or seq in self.in_hand or aside.due != due:
                heapq.heappop(self._due)
                continue
            return aside if due <= now else None
        return None

    def adopt(self, seq: int, raw: bytes) -> Hand:
        """A session that outlived the bus still has `seq` in hand."""
        aside = self.asides.get(seq)
        if aside is None:
            heapq.heappush(self._outstanding, seq)
        hand = self.in_hand[seq] = Hand(seq, raw, aside)
        return hand

    def close_gaps(self, belongs: Belongs, now: float) -> None:
        """Set aside what lies between adopted signals and is not among them, so that settling these loses none."""
        top, after = max(self.in_hand, default=0), self.cursor
        missing: list[int] = []
        while after < top:
            rows, after = self._store.page(after, self.spec.names, PAGE, min(SPAN, top - after))
            missing += [seq for seq, name, raw in rows if seq not in self.in_hand and belongs(name, raw)]
        for seq in missing:
            self.put_off(Aside(seq, due=now))

    def next_due(self) -> float | None:
        """When, in running time, something that stands aside can be delivered again."""
        return max(self._due[0][0], self.resume_at) if self._due else (self.resume_at or None)

    # -- settling ------------------------------------------------------------------------------------

    def settle(self, seq: int) -> None:
        """`seq` is done with, whatever became of it."""
        self.in_hand.pop(seq, None)
        self.settled_count += 1
        if seq in self.asides:
            self._forget_aside(seq)
        else:
            self._advance(seq)

    def skip(self, seq: int) -> None:
        """`seq`, which nobody has in hand and nothing waits before, is given up."""
        if self._queue and self._queue[0][0] == seq:
            self._queued_bytes -= len(self._queue.popleft()[1])
        self.settle(seq)
        self.read = max(self.read, seq)

    def put_off(self, aside: Aside) -> None:
        """`aside.seq` is to be delivered again when it is due."""
        self.in_hand.pop(aside.seq, None)
        known = aside.seq in self.asides
        self._keep_aside(aside)
        if not known:
            self._advance(aside.seq)

    def _advance(self, seq: int) -> None:
        """Move the cursor to `seq`; what was delivered earlier and is not settled is set aside."""
        while self._outstanding and self._outstanding[0] <= seq:
            earlier = heapq.heappop(self._outstanding)
            if earlier in self.in_hand and earlier not in self.asides:
                aside = Aside(earlier)
                self.in_hand[earlier].aside = aside
                self._keep_aside(aside)
        self.cursor = max(self.cursor, seq)

    def _keep_aside(self, aside: Aside) -> None:
        self.asides[aside.seq] = aside
        heapq.heappush(self._due, (aside.due, aside.seq))
        self._store.put_aside(self.key, aside)

    def _forget_aside(self, seq: int) -> None:
        del self.asides[seq]
        self._store.drop_aside(self.key, seq)

    def aside_of(self, hand: Hand) -> Aside:
        """What is known of a signal in hand, should it have to step aside."""
        return self.asides.get(hand.seq) or Aside(hand.seq)

    def is_settled(self, seq: int) -> bool:
        """Whether this lane is done with `seq`."""
        return seq <= self.cursor and seq not in self.asides

    def was_delivered(self, seq: int) -> bool:
        """Whether this lane has ever been given `seq`."""
        return seq <= self.cursor or seq in self.in_hand

    def is_idle(self) -> bool:
        """Whether nothing is queued or in hand."""
        return not self._queue and not self._outstanding and not self.in_hand

    def pass_over(self, seq: int) -> None:
        """Nothing up to `seq` that is not settled is this idle lane's."""
        self.cursor = max(self.cursor, seq)
        self.read = max(self.read, seq)

    def flush_cursor(self, head: int) -> None:
        """Write the cursor, over what is not this lane's too when nothing waits."""
        if self.caught_up and not self._queue and not self._outstanding:
            self.cursor = max(self.cursor, head)
        if self.cursor != self._written:
            self._store.put_cursor(self.key, self.cursor)
            self._written = self.cursor

    def needs_from(self) -> int:
        """The lowest `seq` that this lane may still have to read."""
        return min([self.cursor + 1, *(seq for seq, aside in self.asides.items() if aside.envelope is None)])

    def keep_copies(self) -> None:
        """Of what is in hand, so that the journal may forget it while its handler is at work."""
        for hand in self.in_hand.values():
            aside = self.aside_of(hand)
            if aside.envelope is None:
                hand.aside = aside.but(envelope=hand.raw)
                self._keep_aside(hand.aside)
        self._advance(max(self._outstanding, default=self.cursor))

    def waiting(self) -> int:
        """How many unsettled signals it knows of; what it has not read yet comes on top."""
        return len(self._queue) + len(self.asides) + sum(1 for seq in self.in_hand if seq not in self.asides)

    def oldest(self) -> int | None:
        """The lowest `seq` that waits or is in hand; None when nothing is known to wait."""
        known = [*self.asides, *self.in_hand, *(seq for seq, _ in list(self._queue)[:1])]
        return min(known, default=None)
