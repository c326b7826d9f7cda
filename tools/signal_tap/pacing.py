"""When to do what is to be done many times. Pure but for the clock and the sleep that it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator


def paced(
    times: int | None, per_s: float | None, most: int, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Iterator[int]:
    """How many are due now, again and again: `times` in all (None: without end), at most `most` at once.

    Who falls behind catches up: the rate is kept on average. `per_s` None: as fast as they are taken.
    """
    done, began = 0, clock()
    while times is None or done < times:
        left = most if times is None else min(most, times - done)
        due = left if per_s is None else min(left, int((clock() - began) * per_s) + 1 - done)
        if due <= 0:
            sleep(max(0.0, began + done / (per_s or 1.0) - clock()))
            continue
        yield due
        done += due
