"""The deployments as the journal's signals tell them, for people. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from signals.envelope import Signal, unix_seconds

NAMES = (
    "Q_DEPLOYMENT_PROPOSED",
    "Q_DEPLOYMENT_ANSWERED",
    "Q_WINNER_DEPLOYED",
    "Q_DEPLOYMENT_FAILED",
    "Q_ROLLBACK_WANTED",
    "Q_ROLLBACK_COMPLETE",
    "Q_ROLLBACK_FAILED",
)
WAITS = "waits"
IN_USE = "in use"
MAX_SHOWN = 100


@dataclass
class Told:
    """One deployment. `at` is when it was last heard of."""

    id: str
    at: str = ""
    state: str = ""
    target: str = ""
    proposed: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Any] = field(default_factory=dict)
    rollback: dict[str, Any] = field(default_factory=dict)
    answered: dict[str, Any] = field(default_factory=dict)

    def take(self, signal: Signal) -> None:
        """One more signal of its story."""
        name, facts = signal.signal, signal.facts
        self.at = signal.timestamp
        self.target = facts.get("target", self.target)
        if name == "Q_DEPLOYMENT_PROPOSED":
            self.proposed, self.state = facts, "reported" if facts["mode"] == "report" else WAITS
        elif name == "Q_DEPLOYMENT_ANSWERED":
            if self._counts(signal):
                self.answered = {**facts, "by": signal.source}
                self.state = "approved" if facts["verdict"] == "approve" else "rejected"
        elif name == "Q_ROLLBACK_COMPLETE":
            self.rollback, self.state = facts, "taken back"
        elif name == "Q_ROLLBACK_FAILED":
            self.rollback, self.state = facts, self.state or facts["reason"]
        elif name in ("Q_WINNER_DEPLOYED", "Q_DEPLOYMENT_FAILED"):
            self.ended, self.state = facts, IN_USE if name == "Q_WINNER_DEPLOYED" else facts["reason"]

    def _counts(self, answer: Signal) -> bool:
        """Whether the deployer has taken it: one of a person, for this change, and the first."""
        fits = answer.facts["change_sha256"] == self.proposed.get("change_sha256")
        return self.state == WAITS and fits and answer.source.startswith("person@") and not answer.taint

    @property
    def changes(self) -> dict[str, Any]:
        """Old and new value by key; nothing when it never came so far."""
        return dict(self.ended.get("changes") or self.proposed.get("changes") or {})

    def plain(self) -> dict[str, Any]:
        """For programs."""
        told = {"deployment_id": self.id, "at": self.at, "state": self.state, "target": self.target}
        parts = {"proposed": self.proposed, "answered": self.answered, "ended": self.ended, "rollback": self.rollback}
        return {**told, "changes": self.changes, **{name: part for name, part in parts.items() if part}}


def told(signals: Iterable[Signal], now: float | None = None) -> list[Told]:
    """Every deployment, in the order in which it was first heard of. `now` in Unix seconds."""
    found: dict[str, Told] = {}
    for signal in signals:
        deployment_id = signal.facts.get("deployment_id")
        if isinstance(deployment_id, str):
            found.setdefault(deployment_id, Told(deployment_id)).take(signal)
    for one in found.values():
        if one.state == WAITS and unix_seconds(one.proposed["expires_at"]) <= (now or time.time()):
            one.state = "expired"
    return [one for one in found.values() if one.state]


def short(one: Told) -> str:
    """The values in one line, or why there are none."""
    shown = ", ".join(f"{key}: {_value(both['old'])} → {_value(both['new'])}" for key, both in one.changes.items())
    return shown or str(one.ended.get("detail", ""))[:MAX_SHOWN]


def lines(one: Told) -> Iterator[str]:
    """All of it, for a person."""
    yield f"{one.id}  {one.target}: {one.state}"
    if file := one.proposed.get("file"):
        yield f"  file      {file}"
    for key, both in one.changes.items():
        yield f"  {key}: {_value(both['old'])} → {_value(both['new'])}"
    if one.proposed:
        yield f"  proposed  {one.proposed['why']}"
    if one.state == WAITS:
        yield f"  until     {one.proposed['expires_at'][:19]}Z; then it counts as rejected"
        yield f"  change    sha256 {one.proposed['change_sha256']}"
    if one.answered:
        yield f"  answered  {one.answered['verdict']} by {one.answered['by']} {one.answered.get('reason', '')}".rstrip()
    yield from _end(one)


def _end(one: Told) -> Iterator[str]:
    if "verified_by" in one.ended:
        yield f"  verified  {one.ended['verified_by']}"
    if "detail" in one.ended:
        back = "everything is as it was" if one.ended["rolled_back"] else "NOT as it was before"
        yield f"  failed    {one.ended['detail']}"
        yield f"  state     {back}"
    if backup := one.ended.get("backup"):
        yield f"  backup    {backup}"
    if "detail" in one.rollback:
        yield f"  rollback  refused: {one.rollback['detail']}"


def _value(value: Any) -> str:
    return "nothing" if value is None else str(value)
