"""Uninstall, and purge: every trace but what is a person's."""

from __future__ import annotations

from pathlib import Path

from tools.ligand import reloading
from tools.ligand.accounts import Accounts, packaged_units
from tools.ligand.granted import HELD
from tools.ligand.grants import Grants
from tools.ligand.hold_grants import release
from tools.ligand.installed import Installed
from tools.ligand.layout import InstallError, Layout
from tools.ligand.manager import Manager
from tools.ligand.steps import Steps, remove_files
from tools.ligand.unit_names import TARGET


class Uninstaller:
    """Takes away one installation."""

    def __init__(self, layout: Layout, steps: Steps, manager: Manager) -> None:
        self.layout = layout
        self.steps = steps
        self.manager = manager
        self.record = Installed.load(layout.record)
        self._is_ours = layout.record.exists()

    def uninstall(self, *, purge: bool) -> None:
        """Stop and remove everything; what the daemons know and how they are set stays unless purged."""
        if not self.record.current and not purge:
            raise InstallError(f"Ligand is not installed in {self.layout.prefix}. --purge removes what it left.")
        accounts = Accounts(self.layout, packaged_units()) if purge and self.layout.system else None
        if accounts is not None:
            accounts.check()
        grants = Grants(self.layout, self.steps, self.manager, stopped=True) if accounts is not None else None
        self._remove_program()
        if purge:
            self._purge(accounts, grants)

    def _remove_program(self) -> None:
        self._tell_stopped()
        signpost = str(self.layout.signpost)  # goes last: until then another run finds where the rest is
        some = bool(self.record.files) or self.layout.signpost.exists()
        kept = {str(self.layout.sysusers), str(self.layout.instance_users)}  # as long as the users are there
        files = [file for file in self.record.files if file not in {*kept, signpost}]
        remove_files(self.steps, filter(self._is_still_ours, files))
        if str(reloading.RULE) in self.record.files:
            reloading.remove_folders(self.steps)
        if self._is_ours:  # else somebody's own folders may be called so
            self.steps.remove_tree(self.layout.versions)
            remove_files(self.steps, [str(self.layout.link), str(self.layout.record)])
            self.steps.remove_folder(self.layout.prefix)
        if some:
            remove_files(self.steps, [signpost])
            self.steps.do("reload the units", lambda: self.manager.systemctl("daemon-reload"))

    def _is_still_ours(self, file: str) -> bool:
        """Whether it is what was made; a program that somebody has put in a link's place stays, and that is said."""
        path = Path(file)
        replaced = path.parent == self.layout.commands and path.exists() and not path.is_symlink()
        if replaced:
            self.steps.note(f"{path} stays: it is no link of Ligand's any more")
        return not replaced

    def _tell_stopped(self) -> None:
        """Stop and disable what is there; of an installation that was killed that may be a part, or nothing."""
        enabled = sorted({*self.record.services, *self._wanted()})
        there = [unit for unit in (TARGET, *enabled) if self._unit_file(unit).exists()]
        loaded = {*self.manager.running(), *self.manager.failed()}
        if units := sorted({*loaded, *there}):
            self.steps.do("stop every daemon", lambda: self.manager.systemctl("stop", *units))
        if there:
            self.steps.do("disable them", lambda: self.manager.systemctl("disable", "--quiet", *there))
        if not self.steps.dry:
            self.manager.forget(units)

    def _wanted(self) -> list[str]:
        """Units of ours that are enabled, also where that could not be recorded any more."""
        links = (self.layout.units / f"{TARGET}.wants").glob("ligand-*")
        return [link.name for link in links if str(self._unit_file(link.name)) in self.record.files]

    def _unit_file(self, unit: str) -> Path:
        """Where a unit's file is, or that of its template."""
        name, is_instance, _ = unit.partition("@")
        return self.layout.units / (f"{name}@.service" if is_instance else unit)

    def _release(self) -> None:
        """Unmount what was held for daemons that were killed while they started; it is a person's, and stays theirs."""
        for folder in sorted(HELD.iterdir()) if HELD.is_dir() else ():
            self.steps.do(f"unmount what is held in {folder}", lambda name=folder.name: release(name))  # type: ignore[misc]
        self.steps.remove_folder(HELD)

    def _purge(self, accounts: Accounts | None, grants: Grants | None) -> None:
        if grants is not None:
            grants.remove_all()
            self._release()
        for path in self.layout.purged:
            self.steps.remove_tree(path)
        if accounts is not None:
            accounts.remove(self.steps)
            remove_files(self.steps, [str(self.layout.sysusers), str(self.layout.instance_users)])
