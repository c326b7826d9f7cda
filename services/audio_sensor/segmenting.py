"""Where an utterance begins and ends, frame by frame. Pure: time is counted in frames of 512 samples at 16 kHz."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

RATE = 16_000
FRAME = 512
FRAME_BYTES = 2 * FRAME
FRAME_S = FRAME / RATE
START_FRAMES = 3
STAY = 0.15
"""How far below the threshold speech may sink within an utterance."""


def frames_of(seconds: float) -> int:
    """How many frames last about so long, one at least."""
    return max(1, round(seconds / FRAME_S))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How speech is told from silence. Durations in seconds, `threshold` a probability."""

    threshold: float = 0.5
    pre_roll_s: float = 0.5
    hang_over_s: float = 0.7
    longest_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """Sound from a little before speech began until it ended: 16-bit mono at 16 kHz.

    `speech_s` is how long speech lasted, `vad_s` how long its end took to notice; `cut` when it was too long, or
    attention ended first.
    """

    pcm: bytes
    speech_s: float
    vad_s: float
    cut: bool


@dataclass(slots=True)
class Segmenter:
    """Collects utterances. Beyond the pre-roll it keeps no sound that is not part of one."""

    bounds: Bounds
    _ring: deque[bytes] = field(default_factory=deque)
    _frames: list[bytes] = field(default_factory=list)
    _loud: int = 0
    _quiet: int = 0

    @property
    def speaking(self) -> bool:
        """Whether an utterance is under way."""
        return bool(self._frames)

    @property
    def ring(self) -> bytes:
        """What was heard last."""
        return b"".join(self._ring)

    def pass_by(self, frame: bytes) -> None:
        """A frame that nobody may hear: it goes into the ring buffer, and out of it again."""
        self._ring.append(frame)
        while len(self._ring) > frames_of(self.bounds.pre_roll_s) + START_FRAMES:
            self._ring.popleft()

    def forget(self) -> None:
        """Drop everything."""
        self._ring.clear()
        self._frames.clear()
        self._loud = self._quiet = 0

    def stop(self) -> Utterance | None:
        """Nobody may hear more: the utterance that was under way, as far as it came."""
        return self._end(cut=True) if self._frames else None

    def feed(self, frame: bytes, probability: float) -> bool | Utterance | None:
        """One more frame, and how probably it is speech: True when speech begins, the utterance when it has ended."""
        if not self._frames:
            return self._waiting(frame, probability)
        self._frames.append(frame)
        quiet = probability < self.bounds.threshold - STAY
        self._quiet = self._quiet + 1 if quiet else 0
        if self._quiet >= frames_of(self.bounds.hang_over_s):
            return self._end(cut=False)
        if len(self._frames) >= frames_of(self.bounds.longest_s):
            return self._end(cut=True)
        return None

    def _waiting(self, frame: bytes, probability: float) -> bool | None:
        self.pass_by(frame)
        self._loud = self._loud + 1 if probability >= self.bounds.threshold else 0
        if self._loud < START_FRAMES:
            return None
        self._frames = list(self._ring)
        self._ring.clear()
        self._loud = self._quiet = 0
        return True

    def _end(self, *, cut: bool) -> Utterance:
        spoken = len(self._frames) - self._quiet
        found = Utterance(b"".join(self._frames), spoken * FRAME_S, self._quiet * FRAME_S, cut)
        self.forget()
        return found
