"""How well it hears, and how little it imagines: `python -m tests.voice [--only PART] [--minutes N]`. Takes a while.

It ends with status 1 where a bound was passed; see `bounds`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from services.runtime import extras
from tests.support.sound import VOICES
from tests.voice import bounds
from tests.voice.noise import KINDS
from tests.voice.sentences import FREE, OTHERS, SAID_COMMANDS

Figure = tuple[str, Iterable[str]]
"""What was measured, in a line, and which bounds it passed."""


def detection(_: argparse.Namespace) -> Iterator[Figure]:
    """How well each detector finds speech, and what it costs."""
    from tests.voice import detecting  # noqa: PLC0415 - only with the extra

    return ((line, ()) for line in detecting.lines())


def interruptions(_: argparse.Namespace) -> Iterator[Figure]:
    """How soon a person is noticed who speaks over its own voice."""
    from tests.voice import interrupting  # noqa: PLC0415 - only with the extra

    return ((line, ()) for line in interrupting.lines())


def speech(_: argparse.Namespace) -> Iterator[Figure]:
    """How well it understands."""
    from tests.voice.measuring import measure  # noqa: PLC0415 - only with the extra

    with ProcessPoolExecutor() as pool:
        for name, texts in (("commands", SAID_COMMANDS), ("free speech", FREE)):
            for decibels in (None, 15.0):
                score = measure(texts, VOICES, decibels, pool.map)
                line = f"{name}, {'clean' if decibels is None else '15 dB'}: {score}"
                yield line, bounds.of_speech(name, decibels, score.word_error_rate)
        score = measure(OTHERS, VOICES[:1], each=pool.map)
        line = f"other utterances: {score}; false commands: {score.commands} of {score.sentences}"
        yield line, bounds.of_others(score.commands)


def sounds(wanted: argparse.Namespace) -> Iterator[Figure]:
    """What it imagines in sounds that are no speech, or that nobody could follow; each minute is another."""
    from tests.voice.measuring import Imagined, imagined  # noqa: PLC0415 - only with the extra

    minutes = range(wanted.from_minute, wanted.from_minute + max(1, round(wanted.minutes)))
    with ProcessPoolExecutor() as pool:
        for kind in wanted.sound or KINDS:
            began = time.monotonic()
            found = sum(pool.map(partial(imagined, kind), minutes), Imagined())
            took_s = time.monotonic() - began
            line = f"{len(minutes)} min of {kind}: {found}; {60 * len(minutes) / took_s:.0f} times as fast as it sounds"
            yield line, bounds.of_sound(kind, found.words, len(minutes))


PARTS = {"detection": detection, "interruptions": interruptions, "speech": speech, "sounds": sounds}


def main() -> None:
    """Print a line for each measurement, and one for each bound that was passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="minutes of each sound that is no speech")
    parser.add_argument("--sound", action="append", choices=KINDS, help="this sound alone; may be given again")
    parser.add_argument("--from-minute", type=int, default=0, help="which minute of it is the first, to go on later")
    parser.add_argument("--only", choices=PARTS, help="one part alone")
    wanted = parser.parse_args()
    if (missing := extras.lacking("audio")) is not None:
        parser.exit(1, f"{missing.reason}: {missing.hint}\n")
    extras.use("audio")
    passed: list[str] = []
    for name, part in PARTS.items():
        if wanted.only in (None, name):
            for line, beyond in part(wanted):
                print(line, flush=True)
                passed += beyond
    if passed:
        parser.exit(1, "".join(f"too bad: {one}\n" for one in passed))


if __name__ == "__main__":
    main()
