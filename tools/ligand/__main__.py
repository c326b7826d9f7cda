"""The command `ligand`. Subcommands are imported when they are used, so that `--help` is quick."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import cast

import click

COMMANDS: dict[str, str] = {
    "grant": "tools.ligand.grants:grant",
    "grants": "tools.ligand.grants:grants_list",
    "install": "tools.ligand.install:install",
    "revoke": "tools.ligand.grants:revoke",
    "rollback": "tools.ligand.install:rollback",
    "uninstall": "tools.ligand.install:uninstall",
    "up": "tools.ligand.up:up",
    "intent": "tools.ligand.intent:intent",
    "status": "tools.ligand.status:status",
    "pause": "tools.ligand.pausing:pause",
    "resume": "tools.ligand.pausing:resume",
}
"""Each subcommand of Ligand itself: its name and where it is."""

EXTENSIONS = "ligand.commands"
"""The entry-point group through which a daemon adds its own subcommand."""


class Commands(click.Group):
    """Finds subcommands in `COMMANDS` and among the installed entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *_extensions()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name].partition(":")
            return cast(click.Command, getattr(import_module(module), name))
        found = _extensions().get(cmd_name)
        return cast(click.Command, found.load()) if found else None


def _extensions() -> dict[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=EXTENSIONS)}


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ligand")
def main() -> None:
    """Run Ligand's constellation of daemons, ask it for work, and see how it is."""


if __name__ == "__main__":
    main(prog_name="ligand")
