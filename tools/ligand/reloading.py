"""Which of the machine's units D-REAM's deployer may reload: a rule of polkit(8), and the setting that goes with it.

The rule lets one user do one thing, `reload`, with units that are named whole. systemd tells polkit unit and verb.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from services.runtime import config
from services.runtime.manifest import Manifest
from services.runtime.units import whole
from tools.ligand.layout import InstallError, Layout
from tools.ligand.steps import Steps
from tools.ligand.unit_names import unit_of

DAEMON = "winner_deployer"
NOTHING = "nothing"
RULE = Path("/etc/polkit-1/rules.d/50-ligand-reload.rules")
POLKIT = Path("/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service")
"""Where every distribution's polkit says how D-Bus starts it."""
LONGEST = 255
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.-]*(@[A-Za-z0-9:_.-]+)?\.service")
_RULE = """\
// made by `ligand install --allow-reload`, and removed by `ligand uninstall`
// D-REAM's deployer may have these units read their configuration again, and do nothing else with them
polkit.addRule(function (action, subject) {
    var units = %s;
    if (action.id == "org.freedesktop.systemd1.manage-units" &&
        subject.user == %s &&
        (action.lookup("verb") == "reload" || action.lookup("verb") == "try-reload") &&
        units.indexOf(action.lookup("unit")) >= 0) {
        return polkit.Result.YES;
    }
});
"""


def units_of(asked: Sequence[str]) -> tuple[str, ...] | None:
    """The units that were asked for, whole and sorted; None for those of before. Raises `InstallError`."""
    if not asked:
        return None
    return tuple(sorted({_service(name) for name in asked if name != NOTHING}))


def _service(name: str) -> str:
    found = whole(name)
    if not _PLAIN.fullmatch(found) or len(found) > LONGEST:
        raise InstallError(
            f"{name!r} is no service that can be reloaded: name one as `systemctl list-units` shows it, for instance "
            "nginx.service; an instance of a template by its whole name."
        )
    return found


def rule(units: Iterable[str], user: str) -> str:
    """The rule's text: `user` may reload `units`."""
    return _RULE % (json.dumps([*units]), json.dumps(user))


def setting(units: Sequence[str]) -> str:
    """The line of the deployer's configuration that goes with the rule; a comment where there is nothing to say."""
    return f"reloadable_units: {json.dumps([*units])}" if units else "#reloadable_units: []"


def with_setting(text: str, before: Sequence[str], after: Sequence[str]) -> str | None:
    """A configuration with `after` where an installation wrote `before`; None where a person has changed that."""
    old, new = setting(before), setting(after)
    lines = text.split("\n")
    if lines.count(old) != 1 and lines.count(new) != 1:
        return None
    return "\n".join(new if line == old else line for line in lines)


def require_free(layout: Layout, ours: Iterable[str]) -> None:
    """Raise `InstallError` where there can be no rule: for one person's Ligand, and over somebody else's file."""
    if not layout.system:
        raise InstallError(
            "--allow-reload is for --system: your own deployer reloads your own units with `systemctl --user`."
        )
    if RULE.exists() and str(RULE) not in ours:
        raise InstallError(f"{RULE} is there already and is not Ligand's. Move it away, then install again.")


def write_rule(steps: Steps, units: Sequence[str], user: str) -> None:
    """Let `user` reload `units`, and say so."""
    steps.write(RULE, rule(units, user))
    steps.note(f"{user} may reload {', '.join(units)}")
    if not POLKIT.exists():
        steps.note(f"polkit is not installed here: {RULE} counts once it is")


def remove_folders(steps: Steps) -> None:
    """Where polkit is not installed nobody else needs the folders of its rules."""
    if not POLKIT.exists():
        for folder in (RULE.parent, RULE.parent.parent):
            steps.remove_folder(folder)


def write_setting(
    layout: Layout, steps: Steps, manifest: Manifest, before: Sequence[str], units: Sequence[str]
) -> bool:
    """Have the deployer's configuration name `units`; what a person has set is theirs, and they are told.

    Whether it was changed. Raises `LigandError` for a configuration that cannot be read.
    """
    path = layout.config / f"{DAEMON}.yaml"
    text = str(steps.text(path) or "")
    if (fresh := with_setting(text, before, units)) is not None:
        return steps.write(path, fresh)
    found = config.load(path, manifest.config, daemon=DAEMON)["reloadable_units"]
    if {*map(whole, found)} != {*units}:
        unit = unit_of(DAEMON).removesuffix(".service")
        steps.note(f"{path} is as you have set it. Say there: {setting(units)}; then: systemctl reload {unit}")
    return False
