"""How a server is made to answer in JSON: what it says it can and what it really does are two things.

`json_schema` is OpenAI's form; some servers refuse it, others take and ignore it. `json_object_schema` is the form of
llama.cpp, `json_object` JSON mode with the schema in words, `text` the schema in words alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from services.model_worker.logic import Messages, with_schema

JSON_SCHEMA, JSON_OBJECT_SCHEMA, JSON_OBJECT, TEXT = "json_schema", "json_object_schema", "json_object", "text"
SHAPES = (JSON_SCHEMA, JSON_OBJECT_SCHEMA, JSON_OBJECT, TEXT)
PROBE_TOKENS = 64
PROBE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"colour": {"enum": ["ultraviolet"]}},
    "required": ["colour"],
    "additionalProperties": False,
}


def response_format(shape: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The field of the request that asks for this shape; nothing for `text`."""
    if shape == JSON_SCHEMA:
        wanted = {"name": "answer", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": wanted}}
    if shape == JSON_OBJECT_SCHEMA:
        return {"response_format": {"type": "json_object", "schema": schema}}
    return {"response_format": {"type": "json_object"}} if shape == JSON_OBJECT else {}


def asked(shape: str, messages: Messages, schema: Mapping[str, Any]) -> Messages:
    """The conversation in this shape: with the schema in words where the server is not held to it."""
    return messages if shape == JSON_SCHEMA else with_schema(messages, schema)


def below(shape: str) -> str | None:
    """The next humbler shape."""
    index = SHAPES.index(shape) + 1
    return SHAPES[index] if index < len(SHAPES) else None


def probe(shape: str) -> tuple[Messages, Mapping[str, Any]]:
    """A tiny question that only a server which does this shape answers in it."""
    text = "Say hello as JSON." if shape == JSON_OBJECT else "Say hello."
    return [{"role": "user", "content": text}], PROBE_SCHEMA


def proves(shape: str, text: str) -> bool:
    """Whether the answer to the probe shows that the server does it."""
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and (shape == JSON_OBJECT or found == {"colour": "ultraviolet"})
