"""How well it hears, and how little it imagines: `python -m tests.voice [--minutes N]`. Takes a while."""

from __future__ import annotations

import argparse
import time

from services.runtime import extras
from tests.support.sound import VOICES
from tests.voice.noise import KINDS, sound
from tests.voice.sentences import FREE, OTHERS, SAID_COMMANDS


def main() -> None:
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="minutes of each sound that is no speech")
    parser.add_argument("--only", choices=("speech", "sounds"), help="one half alone")
    wanted = parser.parse_args()
    if (missing := extras.lacking("audio")) is not None:
        parser.exit(1, f"{missing.reason}: {missing.hint}\n")
    extras.use("audio")
    from tests.voice.measuring import engine, measure, told  # noqa: PLC0415 - only with the extra

    recogniser = engine()
    if wanted.only != "sounds":
        for name, texts in (("commands", SAID_COMMANDS), ("free speech", FREE)):
            for decibels in (None, 15.0):
                began = time.monotonic()
                score = measure(recogniser, texts, VOICES, decibels)
                each = (time.monotonic() - began) / score.sentences
                print(f"{name}, {'clean' if decibels is None else '15 dB'}: {score}, {each:.2f} s each", flush=True)
        score = measure(recogniser, OTHERS, VOICES[:1])
        print(f"other utterances: {score}; false commands: {score.commands} of {score.sentences}", flush=True)
    if wanted.only != "speech":
        for kind in KINDS:
            false = [
                one for minute in range(round(wanted.minutes)) for one in told(recogniser, sound(kind, 60, minute))
            ]
            said = sum(len(one.text.split()) for one in false)
            print(f"{wanted.minutes:g} min of {kind}: {len(false)} utterances, {said} words told", flush=True)


if __name__ == "__main__":
    main()
