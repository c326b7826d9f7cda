"""The command `signal-tap`. Without a verb it follows; verbs are imported when they are used."""

from __future__ import annotations

import difflib
import sys
from importlib import import_module
from typing import cast

import click

from tools.cli import run

DEFAULT = "follow"
VERBS: dict[str, str] = {
    "follow": "tools.signal_tap.follow:follow",
    "show": "tools.signal_tap.show:show",
    "get": "tools.signal_tap.get:get",
    "trace": "tools.signal_tap.trace:trace",
    "top": "tools.signal_tap.top:top",
    "types": "tools.signal_tap.types:types",
    "info": "tools.signal_tap.info:info",
    "consumers": "tools.signal_tap.consumers:consumers",
    "hz": "tools.signal_tap.rates:hz",
    "bw": "tools.signal_tap.rates:bw",
    "delay": "tools.signal_tap.delay:delay",
    "emit": "tools.signal_tap.emit:emit",
    "record": "tools.signal_tap.record:record",
    "play": "tools.signal_tap.play:play",
    "dead": "tools.signal_tap.dead:dead",
    "validate": "tools.signal_tap.validate:validate",
    "gaps": "tools.signal_tap.gaps:gaps",
}
"""Each verb and where it is."""


class Verbs(click.Group):
    """Finds verbs in `VERBS`; what is none is an argument of the default verb."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in VERBS and args[0] not in ("-h", "--help", "--version")):
            args = [DEFAULT, *args]
            _catch_misplaced(args[1:])
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name].partition(":")
        return cast(click.Command, getattr(import_module(module), name))


def _catch_misplaced(args: list[str]) -> None:
    """Refuse what looks like a verb where the default verb would take it for a signal's name."""
    for before, word in zip(["", *args], args, strict=False):
        near = difflib.get_close_matches(word, VERBS, n=1, cutoff=0.75) if word.islower() else []
        if word in VERBS and not before.startswith("-"):  # after an option it may be its value
            raise click.UsageError(f"Write the verb first: signal-tap {word} …")
        if near and word == args[0]:
            raise click.UsageError(f"There is no verb {word!r}. Did you mean {near[0]}?")


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 nothing matched or the bus refused, 2 usage, 3 the bus is unreachable, 4 signals "
    "were missed, 27 idle time-out, 130 Ctrl-C. Data goes to standard output, notices to standard error.",
)
@click.version_option(package_name="ligand")
def tap() -> None:
    """Watch Ligand's bus and look back at what happened. Without a verb: follow."""


def main() -> None:
    """Run the command and exit."""
    sys.exit(run(tap, "signal-tap"))


if __name__ == "__main__":
    main()
