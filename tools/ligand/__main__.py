"""The command `ligand`. Subcommands are imported when they are used, so that `--help` is quick."""

from __future__ import annotations

import difflib
import sys
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import cast

import click

from tools.cli import run

COMMANDS: dict[str, str] = {
    "grant": "tools.ligand.grants:grant",
    "grants": "tools.ligand.grants:grants_list",
    "install": "tools.ligand.install:install",
    "revoke": "tools.ligand.grants:revoke",
    "rollback": "tools.ligand.install:rollback",
    "uninstall": "tools.ligand.install:uninstall",
    "up": "tools.ligand.up:up",
    "down": "tools.ligand.down:down",
    "intent": "tools.ligand.intent:intent",
    "status": "tools.ligand.status:status",
    "pause": "tools.ligand.pausing:pause",
    "resume": "tools.ligand.pausing:resume",
    "why": "tools.ligand.why:why",
    "doctor": "tools.ligand.doctor:doctor",
    "config": "tools.ligand.config:config",
    "journal": "tools.ligand.journal:journal",
    "map": "tools.ligand.map:map_",
    "new-daemon": "tools.ligand.new_daemon:new_daemon",
    "completion": "tools.ligand.completion:completion",
}
"""Each subcommand of Ligand itself: its name and where it is."""

EXTENSIONS = "ligand.commands"
"""The entry-point group through which a daemon adds its own subcommand."""


class Commands(click.Group):
    """Finds subcommands in `COMMANDS` and among the installed entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *_extensions()})

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            what = f"Did you mean {near[0]}?" if near else "`ligand --help` lists them."
            raise click.UsageError(f"There is no command {args[0]!r}. {what}") from error

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name].partition(":")
            return cast(click.Command, getattr(import_module(module), name))
        found = _extensions().get(cmd_name)
        return cast(click.Command, found.load()) if found else None


def _extensions() -> dict[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=EXTENSIONS)}


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Exit codes: 0 well, 1 something is not, 2 usage, 3 the bus is unreachable, 27 timed out, 130 Ctrl-C. "
    "What `signal-tap` is for: watching signals, tracing stories, dead letters.",
)
@click.version_option(package_name="ligand")
def ligand() -> None:
    """Run Ligand's constellation of daemons, ask it for work, and see how it is."""


def main() -> None:
    """Run the command and exit."""
    sys.exit(run(ligand, "ligand"))


if __name__ == "__main__":
    main()
