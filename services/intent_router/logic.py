"""From the bytes of a dropped file to an intent, and from an intent to signals with their facts. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Any

from services.intent_router import strict
from services.intent_router.refusal import IntentRefused, Where
from services.intent_router.strict import Path

PRIORITIES = ("critical", "high", "normal", "low")
NUMBERED = {7: "critical", 6: "high", 5: "normal", 4: "low"}
TEXT_ENDINGS = (".txt", ".md")
MODULE_TYPES = ("discover.module", "reinvestigate")
READY = "Q_INTENT_READY"

_TYPE = re.compile(r"(?=.{1,200}\Z)[\w-]+(\.[\w-]+)*")
_KNOWN = {
    "": ("type", "intent_type", "id", "data", "priority", "reason"),
    "data": ("question", "question_id", "priority", "evidence", "module_path", "hypothesis"),
}
LONGEST_NAME = 256
_LONGEST_TYPO, _MOST_TYPOS = 16, 32


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest file and largest question, in bytes of UTF-8."""

    file_bytes: int = 64 * 1024
    question_bytes: int = 16 * 1024


@dataclass(frozen=True, slots=True)
class Intent:
    """What a dropped file asks for. `intent_id` names this drop of it, `question_id` the question itself."""

    intent_id: str
    intent_type: str
    question_id: str
    file: str
    sha256: str
    size_bytes: int
    priority: str = "normal"
    question: str | None = None
    evidence: tuple[str, ...] = ()
    module_path: str | None = None
    hypothesis: str | None = None
    reason: str | None = None
    data: Mapping[str, Any] | None = None

    def field(self, path: Sequence[str]) -> Any:
        """The value that a template's reference means; None when it is absent."""
        value: Any = getattr(self, path[0])
        for part in path[1:]:
            value = value.get(part) if isinstance(value, Mapping) else None
        return list(value) if isinstance(value, tuple) else value


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
        return any(fnmatchcase(intent_type, glob) for glob in self.types)


@dataclass(frozen=True, slots=True)
class Outgoing:
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
    intent = _Reader(text, known).intent() if _is_json(text, file) else _from_text(text, file, known)
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
            {
                name: value
                for name, template in each.facts.items()
                if (value := fill(template, intent)) is not ABSENT
            },
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
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = raw[: error.start].decode("utf-8-sig", "replace")
        where = Where(good.count("\n") + 1, len(good) - good.rfind("\n"))
        raise IntentRefused(
            "not_text", f"Byte 0x{raw[error.start]:02x} is not UTF-8.", "Save the file as UTF-8.", where
        ) from error
    if not text.strip():
        raise IntentRefused("empty", "The file is empty.", "Write a question or an intent into it.")
    if "\0" in text:
        raise IntentRefused(
            "not_text", "The file holds zero bytes; it is not text.", "Drop a text or JSON file."
        )
    return text


def _is_json(text: str, file: str) -> bool:
    ending = PurePath(file).suffix.lower()
    if ending in TEXT_ENDINGS:
        return False
    if ending == ".json" or text.lstrip().startswith("{"):
        return True
    if not ending:
        return False
    raise IntentRefused(
        "not_an_intent",
        f"Files that end in {ending} and do not begin with {{ are not read.",
        "Name it .json for an intent, .txt or .md for a question.",
    )


def _from_text(text: str, file: str, known: dict[str, Any]) -> Intent:
    return Intent(
        **known, intent_type="question", question_id=known["intent_id"], question=text.strip(), data={}
    )


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


class _Reader:
    """Reads both JSON shapes; every fault names the place of the key in the text."""

    def __init__(self, text: str, known: dict[str, Any]) -> None:
        self.text = text
        self.known = known
        self.body = self._object(strict.loads(text), ())
        data = self.body.get("data")
        self.data = self._object({} if data is None else data, ("data",))

    def intent(self) -> Intent:
        self._catch_typos(self.body, ())
        self._catch_typos(self.data, ("data",))
        intent_type = self._type()
        named = self._name("id") or self._name("data", "question_id")
        evidence = self._evidence()
        module = self._module(intent_type, named, evidence)
        return Intent(
            **self.known,
            intent_type=intent_type,
            question_id=named or self.known["intent_id"],
            priority=self._priority(),
            question=self._question(intent_type, module),
            evidence=evidence,
            module_path=module,
            hypothesis=self._string("data", "hypothesis"),
            reason=self._string("reason"),
            data=self.data,
        )

    def _type(self) -> str:
        keys = [key for key in ("type", "intent_type") if key in self.body]
        if len(keys) != 1:
            fault = "Both type and intent_type are given." if keys else "The intent has no type."
            raise self._fault(("type",), fault, 'Give one: "type": "discover.module" or "type": "question".')
        value = self._string(keys[0])
        if value is None or not _TYPE.fullmatch(value):
            raise self._fault(
                (keys[0],),
                f"{_short(value)} is not an intent type.",
                "Use words of letters, digits, _ and - joined by single dots.",
            )
        return value

    def _priority(self) -> str:
        order: tuple[Path, ...] = (("priority",), ("data", "priority"))
        for path in order if "intent_type" in self.body else order[::-1]:
            value = self._get(path)
            if value is not None:
                return self._priority_at(path, value)
        return "normal"

    def _priority_at(self, path: Path, value: Any) -> str:
        if isinstance(value, str) and value in PRIORITIES:
            return value
        if isinstance(value, int) and not isinstance(value, bool) and value in NUMBERED:
            return NUMBERED[value]
        raise self._fault(
            path, f"{_short(value)} is not a priority.", "Use critical, high, normal or low; or 7, 6, 5 or 4."
        )

    def _question(self, intent_type: str, module: str | None) -> str | None:
        asked = self._string("data", "question")
        if asked is None and "intent_type" in self.body:
            asked = self._string("reason")
        if asked is None and module and intent_type.startswith(MODULE_TYPES):
            return f"What does the module {module} do?"
        return asked

    def _evidence(self) -> tuple[str, ...]:
        items = self._get(("data", "evidence"))
        if items is None:
            return ()
        if not isinstance(items, list):
            raise self._fault(
                ("data", "evidence"), "data.evidence is not a list.", 'Write ["path:src/audio"].'
            )
        for number, item in enumerate(items):
            if not isinstance(item, str):
                raise self._fault(
                    ("data", "evidence", number),
                    f"{_short(item)} is not a string.",
                    'Evidence is a list of strings such as "path:src/audio".',
                )
        return tuple(items)

    def _module(self, intent_type: str, named: str | None, evidence: tuple[str, ...]) -> str | None:
        told = self._string("data", "module_path")
        if told:
            return told
        for item in evidence:
            kind, _, value = item.partition(":")
            if kind in ("path", "module") and value.strip():
                return value.strip()
        return _last_part(intent_type, named)

    def _object(self, value: Any, path: Path) -> dict[str, Any]:
        if not isinstance(value, dict):
            name = strict.dotted(path) or "The file"
            raise self._fault(path, f"{name} is not a JSON object.", "Write {...} there.")
        return value

    def _get(self, path: Path) -> Any:
        return self.data.get(str(path[1])) if path[0] == "data" else self.body.get(str(path[0]))

    def _string(self, *path: str) -> str | None:
        value = self._get(path)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self._fault(
                path, f"{_short(value)} is not a text.", "Write a non-empty string, or leave the key out."
            )
        return value.strip()

    def _name(self, *path: str) -> str | None:
        value = self._string(*path)
        if value is not None and len(value) > LONGEST_NAME:
            raise self._fault(
                path, f"{_short(value)} is too long.", f"Take at most {LONGEST_NAME} characters."
            )
        return value

    def _catch_typos(self, found: Mapping[str, Any], path: Path) -> None:
        """Unknown keys are left alone, unless one looks like a known key that is missing."""
        known = _KNOWN[strict.dotted(path)]
        missing = [key for key in known if key not in found]
        odd = [key for key in found if key not in known and len(key) <= _LONGEST_TYPO][:_MOST_TYPOS]
        for key in odd:
            near = get_close_matches(key, missing, n=1, cutoff=0.85)
            if near:
                raise self._fault(
                    (*path, key), f"The key {_short(key)} is not known.", f"Did you mean {near[0]!r}?"
                )

    def _fault(self, path: Path, message: str, mend: str) -> IntentRefused:
        where = strict.place(self.text, path) if path else Where(1, 1)
        return IntentRefused("bad_shape", message, mend, where)


def _last_part(intent_type: str, named: str | None) -> str | None:
    """`discover.module.NAME` names a module, as a type or as an id; NAME may be dotted itself."""
    for whole in (intent_type, named or ""):
        for prefix in MODULE_TYPES:
            if whole.startswith(f"{prefix}.") and len(whole) > len(prefix) + 1:
                return whole[len(prefix) + 1 :]
    is_module = intent_type.startswith(MODULE_TYPES)
    return named.rpartition(".")[2] or None if is_module and named and "." in named else None


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
