"""The configuration files an installation writes: every setting with its meaning and its default, commented out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from services.runtime.config import COMMON
from services.runtime.manifest import Manifest

WIDTH = 110


def template(manifest: Manifest, path: Path, reload: str, chosen: Mapping[str, Any] | None = None) -> str:
    """The file's text; the settings in `chosen` stand there uncommented."""
    head = (
        f"{path.name}: {manifest.description}.",
        "Each setting stands here with its default; take the # away to change it.",
        f"To apply: {reload}",
    )
    lines = [f"# {line}" for line in head]
    properties = {**manifest.config.get("properties", {}), **COMMON}
    for name, schema in properties.items():
        lines += ["", *_setting(name, schema, (chosen or {}).get(name))]
    return "\n".join(lines) + "\n"


def _setting(name: str, schema: Mapping[str, Any], chosen: Any) -> Iterator[str]:
    yield from _about(schema)
    if chosen is not None:
        yield from _yaml({name: chosen})
        return
    inner = schema.get("properties")
    if inner and "default" not in schema:
        yield f"#{name}:"
        for key, value in inner.items():
            # a remark inside stays one when its setting is uncommented
            yield from (f"#  {line if _is_remark(line) else line[1:]}" for line in _setting(key, value, None))
        return
    for line in _yaml({name: schema.get("default")}) if "default" in schema else [f"{name}:"]:
        yield f"#{line}"


def _is_remark(line: str) -> bool:
    return line.startswith("# ") and not line.startswith("#  ")  # what stands further in belongs to a setting


def _about(schema: Mapping[str, Any]) -> Iterator[str]:
    words = str(schema.get("description", ""))
    if "enum" in schema and all(str(one) not in words for one in schema["enum"]):
        words += f" One of: {', '.join(map(str, schema['enum']))}."
    yield from (f"# {line}" for line in textwrap.wrap(words, WIDTH))


def _yaml(value: Mapping[str, Any]) -> list[str]:
    return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=WIDTH).rstrip("\n").splitlines()
