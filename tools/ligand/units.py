"""Ligand's units as `ligand up` understands them: what to run, in which order, and how to keep it up.

Sandboxing is left to systemd; everything about starting, watching and stopping is read here.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.ligand.unit_syntax import Entry, UnitError, expand, parse, split_words, time_span

RESTARTS = ("no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog")
TYPES = ("notify", "simple", "exec")
_NAME = re.compile(r"ligand-(?P<daemon>[a-z0-9-]+)(?:@(?P<instance>[A-Za-z0-9_.-]*))?\.service")


@dataclass(frozen=True)
class Unit:
    """One service. Durations are seconds, `math.inf` where there is no limit, 0 where it is off.

    `argv` has its specifiers replaced, variables such as `$MAINPID` not yet.
    """

    name: str
    daemon: str
    description: str
    argv: tuple[str, ...]
    reload: tuple[tuple[str, ...], ...] = ()
    after: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    notifies: bool = True
    restart: str = "no"
    restart_s: float = 0.1
    prevent: frozenset[int] = frozenset()
    limit_interval_s: float = 10.0
    limit_burst: int = 5
    watchdog_s: float = 0.0
    start_s: float = 90.0
    stop_s: float = 90.0
    abort_s: float = 90.0
    kill_signal: int = signal.SIGTERM
    environment: tuple[tuple[str, str], ...] = ()


class _Keys:
    """The assignments of one unit and its drop-ins: the last one counts, an empty one resets."""

    def __init__(self, entries: Iterable[Entry], specifiers: Mapping[str, str]) -> None:
        self._values: dict[tuple[str, str], list[Entry]] = {}
        self._specifiers = specifiers
        for entry in entries:
            values = self._values.setdefault((entry.section, entry.key), [])
            values.append(entry) if entry.value else values.clear()

    def all(self, section: str, key: str) -> list[Entry]:
        return self._values.get((section, key), [])

    def last(self, section: str, key: str, default: str = "") -> Entry:
        values = self.all(section, key)
        return values[-1] if values else Entry(section, key, default, "default")

    def text(self, section: str, key: str, default: str = "") -> str:
        entry = self.last(section, key, default)
        return expand(entry.value, self._specifiers, f"{entry.where}: {key}")

    def span(self, section: str, key: str, default: float) -> float:
        values = self.all(section, key)
        return time_span(values[-1].value, f"{values[-1].where}: {key}") if values else default

    def one_of(self, section: str, key: str, default: str, allowed: Sequence[str]) -> str:
        entry = self.last(section, key, default)
        if entry.value not in allowed:
            raise UnitError(f"{entry.where}: {key}={entry.value} is not supported; use {', '.join(allowed)}")
        return entry.value

    def number(self, section: str, key: str, default: int) -> int:
        entry = self.last(section, key, str(default))
        if not entry.value.isdecimal():
            raise UnitError(f"{entry.where}: {key}={entry.value} is not a whole number")
        return int(entry.value)

    def names(self, section: str, key: str) -> tuple[str, ...]:
        return tuple(
            expand(word, self._specifiers, entry.where)
            for entry in self.all(section, key)
            for word in split_words(entry.value, entry.where)
        )

    def command(self, entry: Entry) -> tuple[str, ...]:
        words = split_words(entry.value.lstrip(":"), f"{entry.where}: {entry.key}")
        if not words or words[0][:1] in "-@+!|" or ";" in words:
            raise UnitError(f"{entry.where}: {entry.key}={entry.value}: one plain command is needed")
        if not words[0].startswith("/"):
            raise UnitError(f"{entry.where}: {entry.key}={entry.value}: the program needs an absolute path")
        return tuple(expand(word, self._specifiers, entry.where) for word in words)


def load(path: Path, *, instance: str = "", home: Path | None = None) -> Unit:
    """The unit in `path` with its drop-ins (`<name>.d/*.conf`, by name; a template's first).

    Raises `UnitError` naming file, line and key.
    """
    name = path.name.replace("@.", f"@{instance}.") if instance else path.name
    found = _NAME.fullmatch(name)
    if found is None:
        raise UnitError(f"{path}: a unit of Ligand is named ligand-<daemon>.service")
    specifiers = {"i": found["instance"] or "", "n": name, "h": str(home or Path.home())}
    keys = _Keys(_read(path, name), specifiers)
    at = f"@{found['instance']}" if found["instance"] else ""
    return _unit(keys, name, found["daemon"].replace("-", "_") + at, path)


def _read(path: Path, name: str) -> list[Entry]:
    folders = dict.fromkeys((path.with_name(f"{path.name}.d"), path.with_name(f"{name}.d")))
    files = [path, *(file for folder in folders for file in sorted(folder.glob("*.conf")))]
    entries: list[Entry] = []
    for file in files:
        try:
            entries += parse(file.read_text(encoding="utf-8"), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise UnitError(f"{file}: cannot be read: {error}") from error
    return entries


def _unit(keys: _Keys, name: str, daemon: str, path: Path) -> Unit:
    starts = keys.all("Service", "ExecStart")
    if len(starts) != 1:
        raise UnitError(f"{path}: needs exactly one ExecStart= in [Service], has {len(starts)}")
    stop_s = _limit(keys.span("Service", "TimeoutStopSec", keys.span("Service", "TimeoutSec", 90.0)))
    return Unit(
        name=name,
        daemon=daemon,
        description=keys.text("Unit", "Description", daemon),
        argv=keys.command(starts[0]),
        reload=tuple(keys.command(entry) for entry in keys.all("Service", "ExecReload")),
        after=keys.names("Unit", "After"),
        wants=keys.names("Unit", "Wants") + keys.names("Unit", "Requires"),
        notifies=keys.one_of("Service", "Type", "simple", TYPES) == "notify",
        restart=keys.one_of("Service", "Restart", "no", RESTARTS),
        restart_s=keys.span("Service", "RestartSec", 0.1),
        prevent=_statuses(keys.all("Service", "RestartPreventExitStatus")),
        limit_interval_s=keys.span("Unit", "StartLimitIntervalSec", 10.0),
        limit_burst=keys.number("Unit", "StartLimitBurst", 5),
        watchdog_s=keys.span("Service", "WatchdogSec", 0.0),
        start_s=_limit(keys.span("Service", "TimeoutStartSec", keys.span("Service", "TimeoutSec", 90.0))),
        stop_s=stop_s,
        abort_s=_limit(keys.span("Service", "TimeoutAbortSec", stop_s)),
        kill_signal=_signal(keys.last("Service", "KillSignal", "SIGTERM")),
        environment=_environment(keys),
    )


def _limit(seconds: float) -> float:
    return seconds or math.inf


def _signal(entry: Entry) -> int:
    name = entry.value if entry.value.startswith("SIG") else f"SIG{entry.value}"
    try:
        return signal.Signals[name].value
    except KeyError as error:
        raise UnitError(f"{entry.where}: {entry.key}={entry.value}: no such signal") from error


def _statuses(entries: Iterable[Entry]) -> frozenset[int]:
    """Exit codes as they are, signals as negative numbers, as `subprocess` returns them."""
    found: set[int] = set()
    for entry in entries:
        for word in entry.value.split():
            one = Entry(entry.section, entry.key, word, entry.where)
            found.add(int(word) if word.isdecimal() else -_signal(one))
    return frozenset(found)


def _environment(keys: _Keys) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for entry in keys.all("Service", "Environment"):
        for word in split_words(entry.value, entry.where):
            name, equals, value = expand(word, keys._specifiers, entry.where).partition("=")
            if not (equals and name):
                raise UnitError(f"{entry.where}: Environment={entry.value}: NAME=value is needed")
            found[name] = value
    return tuple(found.items())
