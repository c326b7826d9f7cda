"""The values that an experiment may try: kinds, bounds, conditions and constraints of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.experiments.constraints import Constraint

Value = float | int | str | bool
Params = Mapping[str, Value]
MAX_MAGNITUDE = 1e15
"""What is larger is no value of a parameter, and no measurement but a way to say that there was none, such as -1e18."""
MAX_TEXT = 128
"""Characters of a text that is a parameter's value."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `low`, `high` and `step` are for numbers, `choices` for a categorical one.

    `when` names what other parameters must be for this one to take part: each of them one of the values given.
    """

    name: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    choices: tuple[Value, ...] = ()
    when: Mapping[str, tuple[Value, ...]] | None = None

    def normal(self, value: object) -> Value:
        """The value in this parameter's type: 1 becomes 1.0 for a float. Raises `ValueError` with what is wrong."""
        if self.kind == "categorical":
            return self._choice(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{self.name} must be a number, not {value!r}")
        if not self.low <= value <= self.high:
            given = str(value)[:40]
            raise ValueError(f"{self.name} is {given}, outside {self._shown(self.low)} to {self._shown(self.high)}")
        if self.kind == "int" and value != int(value):
            raise ValueError(f"{self.name} must be a whole number, not {value}")
        if self.step is not None and not _is_whole((value - self.low) / self.step):
            raise ValueError(
                f"{self.name} is {value}, not {self._shown(self.low)} plus a multiple of {self._shown(self.step)}"
            )
        return int(value) if self.kind == "int" else float(value)

    def _choice(self, value: object) -> Value:
        for choice in self.choices:
            if choice == value and isinstance(choice, bool) is isinstance(value, bool):
                return choice
        raise ValueError(f"{self.name} is {value!r}, none of {', '.join(map(repr, self.choices))}")

    def _shown(self, number: float) -> str:
        return str(int(number)) if self.kind == "int" else f"{number:g}"


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-6


@dataclass(frozen=True, slots=True)
class Space:
    """All parameters, in an order in which each stands after those that its `when` names; and the constraints."""

    parameters: tuple[Parameter, ...]
    constraints: tuple[Constraint, ...] = ()

    def names(self) -> tuple[str, ...]:
        """The parameters' names, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    def is_active(self, parameter: Parameter, params: Params) -> bool:
        """Whether the parameter takes part beside these values of those before it."""
        conditions = (parameter.when or {}).items()
        return all(name in params and params[name] in values for name, values in conditions)

    def active(self, params: Params) -> dict[str, Value]:
        """The values of those parameters that take part; the others are left out."""
        kept: dict[str, Value] = {}
        for parameter in self.parameters:
            if parameter.name in params and self.is_active(parameter, kept):
                kept[parameter.name] = params[parameter.name]
        return kept

    def normal(self, params: Mapping[str, object]) -> dict[str, Value]:
        """The values in their types, parameters in order. Raises `ValueError` with everything that is wrong."""
        found: dict[str, Value] = {}
        faults = [f"there is no parameter {name}" for name in params if name not in self.names()]
        for parameter in self.parameters:
            faults += self._take(parameter, params, found)
        if not faults:
            faults = self.broken(found)
        if faults:
            raise ValueError("; ".join(faults))
        return found

    def _take(self, parameter: Parameter, params: Mapping[str, object], found: dict[str, Value]) -> list[str]:
        active, given = self.is_active(parameter, found), parameter.name in params
        if active != given:
            return [f"{parameter.name} {'is missing' if active else 'does not take part beside the rest'}"]
        try:
            if given:
                found[parameter.name] = parameter.normal(params[parameter.name])
        except ValueError as error:
            return [str(error)]
        return []

    def broken(self, params: Params) -> list[str]:
        """What is wrong with values of the right types: each constraint that does not hold, or cannot be judged."""
        return [fault for constraint in self.constraints if (fault := constraint.fault(params))]
