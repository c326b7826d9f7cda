"""What a person means by a signal: its sequence number, its id or the beginning of one, or the newest of a name."""

from __future__ import annotations

import difflib
import re

import orjson

from signals.errors import NotFoundError, UsageError
from signals.ids import is_id
from signals.journal import Journal

SHORTEST = 8
"""So many digits of an id will do."""
_CANDIDATES = 200
_NAME = re.compile(r"Q_[A-Z0-9_]+")


def meant(journal: Journal, key: str) -> list[bytes]:
    """The envelopes that `key` means; several where it is the beginning of their ids, or two sources have used one id.

    Raises `NotFoundError` when there is none, `UsageError` for what cannot mean a signal.
    """
    given, key = key.strip(), key.strip().lower()
    if _NAME.fullmatch(given):
        return [_newest(journal, given)]
    if key.isdecimal() and len(key) < 19 and (found := journal.get(int(key))):
        return found
    digits = key.replace("-", "")
    if is_id(key):
        found = journal.get(key)
    elif SHORTEST <= len(digits) <= 32 and set(digits) <= set("0123456789abcdef"):
        found = [raw for each in journal.with_prefix(digits, _CANDIDATES) for raw in journal.get(each)]
    elif key.isdecimal():
        raise NotFoundError(f"The journal has no signal {key}. It holds {journal.first()} to {journal.head()}.")
    else:
        raise UsageError(
            f"{given[:80]!r} is no id: give a sequence number, an id, its first {SHORTEST} digits or more, or Q_NAME "
            "for the newest of that name."
        )
    if not found:
        raise NotFoundError(
            f"The journal has no signal {key}. It may be past its retention, or refused: `signal-tap dead list`."
        )
    return found


def resolve(journal: Journal, key: str) -> tuple[str, bytes]:
    """The story (its id) and the envelope that `key` means.

    A beginning may fit several signals of one story; the first stands for them. Raises as `meant`, and `UsageError`
    when it fits several stories.
    """
    stories = {story_of(raw): raw for raw in reversed(meant(journal, key))}
    if len(stories) > 1:
        lines = "\n".join(f"  {_told(raw)}" for raw in sorted(stories.values(), key=_seq)[:10])
        raise UsageError(
            f"{key} is the beginning of {len(stories)} stories. Give a sequence number or more digits:\n{lines}"
        )
    return next(iter(stories.items()))


def story_of(raw: bytes) -> str:
    """The id of the story that an envelope belongs to."""
    return str(orjson.loads(raw)["correlation_id"])


def _newest(journal: Journal, name: str) -> bytes:
    found = journal.latest(name)
    if found is None:
        near = difflib.get_close_matches(name, journal.known(), n=1)
        hint = f"Did you mean {near[0]}?" if near else "`signal-tap types` shows what it has."
        raise NotFoundError(f"The journal has no {name}. {hint}")
    return found


def _seq(raw: bytes) -> int:
    return int(orjson.loads(raw)["seq"])


def _told(raw: bytes) -> str:
    envelope = orjson.loads(raw)
    return f"{envelope['seq']:>8}  {envelope['signal']}  {envelope['id']}"
