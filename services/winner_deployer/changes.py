"""What a winner would change, exactly: from the experiment's own file, never from what a signal says of a path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.experiments.definition import FOLDER, load
from services.experiments.files import FileError, OpenFile, Place, digest
from services.experiments.model import NAME, Experiment
from services.experiments.space import Params
from services.experiments.targets import FormatError, digest_of, values_in, with_values
from services.winner_deployer import logic
from services.winner_deployer.logic import Deployment, Deployments, Refused
from signals.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Change:
    """What exactly would be written where."""

    experiment: Experiment
    before: bytes
    after: bytes
    old: Params
    new: Params
    path: str

    @property
    def changes(self) -> dict[str, Any]:
        """Old and new value by dotted key."""
        return logic.differences(self.old, self.new, self.experiment.target.keys)

    @property
    def told(self) -> dict[str, Any]:
        """All that an approval is bound to, as plain data."""
        return {
            "experiment": self.experiment.name,
            "experiment_sha256": self.experiment.digest,
            "path": self.path,
            "changes": self.changes,
            "old_sha256": digest(self.before),
            "new_sha256": digest(self.after),
        }


class Finder:
    """Finds the changes of winners in a configuration folder."""

    def __init__(self, config: Path, deployments: Deployments) -> None:
        self._config = config
        self._deployments = deployments

    def seen(self, record: Mapping[str, Any]) -> dict[str, str]:
        """The digest that the target of a new winner has, as the cycle found it or as it is now."""
        if said := record["winner"].get("target_sha256"):
            return {"seen_sha256": said}
        try:
            return {"seen_sha256": digest_of(self.experiment(record["winner"]["experiment"]))}
        except (Refused, FileError):
            return {}  # what is wrong is said when it is begun

    def experiment(self, name: str) -> Experiment:
        """The experiment of this name. Raises `Refused`."""
        path = self._config / FOLDER / f"{name}.yaml"
        if not NAME.fullmatch(name) or not path.is_file():
            raise Refused("target_unknown", f"There is no experiment {name[:64]!r} in {self._config / FOLDER}.")
        try:
            # old values must go back, and be reloaded, though what measured them is gone; its digest tells that it is
            return load(path, self._config, startable=False)
        except ConfigError as error:
            raise Refused("experiment_invalid", error.message) from error

    def change(self, one: Deployment, experiment: Experiment, file: OpenFile) -> Change:
        """What exactly would be written. Raises `Refused`."""
        if one.winner.get("digest", experiment.digest) != experiment.digest:
            words = "was edited since the winner was proven by it; the next cycle tries what stands there now"
            raise Refused("experiment_changed", f"{experiment.file}, or a program that measures, {words}.")
        before = file.read()
        try:
            new = experiment.normal(one.winner["params"])
            after, old = with_values(experiment, before, new), values_in(experiment, before)
        except ValueError as error:
            raise Refused("outside_search_space", f"The winner does not fit the experiment: {error}.") from error
        except FormatError as error:
            raise Refused("target_invalid", f"{file.path}: {error.message}") from error
        if after == before:
            raise Refused("already_in_use", f"{file.path} has these values already.")
        change = Change(experiment, before, after, old, new, str(file.path))
        self._require_known(one, change)
        return change

    def _require_known(self, one: Deployment, change: Change) -> None:
        """Raise `Refused` when somebody has edited the file since the winner was found, or shown to a person."""
        if "answered" in one.steps:
            if logic.sha256_of(change.told) != one.steps["proposed"]["facts"]["change_sha256"]:
                words = "the file or the experiment is not what it was when the change was approved"
                raise Refused("target_changed", f"{change.path}: {words}; what stands there is kept.")
            return
        seen = one.steps["accepted"].get("seen_sha256")
        if seen and digest(change.before) not in self._deployments.follow(change.path, seen):
            words = "was edited since the winner was found; what stands there is kept, and the next cycle measures it"
            raise Refused("target_changed", f"{change.path} {words}.")

    def name_of(self, one: Deployment) -> str:
        """What the target is called: by its experiment, where there is one."""
        try:
            return target_name(self.experiment(one.winner["experiment"]))
        except Refused:
            return str(one.winner["target"])


def target_name(experiment: Experiment) -> str:
    """A daemon, or a file as its experiment names it."""
    return (experiment.target.daemon or experiment.target.file)[-128:]


def plain(file: OpenFile) -> list[Any]:
    """A place as the ledger has it."""
    return [str(file.place.base), list(file.place.parts)]


def reload_facts(made: Mapping[str, Any], sha256: str) -> dict[str, Any]:
    """The facts of Q_CONFIGURATION_CHANGED."""
    return {"daemon": made["daemon"], "keys": sorted(made["changes"]), "file": made["path"], "sha256": sha256}


def placed(made: Mapping[str, Any]) -> Place:
    """The place that the ledger has."""
    return Place(Path(made["place"][0]), tuple(made["place"][1]))
