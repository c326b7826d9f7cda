"""The old bytes back: when a change has not proven itself, was broken off, or a person wants it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.experiments.files import ChangedError, FileError, OpenFile, digest, opened
from services.winner_deployer import logic
from services.winner_deployer.backups import kept
from services.winner_deployer.changes import placed, reload_facts
from services.winner_deployer.logic import NOT_UNDONE, UNDONE, Deployment, Refused
from services.winner_deployer.steps import Steps

PAUSES_S = (1.0, 5.0, 30.0)
STOPPED = ("interrupted", "The daemon was stopped before it was verified.")


class TakingBack:
    """Takes deployments back."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

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

    def take_back(self, one: Deployment, reason: str, detail: str) -> None:
        """The old bytes come back, and the target reads them; what somebody wrote since is kept."""
        earlier = one.steps.get("taking_back", {})
        reason, detail = earlier.get("reason", reason), earlier.get("detail", detail)
        try:
            back = self._patiently(lambda: self.put_back(one, reason, detail))
        except (Refused, FileError) as error:
            words = (
                f"{detail} The old values could not be put back: {error} They are in {one.steps['writing']['backup']}."
            )
            self._steps.end_failed(one, reason, words, rolled_back=False)
            return
        if not back:
            words = f"{one.steps['writing']['path']} was edited since: that text is kept, and so is the backup."
            self._steps.end_failed(one, "target_changed", f"{detail} {words}", rolled_back=False)
            return
        fault = self._reload_old(one)
        self._steps.end_failed(one, reason, f"{detail}{f' The old values are back, but: {fault}' if fault else ''}")

    def put_back(self, one: Deployment, reason: str, detail: str) -> bool:
        """Note that the old bytes come back, then have them back. As `restore`; raises OSError for a full disk."""
        with self._steps.acting:
            if held := self._steps.held(one):
                return self._put_back(one, reason, detail, held)
        with opened(placed(one.steps["writing"])) as file, file.locked(), self._steps.acting:
            return self._put_back(one, reason, detail, file)

    def _put_back(self, one: Deployment, reason: str, detail: str, file: OpenFile) -> bool:
        if one.step != "taking_back":
            file.settle(one.steps["writing"]["old_sha256"], one.steps["writing"]["new_sha256"])
            self._steps.note(one, "taking_back", reason=reason, detail=detail)
        return self.restore(one, file)

    def _patiently(self, act: Callable[[], bool]) -> bool:
        """Try again for a while what a full disk or another program may keep from being done."""
        for pause_s in PAUSES_S:
            try:
                return act()
            except FileError as error:
                self._steps.log.error("not_taken_back", error=error.message, again_in_s=pause_s)
                self._steps.wait(pause_s)
        return act()

    def _reload_old(self, one: Deployment) -> str:
        try:
            experiment = self._steps.finder.experiment(one.steps["writing"]["experiment"])
        except Refused as error:
            return f"nothing was reloaded: {error.detail}"
        return self._steps.reload(one, experiment, one.steps["writing"]["old_sha256"])

    def abort(self) -> list[tuple[dict[str, Any], str]]:
        """Put back what is not verified, once told to stop; the requests for reloads that nobody waits for.

        To be called from the main thread; the one that works has ended, or only waits for a measurement.
        """
        wanted = []
        for one in self._steps.ledger.deployments:
            if one.step not in logic.CHANGING:
                continue
            try:
                self.put_back(one, *STOPPED)
            except (Refused, FileError, OSError) as error:
                # the next start tries again
                self._steps.log.error("not_taken_back", deployment_id=one.id, error=str(error))
                continue
            made = one.steps["writing"]
            if made.get("daemon"):
                wanted.append((reload_facts(made, made["old_sha256"]), one.steps["accepted"]["signal_id"]))
        return wanted

    def undo(self, one: Deployment) -> None:
        """A person wants the old values back; where that text was edited since, it is left alone, and that is told."""
        made = one.steps["writing"]
        self._steps.note(one, "undoing")
        try:
            with opened(placed(made)) as file, file.locked(), self._steps.acting:
                back = self.restore(one, file)
            if not back:
                words = f"{made['path']} was edited, or deployed to again, since; what stands there is kept."
                raise Refused("target_changed", f"{words} The old text is in {made['backup']}.")
            if fault := self._reload_old(one):
                self._steps.log.warning("reload_failed", deployment_id=one.id, error=fault)
        except (FileError, Refused) as error:
            detail = error.message if isinstance(error, FileError) else error.detail
            why = {"deployment_id": one.id, "reason": error.reason, "detail": detail[:2000]}
            self._steps.note(one, "undone", signal=NOT_UNDONE, facts=why)
            return
        swapped = {key: {"old": both["new"], "new": both["old"]} for key, both in made["changes"].items()}
        target = one.steps["ended"]["facts"]["target"]
        facts: dict[str, Any] = {"deployment_id": one.id, "target": target, "file": made["path"], "changes": swapped}
        self._steps.note(one, "undone", signal=UNDONE, facts=facts)
