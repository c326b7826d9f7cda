"""How well it hears, and how little it imagines: `python -m tests.voice [--minutes N]`. Takes a while."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

from services.runtime import extras
from tests.support.sound import VOICES
from tests.voice.noise import KINDS, sound
from tests.voice.sentences import FREE, OTHERS, SAID_COMMANDS


def interruptions(_: float) -> Iterator[str]:
    """How soon a person is noticed who speaks over its own voice."""
    from tests.voice import interrupting  # noqa: PLC0415 - only with the extra

    return interrupting.lines()


def speech(_: float) -> Iterator[str]:
    """How well it understands."""
    from tests.voice.measuring import engine, measure  # noqa: PLC0415 - only with the extra

    recogniser = engine()
    for name, texts in (("commands", SAID_COMMANDS), ("free speech", FREE)):
        for decibels in (None, 15.0):
            began = time.monotonic()
            score = measure(recogniser, texts, VOICES, decibels)
            each = (time.monotonic() - began) / score.sentences
            yield f"{name}, {'clean' if decibels is None else '15 dB'}: {score}, {each:.2f} s each"
    score = measure(recogniser, OTHERS, VOICES[:1])
    yield f"other utterances: {score}; false commands: {score.commands} of {score.sentences}"


def sounds(minutes: float) -> Iterator[str]:
    """What it imagines in sounds that are no speech."""
    from tests.voice.measuring import engine, told  # noqa: PLC0415 - only with the extra

    recogniser = engine()
    for kind in KINDS:
        false = [one for minute in range(round(minutes)) for one in told(recogniser, sound(kind, 60, minute))]
        said = sum(len(one.text.split()) for one in false)
        yield f"{minutes:g} min of {kind}: {len(false)} utterances, {said} words told"


PARTS = {"interruptions": interruptions, "speech": speech, "sounds": sounds}


def main() -> None:
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="minutes of each sound that is no speech")
    parser.add_argument("--only", choices=PARTS, help="one part alone")
    wanted = parser.parse_args()
    if (missing := extras.lacking("audio")) is not None:
        parser.exit(1, f"{missing.reason}: {missing.hint}\n")
    extras.use("audio")
    for name, part in PARTS.items():
        if wanted.only in (None, name):
            for line in part(wanted.minutes):
                print(line, flush=True)


if __name__ == "__main__":
    main()
