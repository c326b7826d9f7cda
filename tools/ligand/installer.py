"""Install, upgrade with a way back, roll back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from services.runtime.manifest import Manifest, load_all
from signals.errors import LigandError
from tools.ligand import environment, extras, reloading
from tools.ligand.accounts import with_those_before
from tools.ligand.completion import script
from tools.ligand.grants import Grants
from tools.ligand.installed import Installed, Version
from tools.ligand.instances import Instance, listed, users
from tools.ligand.layout import InstallError, Layout, require_free, require_roots_own
from tools.ligand.manager import Manager, Trouble
from tools.ligand.settings import template
from tools.ligand.steps import Steps, remove_files, run
from tools.ligand.unit_files import rendered, services
from tools.ligand.unit_names import SUFFIX, TARGET, unit_of

READY_S = 90.0
BUS = "ligand-bus.service"
PROGRAMS = ("ligand", "signal-tap")


class Installer:
    """One installation on one layout."""

    def __init__(self, layout: Layout, steps: Steps, manager: Manager) -> None:
        self.layout = layout
        self.steps = steps
        self.manager = manager
        self.record = Installed.load(layout.record)
        self._failed_before = set(manager.failed())
        self._shown: Path | None = None
        """In a dry run, where the version that is not made can be looked into."""
        self._would_enable: list[str] = []
        self._reloads: Sequence[str] | None = None
        """The units that the deployer may reload from now on; None for those of before."""

    # -- installing ----------------------------------------------------------------------------------

    def install(
        self,
        source: environment.Source,
        python: Path,
        ready_s: float = READY_S,
        asked: Collection[str] = (),
        reloads: Sequence[str] | None = None,
    ) -> None:
        """Install or upgrade, with the extras of before and those `asked` for, and `reloads`, else those of before.

        Raises `InstallError`; a version that was in use before is in use again then.
        """
        self._reloads = reloads
        self._look_for_strangers()
        self.record = replace(self.record, extras=extras.wanted(self.record.extras, asked))
        digest = source.digest(python)
        current = next((one for one in self.record.kept if one.name == self.record.current), None)
        if current is not None and current.digest == digest and self._folder(current.name).is_dir():
            self.steps.note(f"Ligand {current.version} is installed already; its files are looked over")
            changed = self._bring_extras(source, current.name)
            self._tell("try-restart", *(unit_of(f"{name}_sensor") for name in changed))
            self._change_to(current, ready_s, restart=self.record.unfinished)
            return
        name = self.record.next_name(self._there())
        folder = self._folder(name)
        with self._claimed():
            self.steps.do(f"make {folder} from {source.path}", lambda: environment.build(folder, source, python))
            if not self.steps.dry:
                self._check_made(source, name)
        if self.steps.dry:
            self._bring_extras(source, name)
            with source.opened() as self._shown:
                self._check(folder)
                self._take_over(Version(name, "", digest), ready_s)
            return
        self._take_over(Version(name, environment.version(folder), digest), ready_s)

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        """Before anything is made in the prefix, note there that it is ours: nothing else is ever removed from one."""
        first = not self.layout.record.exists()
        there = self.layout.prefix.exists()
        if first:
            self._save(self.record)
        try:
            yield
        except (InstallError, OSError, KeyboardInterrupt):
            if first:
                self.layout.record.unlink(missing_ok=True)
                self.steps.remove_folder(self.layout.versions)
            if first and not there:
                self.steps.remove_folder(self.layout.prefix)
            raise

    def _check_made(self, source: environment.Source, name: str) -> None:
        folder = self._folder(name)
        try:
            self._bring_extras(source, name)
            self._check(folder)
        except (InstallError, OSError, KeyboardInterrupt):
            shutil.rmtree(folder)
            raise

    def _bring_extras(self, source: environment.Source, name: str) -> list[str]:
        """Have the wanted extras in a version; those that were there and are others now, or gone."""
        return extras.bring(self._folder(name), self.steps, source, self.record.extras)

    def _check(self, folder: Path) -> None:
        """Configuration, manifests and contracts, by the new version itself, before anything is touched."""
        ready = self.record.last_ready
        old = [str(environment.package(self._folder(ready), "signals") / "contracts")] if ready else []
        check = [str(folder / "bin" / "python"), "-m", "tools.ligand.check_version", str(self.layout.config), *old]
        self.steps.do("check configuration, manifests and contracts", lambda: run(check))

    def _take_over(self, fresh: Version, ready_s: float) -> None:
        self._begin(lambda record: record.adopt(fresh))
        self._change_to(fresh, ready_s, restart=True)
        if not self.steps.dry:
            self.steps.note(f"Ligand {fresh.version} is installed and every daemon is ready")

    def rollback(self, ready_s: float = READY_S) -> None:
        """Go back to the version before, by hand. Raises `InstallError`; the one in use is in use again then."""
        back = self.record.go_back()
        old = back.version(back.current)
        self.steps.note(f"going back to Ligand {old.version}")
        self._begin(Installed.go_back)
        self._change_to(old, ready_s, restart=True)

    def _change_to(self, version: Version, ready_s: float, *, restart: bool) -> None:
        """Have the version in use that is recorded so; where that fails, the one that was ready last.

        Raises `InstallError`, `LigandError` or `OSError`.
        """
        try:
            self._go_on_with(version.name, ready_s, restart=restart)
        except (LigandError, OSError) as error:
            if self.record.last_ready in ("", version.name):
                self._save(replace(self.record, going_back=False))  # going back once more leads to another version
                raise
            self._return_from(version, error, ready_s)
        self._prune()

    def _return_from(self, failed: Version, error: Exception, ready_s: float) -> None:
        old = self.record.version(self.record.last_ready)
        self.steps.note(f"Ligand {failed.version} does not work here; going back to {old.version}")
        self._save(self.record.give_up())
        try:
            self._change_to(old, ready_s, restart=True)
        except (LigandError, OSError) as again:
            raise InstallError(
                f"Ligand {failed.version} did not work here:\n{error}\nand {old.version}, which did, does so no more:"
                f"\n{again}\nMend that, then run it again."
            ) from again
        raise InstallError(f"Gone back to Ligand {old.version}, which runs. {failed.version} did not:\n{error}")

    # -- the parts -----------------------------------------------------------------------------------

    def _folder(self, name: str) -> Path:
        return self.layout.versions / name

    def _save(self, record: Installed) -> None:
        self.record = record
        self.steps.write(self.layout.record, record.text())

    def _go_on_with(self, name: str, ready_s: float, *, restart: bool) -> None:
        """Put a version in place, start it, wait for it; only then is the change over."""
        self._put_in_place(name)
        self._start(restart=restart)
        self._settle(ready_s, restarted=restart)
        self._save(self.record.ended())

    def _there(self) -> list[str]:
        return [folder.name for folder in self.layout.versions.iterdir()] if self.layout.versions.is_dir() else []

    def _look_for_strangers(self) -> None:
        """Raise `InstallError` where others could change the program, or a person's file is in the way or broken."""
        if self.layout.system:
            require_roots_own(self.layout.prefix)
            Grants(self.layout, self.steps, self.manager)
        if self._reloads:
            reloading.require_free(self.layout, self.record.files)
        if not self.layout.record.exists():
            require_free(self.layout)
        for program in PROGRAMS:
            path = self.layout.commands / program
            what = f"leads to {path.readlink()}" if path.is_symlink() else "is no link"
            ours = path.is_symlink() and (
                str(path) in self.record.files or path.readlink().is_relative_to(self.layout.prefix)
            )
            if path.exists() and not ours:
                raise InstallError(f"{path} is there already and {what}. Move it away, then install again.")

    def _put_in_place(self, name: str) -> None:
        """Units, users, folders, configuration and links of a version; nothing is started."""
        folder = self._shown or self._folder(name)
        packaged = environment.units(folder)
        units = rendered(packaged, self.layout, self.manager.version())
        instances = self._instances(folder)
        files = [self.layout.units / unit for unit in units]
        if self.layout.system:
            files += [self.layout.sysusers, self.layout.tmpfiles, self.layout.instance_users]
        deployer, allowed = self._deployer(folder), self.record.reloads if self._reloads is None else self._reloads
        files += [reloading.RULE] if allowed and deployer else []
        self._will_make(files)
        if self.layout.system:
            self._users_and_folders(packaged, instances)
        for path in self.layout.first_folders:
            self.steps.folder(path, 0o700)
        self._configure(folder, instances)
        if deployer is not None:
            self._allow_reloads(deployer, allowed)
        changed = [self.steps.write(self.layout.units / unit, text) for unit, text in units.items()]
        if self.layout.system:  # what was granted to daemons that were installed elsewhere before
            changed.append(Grants(self.layout, self.steps, self.manager).write_drop_ins())
        self.steps.link(self.layout.link, Path("versions") / name)
        files += self._commands()
        gone = sorted(set(self.record.files) - {str(file) for file in files})
        enabled = [*services(units), *(one.unit for one in instances if self._has_unit(one, units))]
        left = [unit for unit in self.record.services if unit not in enabled]
        self._disable(left)
        remove_files(self.steps, gone)
        if str(reloading.RULE) in gone:
            reloading.remove_folders(self.steps)
        if any(changed) or gone or left or self.manager.needs_reload():
            self.steps.do("reload the units", lambda: self.manager.systemctl("daemon-reload"))
        would = {*self.manager.enabled(), *enabled} - {*left, *self._switched_off(enabled)}
        self._would_enable = sorted(unit for unit in would if unit.endswith(".service"))
        self._enable(enabled)
        self._save(replace(self.record, files=tuple(str(file) for file in files), services=tuple(enabled)))

    def _switched_off(self, units: Iterable[str]) -> set[str]:
        """Which of them a person has disabled."""
        return {*units} & {*self.record.services, *self.record.off} - {*self.manager.enabled()}

    def _begin(self, change: Callable[[Installed], Installed]) -> None:
        """Record a change of version, and who is switched off: they stay so where a later version has them again."""
        if not self.record.unfinished:
            daemons = (unit for unit in (*self.record.off, *self.record.services) if unit.endswith(SUFFIX))
            off = self._switched_off(unit for unit in daemons if "@" not in unit)
            self.record = replace(self.record, off=tuple(sorted(off)))
        self._save(change(self.record))

    def _will_make(self, files: Iterable[Path]) -> None:
        """Record files before they are made: what is killed in between can still be removed."""
        known = dict.fromkeys((*self.record.files, *map(str, files)))
        self._save(replace(self.record, files=tuple(known)))

    def _instances(self, folder: Path) -> list[Instance]:
        """What `bus.yaml` lists of this version's template daemons and of the person's own."""
        packaged = sorted(environment.package(folder, "services").glob("*/manifest.yaml"))
        return listed(load_all(self.layout.config / "daemons.d", packaged).values(), self.layout.config)

    def _has_unit(self, instance: Instance, units: Mapping[str, str]) -> bool:
        name = unit_of(f"{instance.manifest.daemon}@")
        if name in units or (self.layout.units / name).exists():
            return True
        self.steps.note(f"{instance.daemon} is not started: there is no unit {self.layout.units / name}")
        return False

    def _users_and_folders(self, packaged: Path, instances: Sequence[Instance]) -> None:
        for text, target, tool in (
            (
                with_those_before((packaged / "ligand.sysusers.conf").read_text("utf-8"), self.layout.sysusers),
                self.layout.sysusers,
                ("systemd-sysusers",),
            ),
            (
                with_those_before(users(instances), self.layout.instance_users),
                self.layout.instance_users,
                ("systemd-sysusers",),
            ),
            (
                (packaged / "ligand.tmpfiles.conf").read_text("utf-8"),
                self.layout.tmpfiles,
                ("systemd-tmpfiles", "--create"),
            ),
        ):
            self.steps.write(target, text)
            self.steps.run(*tool, str(target))

    def _configure(self, folder: Path, instances: Sequence[Instance]) -> None:
        """A commented file for each daemon that has none; those that are there are the person's."""
        for file in sorted(environment.package(folder, "services").glob("*/manifest.yaml")):
            manifest = Manifest.load(file)
            if not manifest.instances:
                self._settings(manifest, manifest.daemon)
        for instance in instances:
            self._settings(instance.manifest, instance.daemon)

    def _deployer(self, folder: Path) -> Manifest | None:
        """The manifest of D-REAM's deployer; None for a version that has none."""
        file = environment.package(folder, "services") / reloading.DAEMON / "manifest.yaml"
        return Manifest.load(file) if file.exists() else None

    def _allow_reloads(self, deployer: Manifest, units: Sequence[str]) -> None:
        """The rule, and the setting where it was asked for; only then it is recorded, so that it is done once more."""
        if units:
            reloading.write_rule(self.steps, units, deployer.system_user)
        if self._reloads is None:
            return
        unit = unit_of(deployer.daemon)
        written = reloading.write_setting(self.layout, self.steps, deployer, self.record.reloads, units)
        if written and unit in self.manager.running():
            self._tell("reload", unit)
        self._save(replace(self.record, reloads=tuple(units)))

    def _settings(self, manifest: Manifest, daemon: str) -> None:
        path = self.layout.config / f"{daemon}.yaml"
        if path.exists():
            return
        reload = f"systemctl {'' if self.layout.system else '--user '}reload {unit_of(daemon)}"
        chosen = {"access": "system"} if self.layout.system and daemon == "bus" else None
        self.steps.write(path, template(manifest, path, reload.removesuffix(".service"), chosen))

    def _commands(self) -> list[Path]:
        """Links to the programs and their completions; what they are called is free or already ours."""
        targets = {program: self.layout.link / "bin" / program for program in PROGRAMS}
        there = {program: target for program, target in targets.items() if self.steps.dry or target.exists()}
        texts = {
            path: script(click.Command(program), program, shell)
            for program in there
            for shell, path in self.layout.completions(program).items()
        }
        made = [*(self.layout.commands / program for program in there), *texts]
        self._will_make(made)
        for program, target in there.items():
            self.steps.link(self.layout.commands / program, target)
        for path, text in texts.items():
            self.steps.write(path, text)
        return made

    def _disable(self, units: Sequence[str]) -> None:
        """What this version has not, and instances that are listed no more; nothing of them is left to complain of."""
        for unit in units:
            if self.manager.runs(unit):
                self.steps.do(f"stop {unit}", lambda unit=unit: self.manager.systemctl("stop", unit))  # type: ignore[misc]
            self.steps.remove(self.layout.units / f"{TARGET}.wants" / unit)
        if not self.steps.dry:
            self.manager.forget(units)
        self._failed_before -= {*units}

    def _enable(self, units: Sequence[str]) -> None:
        """Enable what is new; what a person has disabled stays so. The bus hears first which instances there are."""
        fresh = [name for name in units if name not in (*self.record.services, *self.record.off)]
        changed = {*self.record.services} ^ {*units}
        if any("@" in name for name in changed) and BUS in self.manager.running():
            self.steps.do(f"reload {BUS}", lambda: self.manager.systemctl("reload", BUS))
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
            if before := sorted({*running, *self.manager.failed()} - self._failed_before):
                self.steps.do("forget failures and restarts until now", lambda: self.manager.forget(before))
            self._tell("restart", *sorted(running, key=lambda unit: unit != BUS))
        self._tell("start", TARGET, *self._enabled())

    def _enabled(self) -> list[str]:
        return self._would_enable if self.steps.dry else self.manager.enabled()

    def _tell(self, verb: str, *units: str) -> None:
        if units:
            what = f"{verb} {', '.join(units)}"
            self.steps.do(what, lambda: self.manager.systemctl("--no-block", verb, *units))

    def _settle(self, ready_s: float, *, restarted: bool) -> None:
        units = sorted({*self._enabled(), *self.manager.running()} - self._failed_before)
        for unit in sorted(self._failed_before):
            self.steps.note(f"{unit} had failed before and is not waited for; see: systemctl status {unit}")
        trouble: list[Trouble] = []
        what = f"wait until these are ready: {', '.join(units)}"
        self.steps.do(what, lambda: trouble.extend(self.manager.settle(units, ready_s, restarted=restarted)))
        if trouble:
            raise InstallError("Not every daemon became ready:\n" + "\n".join(map(str, trouble)))

    def _prune(self) -> None:
        """Remove the environments that are neither in use nor to be gone back to."""
        keep = {one.name for one in self.record.kept}
        for name in sorted(self._there()):
            if name not in keep:
                self.steps.remove_tree(self._folder(name))
