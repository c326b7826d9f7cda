"""What the ledger says of each deployment, what is to be done next, and who may say yes. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Record = Mapping[str, Any]
Facts = dict[str, Any]

DEPLOYED = "Q_WINNER_DEPLOYED"
FAILED = "Q_DEPLOYMENT_FAILED"
PROPOSED = "Q_DEPLOYMENT_PROPOSED"
UNDONE = "Q_ROLLBACK_COMPLETE"
NOT_UNDONE = "Q_ROLLBACK_FAILED"
CHANGING = ("writing", "written", "taking_back")
"""Steps after which the file may have new bytes that nobody has verified."""
SAYS = {
    "accepted": "what won",
    "proposed": "what was proposed",
    "writing": "what was written",
    "ended": "how it ended",
    "undo_wanted": "who wants it back",
    "undone": "whether it went back",
}
"""Lines of the ledger that others rely on, in words."""
BEFORE = {
    "asked": ("proposed",),
    "answered": ("proposed",),
    "written": ("writing",),
    "taking_back": ("writing",),
    "told": ("ended",),
    "undo_wanted": ("writing", "ended"),
    "undoing": ("undo_wanted",),
    "undone": ("undo_wanted",),
    "undo_told": ("undone",),
}
"""Which lines must stand before which."""
MAX_BEGINNINGS = 3
UNTRUSTED = frozenset({"recording"})
"""Taints that no deployment may come from."""
BARRED = frozenset(
    {"worse", "unhealthy", "verification_failed", "reload_failed", "not_measured", "rejected", "crashing"}
)
"""Ends after which the same winner is not tried again unless a person says so."""


class Refused(Exception):
    """A deployment that does not happen, or is taken back: `reason` is one word, the text says more."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass
class Deployment:
    """One winner of one cycle. `steps` has the last record of each step; `step` is the latest of all."""

    id: str
    step: str = ""
    steps: dict[str, Record] = field(default_factory=dict)
    beginnings: int = 0

    @property
    def winner(self) -> Facts:
        """What won, as the cycle said it."""
        return dict(self.steps["accepted"]["winner"])

    def fault(self) -> str:
        """What is missing of it, so that nothing could be done; empty when nothing is."""
        needed = {"accepted", *(other for step in self.steps for other in BEFORE.get(step, ()))}
        missing = [words for step, words in SAYS.items() if step in needed - self.steps.keys()]
        return f"of the deployment {self.id} the line is missing that says {missing[0]}" if missing else ""

    @property
    def digest(self) -> str:
        """SHA-256 of experiment, target and parameters."""
        return str(self.steps["accepted"]["digest"])

    @property
    def end(self) -> str:
        """The signal that it ended in; empty while it has not."""
        return str(self.steps["ended"]["signal"]) if "ended" in self.steps else ""

    @property
    def reason(self) -> str:
        """Why it failed, if it did."""
        return str(self.steps["ended"]["facts"].get("reason", "")) if self.end == FAILED else ""

    @property
    def is_in_use(self) -> bool:
        """Whether it was deployed and not taken back since."""
        return self.end == DEPLOYED and self.steps.get("undone", {}).get("signal") != UNDONE


class Deployments:
    """All of them, in the order in which they were accepted."""

    def __init__(self) -> None:
        self.by_id: dict[str, Deployment] = {}

    def take(self, record: Record) -> None:
        """One more line of the ledger."""
        one = self.by_id.setdefault(record["id"], Deployment(record["id"]))
        one.step = record["step"]
        one.steps[one.step] = record
        one.beginnings += one.step == "begun"

    def __iter__(self) -> Iterator[Deployment]:
        return iter(list(self.by_id.values()))

    def tried(self, digest: str, but: str) -> Deployment | None:
        """The latest other deployment of the same winner that was decided: a second time needs a person."""
        same = [one for one in self if one.digest == digest and one.id != but]
        decided = [one for one in same if one.end == DEPLOYED or one.reason in BARRED]
        return decided[-1] if decided else None

    def follow(self, path: str, sha256: str) -> set[str]:
        """What a file's digest may be by now when nobody but this daemon has changed it."""
        known = {sha256}
        for one in self:
            made = one.steps.get("writing")
            if made and made["path"] == path and one.end == DEPLOYED and made["old_sha256"] in known:
                known.add(made["new_sha256"])
        return known


def todo(one: Deployment, now: float) -> str | None:
    """What is to be done about a deployment: the name of an act; None when nothing is, for now.

    `now` in Unix seconds, for what expires.
    """
    if one.step in CHANGING:
        return "take_back"
    answered = one.steps.get("answered", {}).get("verdict")
    if one.step in ("asked", "answered") and answered:  # it may come before it is known that the question was heard
        return "begin" if answered == "approve" else "reject"
    acts = {
        "accepted": "begin",
        "begun": "begin" if one.beginnings < MAX_BEGINNINGS else "give_up",
        "proposed": "propose",
        "asked": "expire" if now >= one.steps.get("proposed", {}).get("expires", now) else None,
        "ended": "tell",
        "undo_wanted": "undo",
        "undoing": "undo",
        "undone": "tell_undo",
    }
    return acts.get(one.step)


def digest_of(winner: Record) -> str:
    """SHA-256 of what a winner is, whatever cycle found it."""
    return sha256_of({name: winner[name] for name in ("experiment", "target", "params")})


def sha256_of(value: Any) -> str:
    """SHA-256 of plain data, keys in order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def id_of(signal_id: str, nth: int) -> str:
    """The id of the deployment of the nth winner that a signal brought: always the same."""
    return hashlib.sha256(f"{signal_id} {nth}".encode()).hexdigest()[:16]


def accepted(signal_id: str, facts: Record, taint: Iterable[str]) -> list[Facts]:
    """A record for each winner of a cycle."""
    return [
        {
            "id": id_of(signal_id, nth),
            "step": "accepted",
            "signal_id": signal_id,
            "cycle_id": facts["cycle_id"],
            "winner": winner,
            "digest": digest_of(winner),
            "taint": sorted(taint),
        }
        for nth, winner in enumerate(facts["winners"])
    ]


def mode(autonomy: str, before: Deployment | None, stopped: str) -> tuple[str, str]:
    """How far a winner may go by itself, and why not further: deploy, ask or report.

    `before`: the same winner's earlier deployment; `stopped`: what keeps the target from being reloaded, if anything.
    """
    if stopped:
        return "report", stopped
    if autonomy != "deploy":
        return autonomy, f"The experiment says autonomy: {autonomy}."
    if before is None:
        return "deploy", ""
    if before.end == DEPLOYED:
        return "ask", f"The same winner was deployed before ({before.id}), and its values are not in use any more."
    return "ask", f"The same winner's deployment {before.id} ended before: {before.reason}."


def answer_fault(one: Deployment | None, facts: Record, source: str, taint: Iterable[str], now: float) -> str | None:
    """Why an answer of a person does not count; None when it does. By default nothing is approved."""
    if not source.startswith("person@"):
        return f"{source} is no person; only people approve deployments."
    if tainted := sorted(taint):
        return f"It comes from {', '.join(tainted)}, not from a person at work."
    if one is None or "proposed" not in one.steps:
        return f"No deployment {facts['deployment_id']} was proposed: ligand deploy list."
    if "answered" in one.steps or "ended" in one.steps:
        return f"The deployment {one.id} was answered or has ended already; an answer counts once."
    if now >= one.steps["proposed"]["expires"]:
        return f"The proposal {one.id} has expired; wait for the next cycle."
    if facts["change_sha256"] != one.steps["proposed"]["facts"]["change_sha256"]:
        return f"That is the digest of another change than the one proposed as {one.id}: ligand deploy show {one.id}."
    return None


def undo_fault(one: Deployment | None, deployment_id: str, source: str, taint: Iterable[str]) -> tuple[str, str] | None:
    """Why a deployment cannot be taken back by hand: a reason in one word, and more; None when it can."""
    if not source.startswith("person@") or list(taint):
        return "not_a_person", f"{source} is no person at work; only people take deployments back."
    if one is None:
        return "unknown", f"There is no deployment {deployment_id}: ligand deploy history."
    if one.end != DEPLOYED:
        return "not_deployed", f"The deployment {one.id} {'has failed' if one.end else 'is not done'}."
    if one.step not in ("told", "undo_told") or not one.is_in_use:
        return "already_wanted", f"The deployment {one.id} is taken back already."
    return None


def differences(old: Mapping[str, Any], new: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Facts]:
    """Old and new value by dotted key, of those parameters that change."""
    return {
        keys[name]: {"old": old.get(name), "new": value}
        for name, value in new.items()
        if name not in old or (old[name], type(old[name])) != (value, type(value))
    }


def about(one: Deployment) -> Facts:
    """The facts that every end of a deployment has."""
    return {
        "deployment_id": one.id,
        "winner_id": one.winner["winner_id"],
        "cycle_id": one.steps["accepted"]["cycle_id"],
        "target": one.winner["target"],
    }


def failed(one: Deployment, reason: str, detail: str, *, rolled_back: bool) -> Facts:
    """The facts of Q_DEPLOYMENT_FAILED."""
    told = about(one) | {"reason": reason, "detail": detail[:2000] or reason, "rolled_back": rolled_back}
    backup = one.steps.get("writing", {}).get("backup")
    return told | ({"backup": backup} if backup else {})
