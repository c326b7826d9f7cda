"""The values of an experiment's parameters as they stand in its target, and the target's text with other values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from services.experiments import formats
from services.experiments.files import FileError, Place, digest, opened
from services.experiments.formats import FormatError, Scalar
from services.experiments.formats.editing import TEXTS_ONLY, as_text
from services.experiments.formats.values import same
from services.experiments.model import Experiment, Target
from services.experiments.space import MAX_MAGNITUDE, MAX_TEXT, Parameter, Value

MAX_SHOWN = 64


def place_of(target: Target) -> Place:
    """Where the target is: what its experiment's file says, and nothing else. Raises `FileError`."""
    written = PurePosixPath(target.file)
    depth = 0 if written.is_absolute() else len(written.parts) - 1
    return Place.of(target.file, target.path.parents[depth])


def read_values(experiment: Experiment) -> dict[str, Value]:
    """The parameters' present values, those that take part. Raises `FileError`, `FormatError`."""
    with opened(place_of(experiment.target)) as file:
        return values_in(experiment, file.read())


def digest_of(experiment: Experiment) -> str:
    """SHA-256 of the target as it is now, in hex: what a winner is bound to. Raises `FileError`."""
    with opened(place_of(experiment.target)) as file:
        return digest(file.read())


def values_in(experiment: Experiment, raw: bytes) -> dict[str, Value]:
    """The parameters' values in a text of the target, those that take part.

    Raises `FormatError` for a key that does not stand there, and for a value of another type than its parameter's.
    """
    target, found = experiment.target, dict[str, Value]()
    for parameter in experiment.space.parameters:
        if experiment.space.is_active(parameter, found):
            key = target.keys[parameter.name]
            value = formats.read(target.format, raw, [key])[key]
            found[parameter.name] = _typed(parameter, value, key, target.format)
    return found


def with_values(experiment: Experiment, raw: bytes, params: Mapping[str, Value]) -> bytes:
    """The target's text with these parameters' values, and nothing else changed. Raises `FormatError`.

    What means the same already keeps the way it is written: `1` of a float is not made `1.0`.
    """
    keys, present = experiment.target.keys, values_in(experiment, raw)
    changed = {keys[name]: value for name, value in params.items() if not same(present.get(name), value)}
    return formats.change(experiment.target.format, raw, changed)


def _typed(parameter: Parameter, value: Scalar, key: str, form: str) -> Value:
    if form in TEXTS_ONLY:
        return _read(parameter, str(value), key)
    if parameter.kind == "categorical":
        fits = value is not None
    else:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or not fits:
        raise _misfit(parameter, value, key)
    _need_usable(parameter, value, key)
    return float(value) if parameter.kind == "float" else value


def _read(parameter: Parameter, text: str, key: str) -> Value:
    """A text as its parameter means it; a categorical one that is none of the choices stays a text."""
    if parameter.kind == "categorical":
        _need_usable(parameter, text, key)
        return next((choice for choice in parameter.choices if as_text(choice) == text), text)
    try:
        number = float(text) if parameter.kind == "float" else int(text)
    except ValueError as error:
        raise _misfit(parameter, text, key) from error
    _need_usable(parameter, number, key)
    return number


def _need_usable(parameter: Parameter, value: Value, key: str) -> None:
    """Raise `FormatError` for what could be neither measured nor told: no number at all, a whole text."""
    if isinstance(value, str):
        usable = len(value) <= MAX_TEXT and value == value.encode("utf-8", "replace").decode()
    else:
        usable = abs(value) <= MAX_MAGNITUDE
    if not usable:
        raise _misfit(parameter, value, key)


def _misfit(parameter: Parameter, value: Scalar, key: str) -> FormatError:
    shown = repr(value) if isinstance(value, str) else str(value)
    return FormatError(f"{key} is {shown[:MAX_SHOWN]}, which is no {parameter.kind} for {parameter.name}.")


__all__ = ["FileError", "FormatError", "digest_of", "place_of", "read_values", "values_in", "with_values"]
