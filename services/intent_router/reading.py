"""Reads both JSON shapes of an intent; every fault names the place of the key in the text. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from services.intent_router import strict
from services.intent_router.intent import NUMBERED, PRIORITIES, Intent
from services.intent_router.refusal import IntentRefused, Where
from services.intent_router.strict import Path

MODULE_TYPES = ("discover.module", "reinvestigate")
LONGEST_NAME = 256

_TYPE = re.compile(r"(?=.{1,200}\Z)[\w-]+(\.[\w-]+)*")
_KNOWN = {
    "": ("type", "intent_type", "id", "data", "priority", "reason"),
    "data": ("question", "question_id", "priority", "evidence", "module_path", "hypothesis"),
}
_LONGEST_TYPO, _MOST_TYPOS = 16, 32


class Reader:
    """Reads one text; `known` are the fields that come from the file, not from its text."""

    def __init__(self, text: str, known: dict[str, Any]) -> None:
        self.text = text
        self.known = known
        self.body = self._object(strict.loads(text), ())
        data = self.body.get("data")
        self.data = self._object({} if data is None else data, ("data",))

    def intent(self) -> Intent:
        """The intent; raises `IntentRefused`."""
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
            raise self._fault(("data", "evidence"), "data.evidence is not a list.", 'Write ["path:src/audio"].')
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
            raise self._fault(path, f"{_short(value)} is too long.", f"Take at most {LONGEST_NAME} characters.")
        return value

    def _catch_typos(self, found: Mapping[str, Any], path: Path) -> None:
        """Unknown keys are left alone, unless one looks like a known key that is missing."""
        known = _KNOWN[str(path[0]) if path else ""]
        if not found.keys() - known:
            return
        missing = [key for key in known if key not in found]
        odd = [key for key in found if key not in known and len(key) <= _LONGEST_TYPO][:_MOST_TYPOS]
        for key in odd:
            near = get_close_matches(key, missing, n=1, cutoff=0.85)
            if near:
                raise self._fault((*path, key), f"The key {_short(key)} is not known.", f"Did you mean {near[0]!r}?")

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
