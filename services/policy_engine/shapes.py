"""Contracts as protobuf messages, so that CEL's own type checker knows every path and type of a signal's facts.

Only descriptors are made; no message ever is. A fact whose name is no plain one (letters, digits, underscores) has no
place in a message, and so none in a rule. Types: https://github.com/google/cel-spec, "Dynamic Values".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, wrappers_pb2

PACKAGE = "ligand"
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "integer": _FIELD.TYPE_INT64,
    "number": _FIELD.TYPE_DOUBLE,
    "string": _FIELD.TYPE_STRING,
    "boolean": _FIELD.TYPE_BOOL,
}
_WRAPPERS = {"integer": "Int64Value", "number": "DoubleValue", "string": "StringValue", "boolean": "BoolValue"}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ANY = ".google.protobuf.Value"
ENVELOPE: Mapping[str, str] = {
    "id": "string",
    "signal": "string",
    "source": "string",
    "host": "string",
    "timestamp": "string",
    "received_at": "string",
    "correlation_id": "string",
    "causation_id": "string",
    "asked_by": "string",
    "hops": "integer",
    "replayed": "boolean",
}
"""What an expression sees of the envelope beside `facts` and `taint`; a text that is absent is empty."""


def pool(schemas: Mapping[str, Mapping[str, Any]]) -> descriptor_pool.DescriptorPool:
    """A pool with the message `ligand.NAME` for each signal: its envelope, and below `facts` its schema."""
    found = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="ligand.proto", package=PACKAGE, syntax="proto2")
    for module in (struct_pb2, wrappers_pb2):
        known = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(known)
        found.Add(known)
        file.dependency.append(known.name)
    for name, schema in schemas.items():
        _event(file, name, schema)
    found.Add(file)
    return found


def _event(file: Any, name: str, schema: Mapping[str, Any]) -> None:
    message = file.message_type.add(name=name)
    for field, kind in ENVELOPE.items():
        _add(message, field, _SCALARS[kind])
    _add(message, "taint", _FIELD.TYPE_STRING, repeated=True)
    _add(message, "facts", _FIELD.TYPE_MESSAGE, type_name=_message(file, f"{name}_facts", schema))


def _message(file: Any, name: str, schema: Mapping[str, Any]) -> str:
    while any(one.name == name for one in file.message_type):  # of `a.b` and `a_b`, say
        name += "_"
    message = file.message_type.add(name=name)
    for field, inner in schema.get("properties", {}).items():
        if _PLAIN.fullmatch(field):
            _property(file, message, name, field, inner)
    return f".{PACKAGE}.{name}"


def _property(file: Any, message: Any, name: str, field: str, schema: Mapping[str, Any]) -> None:
    kinds = types_of(schema)
    if kinds == ["array"]:
        item = schema.get("items", {})
        of, type_name = _type(file, f"{name}_{field}", item if types_of(item) != ["array"] else {})
        _add(message, field, of, type_name=type_name, repeated=True)
    else:
        of, type_name = _type(file, f"{name}_{field}", schema)
        _add(message, field, of, type_name=type_name)


def _type(file: Any, name: str, schema: Mapping[str, Any]) -> tuple[int, str | None]:
    kinds = types_of(schema)
    if len(kinds) == 1 and kinds[0] in _SCALARS:
        return _SCALARS[kinds[0]], None
    if len(kinds) == 2 and "null" in kinds and (one := next(k for k in kinds if k != "null")) in _WRAPPERS:
        return _FIELD.TYPE_MESSAGE, f".google.protobuf.{_WRAPPERS[one]}"
    if kinds == ["object"] and schema.get("properties"):
        return _FIELD.TYPE_MESSAGE, _message(file, name, schema)
    return _FIELD.TYPE_MESSAGE, _ANY


def types_of(schema: Mapping[str, Any] | bool) -> Sequence[str]:
    """The JSON types that a schema allows; empty when it does not say."""
    if isinstance(schema, bool):
        return []
    kinds = schema.get("type")
    if kinds is None and schema.get("enum"):
        kinds = sorted({_json_type(value) for value in schema["enum"]})
    return [kinds] if isinstance(kinds, str) else list(kinds or [])


def _json_type(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    return "string" if isinstance(value, str) else "number"


def _add(message: Any, name: str, kind: int, *, type_name: str | None = None, repeated: bool = False) -> None:
    number = len(message.field) + 1
    field = message.field.add(name=name, json_name=name, number=number, type=kind, type_name=type_name)
    field.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL


def typed(value: Any, schema: Mapping[str, Any] | bool) -> Any:
    """`value` with numbers as the schema types them: JSON writes 5 for the number 5.0, CEL tells them apart."""
    if isinstance(schema, bool):
        return value
    if isinstance(value, dict):
        inner = schema.get("properties", {})
        return {key: typed(item, inner.get(key, {})) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item, schema.get("items", {})) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and "number" in types_of(schema):
        return float(value)
    return value
