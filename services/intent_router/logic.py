"""From the bytes of a dropped file to an intent, and from an intent to signals with their facts. Pure."""

from __future__ import annotations

import hashlib
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache
from os.path import splitext
from typing import Any, NamedTuple

from services.intent_router.intent import Intent, Limits
from services.intent_router.reading import Reader
from services.intent_router.refusal import IntentRefused, Where

TEXT_ENDINGS = (".txt", ".md")
READY = "Q_INTENT_READY"


@dataclass(frozen=True, slots=True)
class Ref:
    """A field reference in a template: `$data.x`, or `$data.x?` which is left out when absent."""

    path: tuple[str, ...]
    optional: bool = False

    def __str__(self) -> str:
        return f"${'.'.join(self.path)}{'?' * self.optional}"


@dataclass(frozen=True, slots=True)
class Route:
    """What an intent whose type fits one of the globs becomes."""

    name: str
    types: tuple[str, ...]
    signal: str
    facts: Mapping[str, Any]

    def takes(self, intent_type: str) -> bool:
        """Whether an intent of this type goes this way."""
        return _fits(intent_type, self.types)


@lru_cache(maxsize=1024)
def _fits(intent_type: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(intent_type, glob) for glob in globs)


class Outgoing(NamedTuple):
    """A signal to emit; the first of a plan is the root of the story, `key` makes its id repeatable."""

    signal: str
    facts: dict[str, Any]
    key: str


def parse(raw: bytes, file: str, claim_id: str, limits: Limits) -> Intent:
    """Read a file's bytes as an intent; raises `IntentRefused` and nothing else.

    `.txt` and `.md` are text. All else is JSON when its first character is `{`; without an ending it is
    text, and any other ending is refused, so that no picture or log is sent on as a question.
    """
    if len(raw) > limits.file_bytes:
        raise too_large(len(raw), limits.file_bytes)
    text = _decode(raw)
    known = {
        "intent_id": claim_id,
        "file": file,
        "sha256": hashlib.sha256(raw).hexdigest(),
        "size_bytes": len(raw),
    }
    intent = Reader(text, known).intent() if _is_json(text, file) else _from_text(text, file, known)
    _check_question(intent.question, limits.question_bytes)
    return intent


def plan(intent: Intent, routes: Sequence[Route]) -> tuple[Outgoing, ...]:
    """The root signal and what is routed from it; raises `IntentRefused` when no route fits."""
    routed = route(intent, routes)
    facts = {
        "intent_id": intent.intent_id,
        "intent_type": intent.intent_type,
        "file": intent.file,
        "sha256": intent.sha256,
        "size_bytes": intent.size_bytes,
        "priority": intent.priority,
        "routed_to": [out.signal for out in routed],
    }
    if intent.question_id != intent.intent_id:
        facts["question_id"] = intent.question_id
    return (Outgoing(READY, facts, root_key(intent.intent_id)), *routed)


def root_key(claim_id: str) -> str:
    """The key from which the id of a claim's root signal derives."""
    return f"{claim_id}/ready"


def route(intent: Intent, routes: Sequence[Route]) -> tuple[Outgoing, ...]:
    """One signal for each route that takes the intent's type, in the order of the routes."""
    taking = [each for each in routes if each.takes(intent.intent_type)]
    if not taking:
        raise _unknown_type(intent.intent_type, routes)
    return tuple(
        Outgoing(
            each.signal,
            {name: value for name, template in each.facts.items() if (value := fill(template, intent)) is not ABSENT},
            f"{intent.intent_id}/{number}",
        )
        for number, each in enumerate(taking, 1)
    )


ABSENT: Any = object()


def fill(template: Any, intent: Intent) -> Any:
    """Replace the references of a template by the intent's fields; `ABSENT` for an optional one not there."""
    if isinstance(template, Ref):
        return _resolve(template, intent)
    if isinstance(template, Mapping):
        filled = ((name, fill(value, intent)) for name, value in template.items())
        return {name: value for name, value in filled if value is not ABSENT}
    if isinstance(template, list):
        return [value for item in template if (value := fill(item, intent)) is not ABSENT]
    return template


def _resolve(ref: Ref, intent: Intent) -> Any:
    value = intent.field(ref.path)
    if value is not None:
        return value
    if ref.optional:
        return ABSENT
    key = ".".join(ref.path if ref.path[0] in ("data", "reason") else ("data", *ref.path))
    message = f"An intent of type {intent.intent_type!r} needs {key}, which is not there."
    raise IntentRefused("bad_shape", message, _MISSING.get(key, f"Add {key}."), Where(key=key))


_MISSING = {
    "data.question": 'Add the question: "data": {"question": "What does the json module do?"}.',
    "data.module_path": 'Name the module: "data": {"module_path": "json"}, or evidence ["module:json"], '
    'or type "discover.module.json"; for a general question use type "question".',
}


def too_large(size: int, limit: int) -> IntentRefused:
    """The refusal of a file of more than `limit` bytes."""
    return IntentRefused(
        "too_large",
        f"The file has {size} bytes; at most {limit} are read.",
        "Shorten it, or name a file in data.evidence instead of pasting it.",
    )


def _decode(raw: bytes) -> str:
    raw = raw.removeprefix(BOM_UTF8)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        good = raw[: error.start].decode("utf-8", "replace")
        where = Where(good.count("\n") + 1, len(good) - good.rfind("\n"))
        raise IntentRefused(
            "not_text", f"Byte 0x{raw[error.start]:02x} is not UTF-8.", "Save the file as UTF-8.", where
        ) from error
    if not text.strip():
        raise IntentRefused("empty", "The file is empty.", "Write a question or an intent into it.")
    if "\0" in text:
        raise IntentRefused("not_text", "The file holds zero bytes; it is not text.", "Drop a text or JSON file.")
    return text


def _is_json(text: str, file: str) -> bool:
    ending = splitext(file)[1].lower()
    if ending in TEXT_ENDINGS:
        return False
    if ending == ".json" or text.lstrip().startswith("{"):
        return True
    if ending in ("", "."):
        return False
    raise IntentRefused(
        "not_an_intent",
        f"Files that end in {ending} and do not begin with {{ are not read.",
        "Name it .json for an intent, .txt or .md for a question.",
    )


def _from_text(text: str, file: str, known: dict[str, Any]) -> Intent:
    return Intent(**known, intent_type="question", question_id=known["intent_id"], question=text.strip(), data={})


def _check_question(question: str | None, limit: int) -> None:
    size = len((question or "").encode())
    if size > limit:
        raise IntentRefused(
            "question_too_large",
            f"The question has {size} bytes; {limit} are taken.",
            "Shorten the question; name files in data.evidence instead of pasting them.",
        )


def _unknown_type(intent_type: str, routes: Sequence[Route]) -> IntentRefused:
    known = sorted({glob for each in routes for glob in each.types})
    near = get_close_matches(intent_type, known, n=2)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return IntentRefused(
        "no_route",
        f"No route takes the intent type {intent_type!r}.",
        f"{hint}Known types: {', '.join(known)}.",
        Where(key="type"),
    )
