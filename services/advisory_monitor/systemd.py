"""systemd's manager over D-Bus: org.freedesktop.systemd1(5). Only asks, with a bound on each answer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from jeepney import DBusAddress, MessageType, Properties, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from services.advisory_monitor.seen import CheckFailed

SYSTEM, USER = "SYSTEM", "SESSION"
ANSWER_S = 10.0
MAX_UNITS = 200
_NAME = "org.freedesktop.systemd1"
_MANAGER = DBusAddress("/org/freedesktop/systemd1", _NAME, f"{_NAME}.Manager")
_NOBODY = ("org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner")


class NoManager(Exception):
    """There is no systemd to be asked."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as ListUnits lists it."""

    name: str
    description: str
    path: str


class Manager:
    """One connection to one manager."""

    def __init__(self, connection: DBusConnection, scope: str) -> None:
        self._connection = connection
        self._is_user = scope == USER

    @staticmethod
    @contextmanager
    def of(scope: str) -> Iterator[Manager]:
        """The machine's manager, or the person's own. Raises `NoManager`, `CheckFailed` when it does not answer."""
        if scope == USER and not os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
            raise NoManager("There is no session bus.")
        try:
            connection = open_dbus_connection(bus=scope, auth_timeout=ANSWER_S)
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise NoManager(f"units cannot be watched: no D-Bus answers here ({error}); it needs systemd") from error
        try:
            yield Manager(connection, scope)
        finally:
            connection.close()

    @property
    def systemctl(self) -> str:
        """The command for this manager."""
        return "systemctl --user" if self._is_user else "systemctl"

    @property
    def journalctl(self) -> str:
        """The command for this manager's log."""
        return "journalctl --user" if self._is_user else "journalctl"

    def subject(self, unit: Unit) -> str:
        """A unit's name; of the person's own, marked as such."""
        return f"user {unit.name}" if self._is_user else unit.name

    def failed(self) -> list[Unit]:
        """The units that have failed, at most `MAX_UNITS`."""
        return self._units("ListUnitsFiltered", "as", (["failed"],))[:MAX_UNITS]

    def of_patterns(self, patterns: Sequence[str]) -> list[Unit]:
        """The loaded services of these names, at most `MAX_UNITS`."""
        if not patterns:
            return []
        found = self._units("ListUnitsByPatterns", "asas", ([], list(patterns)))
        return [unit for unit in found if fnmatchcase(unit.name, "*.service")][:MAX_UNITS]

    def restarts(self, unit: Unit) -> int:
        """How often systemd has started a service again by itself; 0 when it is gone meanwhile."""
        address = DBusAddress(unit.path, _NAME, f"{_NAME}.Service")
        answer = self._ask(Properties(address).get("NRestarts"))
        return 0 if answer is None else int(answer[0][1])

    def _units(self, method: str, signature: str, body: tuple[Any, ...]) -> list[Unit]:
        answer = self._ask(new_method_call(_MANAGER, method, signature, body))
        if answer is None:
            raise NoManager("units cannot be watched: systemd is not on the D-Bus of this machine")
        return [Unit(fields[0], fields[1], fields[6]) for fields in answer[0]]

    def _ask(self, message: Any) -> Any:
        """The body of the answer; None where nobody is there to give it."""
        try:
            reply = self._connection.send_and_get_reply(message, timeout=ANSWER_S)
        except TimeoutError as error:
            raise CheckFailed(f"systemd has not answered within {ANSWER_S:g} s.") from error
        except OSError as error:
            raise CheckFailed(f"The connection to D-Bus broke: {error}.") from error
        if reply.header.message_type is not MessageType.error:
            return reply.body
        name = reply.header.fields.get(4, "")
        if name in _NOBODY or name.endswith(("NoSuchUnit", "UnknownObject", "UnknownInterface")):
            return None
        raise CheckFailed(f"systemd refused: {name}: {', '.join(map(str, reply.body))}")
