"""Promotions: settings that somebody proposes, `ID.json` each. What they say is data; nothing of it is run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema_rs

from services.experiments.exact import single
from services.experiments.schema import NAME, VALUE
from signals.files import read_regular

MAX_ID = 128
MAX_BYTES = 64 * 1024
_EXPERIMENT = r"^[a-z][a-z0-9_-]{0,63}$"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "id", "created_at", "experiment", "params"],
    "properties": {
        "schema": {"const": 1},
        "id": {"type": "string", "minLength": 1, "maxLength": MAX_ID},
        "created_at": {"type": "string", "minLength": 1, "maxLength": 40},
        "experiment": {"type": "string", "pattern": _EXPERIMENT},
        "params": {
            "type": "object",
            "additionalProperties": VALUE,
            "propertyNames": {"pattern": NAME},
            "minProperties": 1,
            "maxProperties": 16,
        },
        "rationale": {"type": "string", "maxLength": 4096},
        "from": {"type": "string", "maxLength": 256},
    },
}
_VALID = jsonschema_rs.validator_for(SCHEMA)


class PromotionError(Exception):
    """The file is no promotion; the text says why."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """A setting that is proposed for an experiment; not yet held against its search space."""

    id: str
    experiment: str
    params: Mapping[str, Any]


def beside(intents: Path) -> Path:
    """Where people drop them: beside the drop folder for intents."""
    return intents.parent / "promotions"


def identifier(stem: str) -> str:
    """The id of a promotion by its file's name; one that is too long for an id, or no text, is cut and made unique."""
    clean = stem.encode("utf-8", "replace").decode()
    if clean == stem and len(stem) <= MAX_ID:
        return stem
    digest = sha256(stem.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{clean[: MAX_ID - 17]}~{digest}"


def names(folder: Path) -> set[str]:
    """The ids of all that lie there, whether they can be used or not."""
    return {identifier(path.name.removesuffix(".json")) for path in folder.glob("*.json")}


def read(path: Path) -> Promotion:
    """The promotion in a file. Raises `PromotionError`, `OSError`."""
    raw = read_regular(path, MAX_BYTES)
    if len(raw) > MAX_BYTES:
        raise PromotionError(f"it is larger than {MAX_BYTES // 1024} KiB")
    try:
        data = json.loads(raw, object_pairs_hook=single)
    except (ValueError, RecursionError) as error:
        raise PromotionError(f"it is not JSON: {str(error)[:100]}") from error
    fault = next(_VALID.iter_errors(data), None)
    if fault is not None:
        where = ".".join(str(part) for part in fault.instance_path)
        raise PromotionError(f"{where + ': ' if where else ''}{fault.message}"[:300])
    name = identifier(path.name.removesuffix(".json"))
    if data["id"] != name:
        raise PromotionError(f"it calls itself {data['id']!r}, its file {name!r}; give both the same name")
    return Promotion(name, data["experiment"], data["params"])
