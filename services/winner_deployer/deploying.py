"""One deployment after the other, each step in the ledger before it is done, so that any of them may be the last.

Runs in a thread of its own: it waits for measurements. Nothing here takes a path from a signal.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from services.experiments import evaluation
from services.experiments.definition import Experiment
from services.experiments.files import ChangedError, FileError, OpenFile, digest, opened
from services.experiments.space import Params
from services.experiments.targets import FormatError, place_of, values_in
from services.winner_deployer import checks, logic
from services.winner_deployer.backups import Backups, kept
from services.winner_deployer.changes import Change, Finder, placed, plain, reload_facts, target_name
from services.winner_deployer.ledger import Ledger
from services.winner_deployer.logic import DEPLOYED, FAILED, NOT_UNDONE, PROPOSED, UNDONE, Deployment, Refused
from signals.envelope import rfc3339

PAUSES_S = (1.0, 5.0, 30.0)
STOPPED = ("interrupted", "The daemon was stopped before it was verified.")


class Stopping(Exception):
    """The daemon was told to stop."""


class Bus(Protocol):
    """What a deployment needs of the bus. Both may wait; both may raise `Stopping`."""

    def tell(self, name: str, facts: Mapping[str, Any], key: str, because: str) -> None:
        """Emit, on disk when it returns; the same key is the same signal. `because`: the id of what it follows from."""

    def reload(self, facts: Mapping[str, Any], because: str) -> str:
        """Have a daemon read its configuration again (Q_CONFIGURATION_CHANGED); why it does not use it, or nothing."""


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
        self.stop = threading.Event()
        self.acting = threading.Lock()
        self._current: OpenFile | None = None
        self._backups = backups
        self._finder = Finder(config, ledger.deployments)
        self._bus = bus
        self._log = log
        self._acts: dict[str, Callable[[Deployment], None]] = {
            "begin": self._begin,
            "give_up": lambda one: self._end_failed(one, "crashing", "It was begun and broken off again and again."),
            "propose": self._propose,
            "reject": self._reject,
            "expire": lambda one: self._end_failed(one, "expired", "Nobody has approved it in time."),
            "take_back": lambda one: self._take_back(one, "interrupted", "It was broken off before it was verified."),
            "tell": self._tell,
            "undo": self._undo,
            "tell_undo": self._tell_undo,
        }

    def work(self) -> bool:
        """Do one thing that is to be done, first what was broken off; whether there was one. Raises `Stopping`."""
        waiting = [(one, act) for one in self.ledger.deployments if (act := logic.todo(one, time.time()))]
        waiting.sort(key=lambda entry: entry[1] != "take_back")
        if not waiting or self.stop.is_set():
            return False
        one, act = waiting[0]
        self._log.info("act", deployment_id=one.id, act=act)
        self._acts[act](one)
        return True

    def wait(self, seconds: float) -> None:
        """Let time pass. Raises `Stopping`."""
        if self.stop.wait(seconds):
            raise Stopping

    def accept(self, records: list[dict[str, Any]]) -> None:
        """New winners, with the bytes that their targets have now: what changes them later is somebody's edit."""
        known = self.ledger.deployments.by_id
        fresh = [{**record, **self._finder.seen(record)} for record in records if record["id"] not in known]
        if fresh:
            self.ledger.note(*fresh)

    # -- before the change ---------------------------------------------------------------------------

    def _begin(self, one: Deployment) -> None:
        try:
            if logic.UNTRUSTED & set(one.steps["accepted"]["taint"]):
                raise Refused("not_allowed", "It comes from a recording; only what happens now is deployed.")
            experiment = self._finder.experiment(one.winner["experiment"])
            with opened(place_of(experiment.target)) as file, file.locked():
                change = self._finder.change(one, experiment, file)
                if "answered" not in one.steps and not self._goes_on(one, change):
                    return
                self._deploy(one, change, file)
        except (FileError, Refused) as error:
            detail = error.message if isinstance(error, FileError) else error.detail
            self._end_failed(one, error.reason, detail)

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
            "why": why,
        }
        if way == "report":
            self._note(one, "ended", signal=PROPOSED, facts=facts)
            return False
        expires = time.time() + self.settings.proposal_s
        facts |= {"change_sha256": logic.sha256_of(change.told), "expires_at": rfc3339(expires)}
        self._note(one, "proposed", facts=facts, expires=expires)
        return False

    def _propose(self, one: Deployment) -> None:
        self._bus.tell(
            PROPOSED, one.steps["proposed"]["facts"], f"{one.id}:proposed", one.steps["accepted"]["signal_id"]
        )
        self._note(one, "asked")

    def _reject(self, one: Deployment) -> None:
        answer = one.steps["answered"]
        self._end_failed(one, "rejected", f"{answer['by']} has rejected it. {answer.get('reason', '')}".strip())

    # -- the change ----------------------------------------------------------------------------------

    def _deploy(self, one: Deployment, change: Change, file: OpenFile) -> None:
        self._note(one, "begun")
        self._current = file
        try:
            file.require_replaceable()
            backup = self._backups.keep(one.id, file.path.name, change.before)
            self._backups.prune(self.settings.keep_backups, self._needed())
        except OSError as error:
            raise Refused("no_backup", f"No backup could be made: {error.strerror}.") from error
        checks.require_healthy_before(change.experiment)
        try:
            baseline = checks.measured(change.experiment, change.old, self.wait)
        except Refused as error:
            raise Refused("baseline_failed", error.detail) from error
        with self.acting:
            self.wait(0.0)
            more: dict[str, Any] = {
                "backup": str(backup),
                "place": plain(file),
                "daemon": change.experiment.target.daemon,
            }
            self._note(one, "writing", **change.told, **more, baseline=evaluation.mean(baseline))
        try:
            self._write(one, change, file)
            facts = self._verified(one, change, file, baseline)
        except ChangedError as error:
            self._end_failed(one, error.reason, error.message)
            return
        except (Refused, FormatError, FileError) as error:
            reason = error.reason if isinstance(error, Refused) else "verification_failed"
            self._take_back(one, reason, str(error), file)
            return
        self._note(one, "ended", signal=DEPLOYED, facts=facts)

    def _write(self, one: Deployment, change: Change, file: OpenFile) -> None:
        with self.acting:
            file.replace(change.before, change.after)
            self._note(one, "written")

    def _verified(
        self, one: Deployment, change: Change, file: OpenFile, baseline: list[checks.Metrics]
    ) -> dict[str, Any]:
        """The facts of a deployment that has proven itself in place. Raises `Refused` for any other."""
        experiment = change.experiment
        if fault := self._reload(one, experiment, digest(change.after)):
            raise Refused("reload_failed", fault)
        values = self._read_back(change, file)
        windows = experiment.target.health.windows if experiment.target.health else 0
        checks.require_healthy(experiment, windows, self.wait)
        after = checks.measured(experiment, values, self.wait)
        shown = checks.judge(experiment, baseline, after)
        self._read_back(change, file)
        health = f", healthy in {windows} windows" if windows else ""
        return {
            **logic.about(one),
            "target": target_name(experiment),
            "changes": change.changes,
            "verified_by": f"read back{self._how(experiment)}{health}; measured in place: {shown}"[:512],
            "measured": dict(list(evaluation.mean(after).items())[:32]),
            "backup": one.steps["writing"]["backup"],
        }

    @staticmethod
    def _how(experiment: Experiment) -> str:
        return " after the reload" if experiment.target.daemon or experiment.target.reload else ""

    def _read_back(self, change: Change, file: OpenFile) -> Params:
        """The values that are really there, within the search space. Raises `Refused`."""
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

    def _reload(self, one: Deployment, experiment: Experiment, sha256: str) -> str:
        """Have the target read its file; why it does not use it, or nothing."""
        made, command = one.steps["writing"], experiment.target.reload
        if made.get("daemon"):
            return self._bus.reload(reload_facts(made, sha256), one.steps["accepted"]["signal_id"])
        return (checks.fault_of(command, experiment.file.parent) or "") if command else ""

    # -- taking back ---------------------------------------------------------------------------------

    def restore(self, one: Deployment, file: OpenFile) -> bool:
        """Put the old bytes back; False when somebody else's text stands there, which is kept.

        Raises `Refused`, `FileError`.
        """
        made = one.steps["writing"]
        before = kept(made["backup"], made["old_sha256"])
        file.settle(made["new_sha256"], made["old_sha256"])
        found = file.read()
        if digest(found) != made["new_sha256"]:
            return digest(found) == str(made["old_sha256"])
        try:
            file.replace(found, before)
        except ChangedError:
            return False
        return True

    def _take_back(self, one: Deployment, reason: str, detail: str, file: OpenFile | None = None) -> None:
        """The old bytes come back, and the target reads them; what somebody wrote since is kept.

        `file` where it is open and locked already.
        """
        earlier = one.steps.get("taking_back", {})
        reason, detail = earlier.get("reason", reason), earlier.get("detail", detail)
        try:
            back = self._patiently(lambda: self.put_back(one, reason, detail, file))
        except (Refused, FileError) as error:
            words = (
                f"{detail} The old values could not be put back: {error} They are in {one.steps['writing']['backup']}."
            )
            self._end_failed(one, reason, words, rolled_back=False)
            return
        if not back:
            words = f"{one.steps['writing']['path']} was edited since: that text is kept, and so is the backup."
            self._end_failed(one, "target_changed", f"{detail} {words}", rolled_back=False)
            return
        fault = self._reload_old(one)
        self._end_failed(one, reason, f"{detail}{f' The old values are back, but: {fault}' if fault else ''}")

    def put_back(self, one: Deployment, reason: str, detail: str, file: OpenFile | None = None) -> bool:
        """Note that the old bytes come back, then have them back. As `restore`."""
        if file is None:
            made = one.steps["writing"]
            with opened(placed(made)) as held, held.locked():
                return self.put_back(one, reason, detail, held)
        with self.acting:
            if one.step != "taking_back":
                file.settle(one.steps["writing"]["old_sha256"], one.steps["writing"]["new_sha256"])
                self._note(one, "taking_back", reason=reason, detail=detail)
            return self.restore(one, file)

    def _patiently(self, act: Callable[[], bool]) -> bool:
        """Try again for a while what a full disk or another program may keep from being done."""
        for pause_s in PAUSES_S:
            try:
                return act()
            except FileError as error:
                self._log.error("not_taken_back", error=error.message, again_in_s=pause_s)
                self.wait(pause_s)
        return act()

    def _reload_old(self, one: Deployment) -> str:
        try:
            experiment = self._finder.experiment(one.steps["writing"]["experiment"])
        except Refused as error:
            return f"nothing was reloaded: {error.detail}"
        return self._reload(one, experiment, one.steps["writing"]["old_sha256"])

    def abort(self) -> list[tuple[dict[str, Any], str]]:
        """Put back what is not verified, once told to stop; the requests for reloads that nobody waits for.

        To be called from the main thread; the one that works has ended, or only waits for a measurement.
        """
        wanted = []
        for one in self.ledger.deployments:
            if one.step not in logic.CHANGING:
                continue
            try:
                self.put_back(one, *STOPPED, self._current)
            except (Refused, FileError) as error:
                self._log.error("not_taken_back", deployment_id=one.id, error=str(error))  # the next start tries again
                continue
            made = one.steps["writing"]
            if made.get("daemon"):
                wanted.append((reload_facts(made, made["old_sha256"]), one.steps["accepted"]["signal_id"]))
        return wanted

    # -- by hand -------------------------------------------------------------------------------------

    def _undo(self, one: Deployment) -> None:
        made = one.steps["writing"]
        self._note(one, "undoing")
        try:
            with opened(placed(made)) as file, file.locked(), self.acting:
                back = self.restore(one, file)
            if not back:
                words = f"{made['path']} was edited, or deployed to again, since; what stands there is kept."
                raise Refused("target_changed", f"{words} The old text is in {made['backup']}.")
            if fault := self._reload_old(one):
                self._log.warning("reload_failed", deployment_id=one.id, error=fault)
        except (FileError, Refused) as error:
            detail = error.message if isinstance(error, FileError) else error.detail
            why = {"deployment_id": one.id, "reason": error.reason, "detail": detail[:2000]}
            self._note(one, "undone", signal=NOT_UNDONE, facts=why)
            return
        swapped = {key: {"old": both["new"], "new": both["old"]} for key, both in made["changes"].items()}
        target = one.steps["ended"]["facts"]["target"]
        facts: dict[str, Any] = {"deployment_id": one.id, "target": target, "file": made["path"], "changes": swapped}
        self._note(one, "undone", signal=UNDONE, facts=facts)

    # -- telling -------------------------------------------------------------------------------------

    def _note(self, one: Deployment, step: str, **more: Any) -> None:
        if self.stop.is_set() and threading.current_thread() is not threading.main_thread():
            raise Stopping  # from now on the main thread alone acts
        self.ledger.note({"id": one.id, "step": step, "at": rfc3339(time.time()), **more})

    def _end_failed(self, one: Deployment, reason: str, detail: str, *, rolled_back: bool = True) -> None:
        """`rolled_back`: whether the file is as it was before."""
        facts = logic.failed(one, reason, detail, rolled_back=rolled_back) | {"target": self._finder.name_of(one)}
        self._note(one, "ended", signal=FAILED, facts=facts)

    def _tell(self, one: Deployment) -> None:
        ended = one.steps["ended"]
        because = one.steps.get("answered", one.steps["accepted"])["signal_id"]
        self._bus.tell(ended["signal"], ended["facts"], f"{one.id}:ended", because)
        self._note(one, "told")

    def _tell_undo(self, one: Deployment) -> None:
        undone, wanted = one.steps["undone"], one.steps["undo_wanted"]["signal_id"]
        self._bus.tell(undone["signal"], undone["facts"], f"{one.id}:undone:{wanted}", wanted)
        self._note(one, "undo_told")

    def _needed(self) -> set[str]:
        return {one.id for one in self.ledger.deployments if one.step not in ("told", "undo_told")}
