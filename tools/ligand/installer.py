"""Install, upgrade with a way back, roll back, uninstall."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from services.runtime.manifest import Manifest
from tools.ligand import environment
from tools.ligand.grants import Grants
from tools.ligand.installed import Installed, Version
from tools.ligand.layout import InstallError, Layout
from tools.ligand.manager import Manager, Trouble
from tools.ligand.settings import template
from tools.ligand.steps import Steps, run
from tools.ligand.unit_files import rendered, services

READY_S = 90.0
TARGET = "ligand.target"
BUS = "ligand-bus.service"
PROGRAMS = ("ligand", "signal-tap")
COMPLETIONS = {
    "bash": "bash-completion/completions/{program}",
    "zsh": "zsh/site-functions/_{program}",
    "fish": "fish/vendor_completions.d/{program}.fish",
}


class Installer:
    """One installation on one layout."""

    def __init__(self, layout: Layout, steps: Steps, manager: Manager) -> None:
        self.layout = layout
        self.steps = steps
        self.manager = manager
        self.record = Installed.load(layout.record)
        self._failed_before = set(manager.failed())

    # -- installing ----------------------------------------------------------------------------------

    def install(self, source: environment.Source, python: Path, ready_s: float = READY_S) -> None:
        """Install or upgrade. Raises `InstallError`; a version that was in use before is in use again then."""
        digest = source.digest(python)
        current = next((one for one in self.record.kept if one.name == self.record.current), None)
        if current is not None and current.digest == digest and self._folder(current.name).is_dir():
            self.steps.note(f"Ligand {current.version} is installed already; its files are looked over")
            self._put_in_place(current.name)
            self._start(restart=False)
            self._settle(ready_s)
            return
        name = self.record.next_name()
        folder = self._folder(name)
        self.steps.do(f"make {folder} from {source.path}", lambda: environment.build(folder, source, python))
        if self.steps.dry:
            self._show_rest()
            return
        fresh = Version(name, environment.version(folder), digest)
        try:
            self._check(folder, current)
        except InstallError:
            shutil.rmtree(folder)
            raise
        self._take_over(fresh, ready_s)

    def _check(self, folder: Path, current: Version | None) -> None:
        """Configuration, manifests and contracts, by the new version itself, before anything is touched."""
        old = [str(_package(self._folder(current.name), "signals") / "contracts")] if current is not None else []
        check = [str(folder / "bin" / "python"), "-m", "tools.ligand.check_version", str(self.layout.config), *old]
        self.steps.do("check configuration, manifests and contracts", lambda: run(check))

    def _take_over(self, fresh: Version, ready_s: float) -> None:
        before = self.record
        self._save(self.record.adopt(fresh))
        try:
            self._put_in_place(fresh.name)
            self._start(restart=True)
            self._settle(ready_s)
        except InstallError as error:
            if not before.current:
                raise
            self._return_to(before, fresh, error, ready_s)
        self._prune()
        self.steps.note(f"Ligand {fresh.version} is installed and every daemon is ready")

    def _return_to(self, before: Installed, fresh: Version, error: InstallError, ready_s: float) -> None:
        old = before.version(before.current)
        self.steps.note(f"Ligand {fresh.version} does not work here; going back to {old.version}")
        self._save(replace(before, files=self.record.files, services=self.record.services))
        self._put_in_place(old.name)
        self._start(restart=True)
        self._settle(ready_s)
        self._prune()
        raise InstallError(f"Gone back to Ligand {old.version}, which runs. {fresh.version} did not:\n{error}")

    def rollback(self, ready_s: float = READY_S) -> None:
        """Go back to the version before, by hand. Raises `InstallError`."""
        back = self.record.go_back()
        old = back.version(back.current)
        self.steps.note(f"going back to Ligand {old.version}")
        if self.steps.dry:
            return
        self._save(back)
        self._put_in_place(old.name)
        self._start(restart=True)
        self._settle(ready_s)

    # -- the parts -----------------------------------------------------------------------------------

    def _folder(self, name: str) -> Path:
        return self.layout.versions / name

    def _save(self, record: Installed) -> None:
        self.record = record
        self.steps.write(self.layout.record, record.text())

    def _put_in_place(self, name: str) -> None:
        """Units, users, folders, configuration and links of a version; nothing is started."""
        folder = self._folder(name)
        packaged = _package(folder, "tools") / "systemd"
        units = rendered(packaged, self.layout, self.manager.version())
        files = [self.layout.units / unit for unit in units]
        if self.layout.system:
            self._users_and_folders(packaged)
            files += [self.layout.sysusers, self.layout.tmpfiles]
        for path in self.layout.first_folders:
            self.steps.folder(path, 0o700)
        self._configure(folder)
        changed = [self.steps.write(self.layout.units / unit, text) for unit, text in units.items()]
        self.steps.link(self.layout.link, Path("versions") / name)
        files += self._commands()
        gone = sorted(set(self.record.files) - {str(file) for file in files})
        self._remove_files(gone)
        if any(changed) or gone:
            self.manager.systemctl("daemon-reload")
        self._enable(units)
        self._save(replace(self.record, files=tuple(str(file) for file in files), services=tuple(services(units))))

    def _users_and_folders(self, packaged: Path) -> None:
        for source, target, tool in (
            ("ligand.sysusers.conf", self.layout.sysusers, ("systemd-sysusers",)),
            ("ligand.tmpfiles.conf", self.layout.tmpfiles, ("systemd-tmpfiles", "--create")),
        ):
            self.steps.write(target, (packaged / source).read_text(encoding="utf-8"))
            self.steps.run(*tool, str(target))

    def _configure(self, folder: Path) -> None:
        """A commented file for each daemon that has none; those that are there are the person's."""
        for file in sorted(_package(folder, "services").glob("*/manifest.yaml")):
            manifest = Manifest.load(file)
            path = self.layout.config / f"{manifest.daemon}.yaml"
            if path.exists() or manifest.instances:
                continue
            unit = f"ligand-{manifest.daemon.replace('_', '-')}"
            reload = f"systemctl {'' if self.layout.system else '--user '}reload {unit}"
            chosen = {"access": "system"} if self.layout.system and manifest.daemon == "bus" else None
            self.steps.write(path, template(manifest, path, reload, chosen))

    def _commands(self) -> list[Path]:
        """Links to the programs and their completions; what they are called is free or already ours."""
        made = []
        for program in PROGRAMS:
            target = self.layout.link / "bin" / program
            if not target.exists():
                continue
            self.steps.link(self.layout.commands / program, target)
            made.append(self.layout.commands / program)
            for shell, place in COMPLETIONS.items():
                path = self.layout.share / place.format(program=program)
                text = _completion(target, program, shell)
                if text:
                    self.steps.write(path, text)
                    made.append(path)
        return made

    def _enable(self, units: Mapping[str, str]) -> None:
        """Enable what is new; what a person has disabled since stays so."""
        fresh = [name for name in services(units) if name not in self.record.services]
        if fresh:
            self.steps.do(
                f"enable {', '.join([*fresh, TARGET])}",
                lambda: self.manager.systemctl("enable", "--quiet", *fresh, TARGET),
            )

    def _start(self, *, restart: bool) -> None:
        """Start the target; after a change restart every daemon that runs, the bus before the others."""
        if restart:
            running = self.manager.running()
            # what the version before did is not held against this one
            self.manager.forget(sorted({*running, *self.manager.failed()} - self._failed_before))
            self._tell("restart", *sorted(running, key=lambda unit: unit != BUS))
        self._tell("start", TARGET, *self.manager.enabled())

    def _tell(self, verb: str, *units: str) -> None:
        if units:
            what = f"{verb} {', '.join(units)}"
            self.steps.do(what, lambda: self.manager.systemctl("--no-block", verb, *units))

    def _settle(self, ready_s: float) -> None:
        if self.steps.dry:
            return
        units = sorted({*self.manager.enabled(), *self.manager.running()} - self._failed_before)
        for unit in sorted(self._failed_before):
            self.steps.note(f"{unit} had failed before and is not waited for; see: systemctl status {unit}")
        self.steps.note(f"wait until {len(units)} daemons are ready")
        trouble: list[Trouble] = self.manager.settle(units, ready_s)
        if trouble:
            raise InstallError("Not every daemon became ready:\n" + "\n".join(map(str, trouble)))

    def _prune(self) -> None:
        """Remove the environments that are neither in use nor the one to go back to."""
        keep = {one.name for one in self.record.kept}
        for folder in sorted(self.layout.versions.iterdir()):
            if folder.name not in keep:
                self.steps.remove_tree(folder)

    def _remove_files(self, files: list[str]) -> None:
        for file in map(Path, files):
            self.steps.remove(file)
            if file.parent.name.endswith((".service.d", ".slice.d", ".target.d")):
                self.steps.remove_folder(file.parent)

    def _show_rest(self) -> None:
        """What a first installation does after the environment is made; a dry run has none to look into."""
        packaged = environment.ROOT / "systemd"
        packaged = packaged if packaged.is_dir() else environment.ROOT / "tools" / "systemd"
        self.steps.note("would check configuration, manifests and contracts with it")
        units = rendered(packaged, self.layout, self.manager.version())
        if self.layout.system:
            self._users_and_folders(packaged)
        for unit, text in units.items():
            self.steps.write(self.layout.units / unit, text)
        self._configure(environment.ROOT)
        self.steps.link(self.layout.link, Path("versions") / self.record.next_name())
        for program in PROGRAMS:
            self.steps.link(self.layout.commands / program, self.layout.link / "bin" / program)
        self._enable(units)
        self._tell("start", TARGET)
        self.steps.note("would wait until every daemon is ready, and go back to the version before if one is not")

    # -- uninstalling --------------------------------------------------------------------------------

    def uninstall(self, *, purge: bool) -> None:
        """Stop and remove everything; what the daemons know and how they are set stays unless purged."""
        if not self.record.current and not purge:
            raise InstallError(f"Ligand is not installed in {self.layout.prefix}. --purge removes what it left.")
        if self.record.current:
            self._remove_program()
        if purge:
            self._purge()

    def _remove_program(self) -> None:
        self._tell_stopped()
        self._remove_files(list(self.record.files))
        self.steps.do("reload the units", lambda: self.manager.systemctl("daemon-reload"))
        self.steps.remove_tree(self.layout.versions)
        self.steps.remove(self.layout.link)
        self.steps.remove(self.layout.record)
        self.steps.remove_folder(self.layout.prefix)

    def _tell_stopped(self) -> None:
        units = sorted({*self.manager.running(), *self.manager.failed(), *self.record.services})
        self.steps.do("stop every daemon", lambda: self.manager.systemctl("stop", TARGET, *units))
        self.steps.do(
            "disable them", lambda: self.manager.systemctl("disable", "--quiet", TARGET, *self.record.services)
        )
        if not self.steps.dry:
            self.manager.forget(units)

    def _purge(self) -> None:
        if self.layout.system and (grants := Grants(self.layout, self.steps, self.manager)).all:
            grants.remove_all()
        for path in self.layout.purged:
            self.steps.remove_tree(path)
        if self.layout.system:
            self._remove_users()

    def _remove_users(self) -> None:
        import grp  # noqa: PLC0415 - only here
        import pwd  # noqa: PLC0415

        for user in sorted(one.pw_name for one in pwd.getpwall() if one.pw_name.startswith("ligand-")):
            self.steps.run("userdel", user)
        for group in ("ligand", "ligand-users"):
            if any(one.gr_name == group for one in grp.getgrall()):
                self.steps.run("groupdel", group)


def _package(folder: Path, name: str) -> Path:
    """Where a package of Ligand lies in an environment, or in the tree. Raises `InstallError`."""
    if (folder / name).is_dir():
        return folder / name
    found = sorted(folder.glob(f"lib/python3*/site-packages/{name}"))
    if not found:
        raise InstallError(f"{folder} holds no Ligand: {name} is missing. Install again.")
    return found[0]


def _completion(program: Path, name: str, shell: str) -> str:
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    try:
        return run([str(program)], {**os.environ, variable: f"{shell}_source"})
    except InstallError:
        return ""  # a shell that is not there, or too old, needs no completion
