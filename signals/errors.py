"""One family of errors. A class's docstring is its default message, `code` its name on the wire."""

from __future__ import annotations

from typing import Any, ClassVar


class LigandError(Exception):
    """Something in Ligand went wrong."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    """What a command ends with for it: 1, 2 for what was given wrong, 3 for a bus that is not there."""

    def __init__(self, message: str | None = None, **fields: Any) -> None:
        self.message = message or (type(self).__doc__ or self.code).strip()
        self.fields = fields
        super().__init__(self.message)


class SchemaError(LigandError):
    """The facts do not fit the signal's contract."""

    code = "schema"
    exit_code = 2

    @property
    def path(self) -> str:
        """Where in the facts, such as `$.facts.priority`."""
        return str(self.fields.get("path", "$"))

    @property
    def expected(self) -> str:
        """What the contract asks for at that place."""
        return str(self.fields.get("expected", ""))


class UnknownSignalError(SchemaError):
    """No contract has this name."""


class MalformedError(LigandError):
    """The bytes are not one envelope in strict JSON."""

    code = "malformed"


class OversizeError(LigandError):
    """The envelope is larger than 64 KiB."""

    code = "oversize"


class UnauthorisedError(LigandError):
    """The sender may not do this."""

    code = "unauthorised"


class ConflictError(LigandError):
    """The id is already taken by a signal with other content."""

    code = "conflict"


class LoopError(LigandError):
    """The story has gone on for too long; it looks like a loop."""

    code = "loop"


class QuotaError(LigandError):
    """Too many root signals at once; wait and send again."""

    code = "quota"

    @property
    def retry_after_s(self) -> float:
        """Seconds after which the emit will be taken."""
        return float(self.fields.get("retry_after_s", 1.0))


class PressureError(LigandError):
    """The journal's budget is nearly used up; new stories are refused until it has room."""

    code = "pressure"


class LateError(LigandError):
    """The signal's deadline has passed; its time-out has been emitted instead."""

    code = "late"


class FencedError(LigandError):
    """Another process has taken this daemon's place."""

    code = "fenced"


class UnknownSessionError(LigandError):
    """The bus does not know this session; attach again."""

    code = "unknown_session"


class NotInHandError(LigandError):
    """The signal is not in hand for this session; nothing was changed."""

    code = "not_in_hand"


class UsageError(LigandError):
    """The request to the bus is not one it knows."""

    code = "usage"
    exit_code = 2


class NotFoundError(LigandError):
    """Nothing in the journal fits."""

    code = "not_found"


class BusUnreachableError(LigandError):
    """The bus does not answer."""

    code = "unreachable"
    exit_code = 3


class ConfigError(LigandError):
    """The configuration cannot be used."""

    code = "config"
    exit_code = 2


class ManifestError(LigandError):
    """The manifest cannot be used."""

    code = "manifest"
    exit_code = 2


class ContractError(LigandError):
    """The contract cannot be used."""

    code = "contract"
    exit_code = 2


def _family(root: type[LigandError]) -> dict[str, type[LigandError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found = _family(child) | found
    return found


def refusal(code: str, message: str, **fields: Any) -> LigandError:
    """Rebuild the error that the bus named; an unknown code gives a plain `LigandError`."""
    kind = _family(LigandError).get(code, LigandError)
    return kind(message, **fields)
