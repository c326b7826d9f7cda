"""Puts an intent file into the drop folder: written beside under a hidden name, then renamed."""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from signals.errors import ConfigError, UsageError

MAX_QUESTION = 16 * 1024
MAX_FILE = 64 * 1024
MODULE_TYPE = "discover.module"
QUESTION_TYPE = "question"
_WORDS = re.compile(r"[^a-z0-9]+")


def intent_body(
    question: str,
    *,
    module: str | None = None,
    priority: str | None = None,
    kind: str | None = None,
    name: str | None = None,
    hypothesis: str | None = None,
) -> dict[str, Any]:
    """The intent as the drop folder takes it. Raises `UsageError` for a question that it would refuse."""
    if not question.strip():
        raise UsageError("The question is empty. Ask something: ligand intent 'What does the json package do?'")
    if len(question.encode()) > MAX_QUESTION:
        raise UsageError(f"The question has {len(question.encode())} bytes; at most {MAX_QUESTION} are taken.")
    body: dict[str, Any] = {"type": kind or (MODULE_TYPE if module else QUESTION_TYPE)}
    named = name or (f"{MODULE_TYPE}.{module}" if module else None)
    if named:
        body["id"] = named
    body["data"] = {"question": question, "priority": priority or "normal"}
    if module:
        body["data"] |= {"module_path": module, "evidence": [f"module:{module}"]}
    if hypothesis:
        body["data"]["hypothesis"] = hypothesis
    return body


def file_name(question: str, unique: str) -> str:
    """A name that a person recognises and that no other intent has."""
    words = _WORDS.sub("-", question.lower())[:40].strip("-") or "intent"
    return f"{words}.{unique[-12:]}.json"


def encoded(body: dict[str, Any]) -> bytes:
    """The file's bytes. Raises `UsageError` when they are more than the drop folder takes."""
    raw = orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if len(raw) > MAX_FILE:
        raise UsageError(f"The intent has {len(raw)} bytes; at most {MAX_FILE} are taken.")
    return raw


def drop(folder: Path, name: str, raw: bytes) -> Path:
    """Put `raw` into the folder as `name`; whoever watches sees the whole file at once. Raises `ConfigError`."""
    target, beside = folder / name, folder / f".{name}.part"
    try:
        with beside.open("xb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(target)
    except FileNotFoundError as error:
        raise ConfigError(f"There is no drop folder {folder}. Start `ligand up` once, or check --home.") from error
    except OSError as error:
        with suppress(OSError):  # where nothing may be written, there is nothing to take away either
            beside.unlink(missing_ok=True)
        todo = "Make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Check who may write there"
        raise ConfigError(f"Cannot write into {folder}: {error.strerror}. {todo}.") from error
    return target
