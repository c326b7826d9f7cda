"""A daemon's configuration: one YAML file, checked against the manifest's schema, defaults filled.

Nothing is executed and nothing is read from the environment.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs

from services.runtime.yamlmarks import Marked, YamlError, parse_file
from signals.errors import ConfigError, ManifestError

COMMON: Mapping[str, Any] = {
    "log_level": {
        "description": "The least important log lines that are written.",
        "enum": ["debug", "info", "warning", "error"],
        "default": "info",
    }
}


def load(path: Path | None, schema: Mapping[str, Any], *, daemon: str) -> dict[str, Any]:
    """The configuration in `path`, with every default of `schema` filled in.

    A missing file means defaults. `log_level` is added to the schema's properties where it is not
    declared. Raises `ConfigError` with the fields `file`, `line`, `key` and `problems` (a list of all),
    and `ManifestError` when the schema itself cannot be used.
    """
    full = with_common(schema)
    validator = _compile(full, daemon)
    marked = _read(path, daemon)
    if marked.data is None:
        marked.data = {}
    filled: dict[str, Any] = fill(marked.data, full, full)
    if not validator.is_valid(filled):
        from services.runtime.config_errors import explain  # noqa: PLC0415 - jsonschema is slow to import

        raise explain(filled, full, marked, path, daemon)
    return filled


def with_common(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with the properties that every daemon's configuration has."""
    properties = {**COMMON, **schema.get("properties", {})}
    return {"type": "object", "additionalProperties": False, **schema, "properties": properties}


def _compile(schema: Mapping[str, Any], daemon: str) -> jsonschema_rs.Draft202012Validator:
    def refuse(uri: str) -> Any:
        raise ValueError(f"refers to {uri}, outside the manifest")

    try:
        return jsonschema_rs.Draft202012Validator(dict(schema), retriever=refuse)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        words = f"{daemon}: the schema `config` in the manifest is not a valid JSON Schema: {error}"
        raise ManifestError(words, daemon=daemon) from error


def _read(path: Path | None, daemon: str) -> Marked:
    if path is None:
        return Marked({}, first=0)
    try:
        return parse_file(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return Marked({}, first=0)
        words = f"{daemon}: cannot read its configuration {path}: {error.strerror}"
        raise ConfigError(words, file=str(path), line=0, key="", problems=[words]) from error
    except YamlError as error:
        words = f"{path}:{error.line}: {error}"
        raise ConfigError(f"{daemon}: {words}", file=str(path), line=error.line, key="", problems=[words]) from error


def fill(value: Any, schema: Any, root: Mapping[str, Any]) -> Any:
    """A copy of `value` in which each property that is absent and has a default is there."""
    schema = _follow(schema, root)
    if isinstance(value, dict) and isinstance(schema, Mapping):
        return _fill_object(value, schema, root)
    if isinstance(value, list) and isinstance(schema, Mapping):
        return [fill(item, schema.get("items", {}), root) for item in value]
    return value


def _fill_object(value: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    properties: Mapping[str, Any] = schema.get("properties", {})
    others = schema.get("additionalProperties", {})
    filled = {key: fill(item, properties.get(key, others), root) for key, item in value.items()}
    for key, sub in properties.items():
        if key not in filled:
            filled.update(_default(key, _follow(sub, root), root))
    return filled


def _default(key: str, schema: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        return {}
    if "default" in schema:
        return {key: fill(copy.deepcopy(schema["default"]), schema, root)}
    if "properties" not in schema:
        return {}
    inner = _fill_object({}, schema, root)
    # an optional section stays away as long as it has a required key without a default
    return {key: inner} if inner and set(schema.get("required", ())) <= set(inner) else {}


def _follow(schema: Any, root: Mapping[str, Any]) -> Any:
    if not (isinstance(schema, Mapping) and str(schema.get("$ref", "")).startswith("#/$defs/")):
        return schema
    target = root.get("$defs", {}).get(str(schema["$ref"]).removeprefix("#/$defs/"), {})
    return {**target, **{key: item for key, item in schema.items() if key != "$ref"}}


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The dotted keys whose values differ, sorted; a list counts as one value."""
    return sorted(_changed(old, new, ""))


def _changed(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key in old.keys() | new.keys():
        before, after, name = old.get(key, _ABSENT), new.get(key, _ABSENT), f"{prefix}{key}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _changed(before, after, f"{name}.")
        elif type(before) is not type(after) or before != after:
            yield name


_ABSENT = object()
