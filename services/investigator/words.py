"""Text for a person: on one line, as long as it may be, and not longer lists than anybody reads."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_NAMED = 5
MAX_SUMMARY = 700
_BADGE = re.compile(r"^(\[?!\[|<|\.\. |[-=~#*]{3,}\s*$)")


def some(names: Sequence[str]) -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def count(number: int, noun: str) -> str:
    """So many of something: `1 file`, `2 classes`."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number} {noun if number == 1 else plural}"


def clip(text: str, limit: int) -> str:
    """One line of at most `limit` printable characters, marked where it was cut."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def first_paragraph(text: str) -> str:
    """The first paragraph that is prose, on one line; headings, badges and underlines are passed over."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        prose = [line for line in lines if line and not line.startswith("#") and not _BADGE.match(line)]
        titled = len(lines) > 1 and _BADGE.match(lines[1]) is not None and len(prose) == 1
        if prose and not titled:
            return clip(" ".join(prose), MAX_SUMMARY)
    return ""
