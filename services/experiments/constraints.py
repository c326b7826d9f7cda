"""Constraints between parameters, as CEL expressions: `near >= far`.

cel-cpp bounds one evaluation by itself: nesting, and the steps of loops.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = {"float": "DOUBLE", "int": "INT", "categorical": "DYN"}
"""The kinds of parameters, and CEL's types for them."""
MAX_LENGTH = 500
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ConstraintError(Exception):
    """The expression cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A checked expression; `names` are the parameters it speaks of."""

    text: str
    names: frozenset[str]
    program: Any = field(repr=False, compare=False)

    def fault(self, params: Mapping[str, Any]) -> str | None:
        """What is wrong, None when it holds. It says nothing where one of its parameters does not take part."""
        if not self.names <= params.keys():
            return None
        try:
            found = self.program.eval(data={name: params[name] for name in self.names})
        except RuntimeError as error:
            return f"{self.text} cannot be judged: {_first_line(error)}"
        if repr(found.type()) == "ERROR":
            return f"{self.text} cannot be judged: {_first_line(found.plain_value())}"
        return None if found.plain_value() is True else f"{self.text} does not hold"


def compiled(text: str, kinds: Mapping[str, str]) -> Constraint:
    """Check an expression over parameters of these kinds (name -> kind). Raises `ConstraintError`."""
    if len(text) > MAX_LENGTH:
        raise ConstraintError(f"it is longer than {MAX_LENGTH} characters")
    from cel_expr_python import cel  # noqa: PLC0415 - its memory is for those who have a constraint

    environment = cel.NewEnv(variables={name: getattr(cel.Type, KINDS[kind]) for name, kind in kinds.items()})
    try:
        program = environment.compile(text)
    except RuntimeError as error:
        raise ConstraintError(_words(error)) from error
    if program.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        raise ConstraintError("it does not come to true or false")
    names = frozenset(_WORD.findall(text)) & kinds.keys()
    if not names:
        raise ConstraintError(f"it speaks of no parameter; there are: {', '.join(kinds)}")
    return Constraint(text, names, program)


def _words(error: RuntimeError) -> str:
    line = _first_line(error)
    if "(double, int)" in line or "(int, double)" in line:
        line += "; write 1.0 beside a float and 1 beside an int, or double(x)"
    return line


def _first_line(said: object) -> str:
    line = str(said).split("\n", 1)[0].removeprefix("INVALID_ARGUMENT: ").removeprefix("ERROR: ")
    column, _, words = line.removeprefix("<input>:1:").partition(": ")
    return f"character {column}: {words}" if column.isdigit() else line
