"""One deployment after the other, each step in the ledger before it is done, so that any of them may be the last.

Runs in a thread of its own: it waits for measurements. Nothing here takes a path from a signal.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.experiments import evaluation
from services.experiments.files import ChangedError, FileError, OpenFile, digest, opened
from services.experiments.model import Experiment
from services.experiments.space import Params
from services.experiments.targets import FormatError, place_of, values_in
from services.winner_deployer import checks, logic
from services.winner_deployer.backups import Backups
from services.winner_deployer.changes import Change, Finder, plain, target_name
from services.winner_deployer.ledger import Ledger
from services.winner_deployer.logic import DEPLOYED, PROPOSED, Deployment, Refused
from services.winner_deployer.steps import Bus, Steps
from services.winner_deployer.taking_back import TakingBack
from signals.envelope import rfc3339


@dataclass(frozen=True, slots=True)
class Settings:
    """`proposal_s`: seconds until a proposal counts as rejected; `units`: what polkit lets this daemon reload."""

    proposal_s: float
    keep_backups: int
    units: tuple[str, ...]


class Deployer:
    """Does what is to be done about each deployment of the ledger."""

    def __init__(
        self, ledger: Ledger, backups: Backups, config: Path, bus: Bus, settings: Settings, *, log: Any
    ) -> None:
        self.ledger = ledger
        self.settings = settings
        self._backups = backups
        self._steps = Steps(ledger, Finder(config, ledger.deployments), bus, log)
        self.stop = self._steps.stop
        self.back = TakingBack(self._steps)
        end = self._steps.end_failed
        self._acts: dict[str, Callable[[Deployment], None]] = {
            "begin": self._begin,
            "give_up": lambda one: end(one, "crashing", "It was begun and broken off again and again."),
            "propose": self._propose,
            "reject": self._reject,
            "expire": self._expire,
            "take_back": lambda one: self.back.take_back(
                one, "interrupted", "It was broken off before it was verified."
            ),
            "tell": self._tell,
            "undo": self.back.undo,
            "tell_undo": self._tell_undo,
        }

    def work(self) -> bool:
        """Do one thing that is to be done, first what was broken off; whether there was one. Raises `Stopping`."""
        waiting = [(one, act) for one in self.ledger.deployments if (act := logic.todo(one, time.time()))]
        waiting.sort(key=lambda entry: entry[1] != "take_back")
        if not waiting or self.stop.is_set():
            return False
        one, act = waiting[0]
        self._steps.log.info("act", deployment_id=one.id, act=act)
        self._acts[act](one)
        return True

    def accept(self, records: list[dict[str, Any]]) -> None:
        """New winners, with the bytes that their targets have now: what changes them later is somebody's edit."""
        known = self.ledger.deployments.by_id
        fresh = [{**record, **self._steps.finder.seen(record)} for record in records if record["id"] not in known]
        if fresh:
            self.ledger.note(*fresh)

    # -- before the change ---------------------------------------------------------------------------

    def _begin(self, one: Deployment) -> None:
        try:
            if logic.UNTRUSTED & set(one.steps["accepted"]["taint"]):
                raise Refused("not_allowed", "It comes from a recording; only what happens now is deployed.")
            experiment = self._steps.finder.experiment(one.winner["experiment"])
            with opened(place_of(experiment.target)) as file, file.locked(), self._steps.holding(one, file):
                change = self._steps.finder.change(one, experiment, file)
                if "answered" not in one.steps and not self._goes_on(one, change):
                    return
                self._deploy(one, change, file)
        except (FileError, Refused) as error:
            detail = error.message if isinstance(error, FileError) else error.detail
            self._steps.end_failed(one, error.reason, detail)

    def _goes_on(self, one: Deployment, change: Change) -> bool:
        """Whether it is deployed without a person; if not, it is proposed or only told."""
        experiment = change.experiment
        stopped = checks.cannot_reload(experiment, self.settings.units)
        before = self.ledger.deployments.tried(one.digest, one.id)
        way, why = logic.mode(experiment.autonomy, before, stopped)
        if way == "deploy":
            return True
        facts: dict[str, Any] = {
            **logic.about(one),
            "target": target_name(experiment),
            "experiment": experiment.name,
            "file": change.path,
            "changes": change.changes,
            "mode": way,
            "why": why[:1024],
        }
        if way == "report":
            self._steps.note(one, "ended", signal=PROPOSED, facts=facts)
            return False
        expires = time.time() + self.settings.proposal_s
        facts |= {"change_sha256": logic.sha256_of(change.told), "expires_at": rfc3339(expires)}
        self._steps.note(one, "proposed", facts=facts, expires=expires)
        return False

    def _propose(self, one: Deployment) -> None:
        self._steps.bus.tell(
            PROPOSED, one.steps["proposed"]["facts"], f"{one.id}:proposed", one.steps["accepted"]["signal_id"]
        )
        self._steps.note(one, "asked")

    def _reject(self, one: Deployment) -> None:
        answer = one.steps["answered"]
        self._steps.end_failed(one, "rejected", f"{answer['by']} has rejected it. {answer.get('reason', '')}".strip())

    def _expire(self, one: Deployment) -> None:
        with self.ledger.alone:
            if "answered" not in one.steps:  # it may have come since that was decided, and counts
                self._steps.end_failed(one, "expired", "Nobody has approved it in time.")

    # -- the change ----------------------------------------------------------------------------------

    def _deploy(self, one: Deployment, change: Change, file: OpenFile) -> None:
        self._steps.note(one, "begun")
        try:
            file.require_replaceable()
            backup = self._backups.keep(one.id, file.path.name, change.before)
            self._backups.prune(self.settings.keep_backups, list(self.ledger.deployments.by_id), self._needed())
        except OSError as error:
            raise Refused("no_backup", f"No backup could be made: {error.strerror}.") from error
        checks.require_healthy_before(change.experiment)
        try:
            baseline = checks.measured(change.experiment, change.old, self._steps.wait)
        except Refused as error:
            raise Refused("baseline_failed", error.detail) from error
        with self._steps.acting:
            self._steps.wait(0.0)
            more: dict[str, Any] = {
                "backup": str(backup),
                "place": plain(file),
                "daemon": change.experiment.target.daemon,
            }
            self._steps.note(one, "writing", **change.told, **more, baseline=evaluation.mean(baseline))
        try:
            self._write(one, change, file)
            facts = self._verified(one, change, file, baseline)
        except ChangedError as error:
            self._steps.end_failed(one, error.reason, error.message)
            return
        except (Refused, FormatError, FileError) as error:
            reason = error.reason if isinstance(error, Refused) else "verification_failed"
            self.back.take_back(one, reason, str(error))
            return
        self._steps.note(one, "ended", signal=DEPLOYED, facts=facts)

    def _write(self, one: Deployment, change: Change, file: OpenFile) -> None:
        with self._steps.acting:
            file.replace(change.before, change.after)
            self._steps.note(one, "written")

    def _verified(
        self, one: Deployment, change: Change, file: OpenFile, baseline: list[checks.Metrics]
    ) -> dict[str, Any]:
        """The facts of a deployment that has proven itself in place. Raises `Refused` for any other."""
        experiment = change.experiment
        if fault := self._steps.reload(one, experiment, digest(change.after)):
            raise Refused("reload_failed", fault)
        values = self._read_back(change, file)
        windows = experiment.target.health.windows if experiment.target.health else 0
        checks.require_healthy(experiment, windows, self._steps.wait)
        after = checks.measured(experiment, values, self._steps.wait)
        shown = checks.judge(experiment, baseline, after)
        self._read_back(change, file)
        if self._steps.finder.experiment(experiment.name).digest != experiment.digest:
            words = "was edited while it was being verified, so before and after cannot be compared"
            raise Refused("interrupted", f"{experiment.file}, or a program that measures, {words}.")
        health = f", healthy in {windows} windows" if windows else ""
        return {
            **logic.about(one),
            "target": target_name(experiment),
            "file": one.steps["writing"]["path"],
            "changes": change.changes,
            "verified_by": f"read back{self._how(experiment)}{health}; measured in place: {shown}"[:512],
            "measured": dict(list(evaluation.mean(after).items())[:32]),
            "backup": one.steps["writing"]["backup"],
        }

    @staticmethod
    def _how(experiment: Experiment) -> str:
        return " after the reload" if experiment.target.daemon or experiment.target.reload else ""

    def _read_back(self, change: Change, file: OpenFile) -> Params:
        """The values that are really there, within the search space. Raises `Refused`, `FileError`."""
        file.require_in_place()
        found = file.read()
        if found != change.after:
            raise Refused("target_changed", f"{file.path} was edited while the new values were being verified.")
        values = values_in(change.experiment, found)
        try:
            normal = change.experiment.normal(values)
        except ValueError as error:
            raise Refused("verification_failed", f"Read back, the values do not fit: {error}.") from error
        if normal != change.new:
            raise Refused("verification_failed", f"Read back, the values are {normal}, not {change.new}.")
        return normal

    # -- telling -------------------------------------------------------------------------------------

    def _tell(self, one: Deployment) -> None:
        ended = one.steps["ended"]
        because = one.steps.get("answered", one.steps["accepted"])["signal_id"]
        self._steps.bus.tell(ended["signal"], ended["facts"], f"{one.id}:ended", because)
        self._steps.note(one, "told")

    def _tell_undo(self, one: Deployment) -> None:
        undone, wanted = one.steps["undone"], one.steps["undo_wanted"]["signal_id"]
        self._steps.bus.tell(undone["signal"], undone["facts"], f"{one.id}:undone:{wanted}", wanted)
        self._steps.note(one, "undo_told")

    def _needed(self) -> set[str]:
        return {one.id for one in self.ledger.deployments if one.step not in ("told", "undo_told")}
