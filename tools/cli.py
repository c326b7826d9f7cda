"""What every command shares: exit codes, the home, reaching the bus, and how errors are told."""

from __future__ import annotations

import errno
import functools
import os
import select
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from signals.emitter import Emitter
from signals.errors import BusUnreachableError, LigandError
from signals.paths import Paths
from tools.text import clean_lines

OK, NOTHING, USAGE, UNREACHABLE, TIMED_OUT, INTERRUPTED = 0, 1, 2, 3, 27, 130
P = ParamSpec("P")
R = TypeVar("R")


class Failure(click.ClickException):
    """An error told to a person; `exit_code` says which kind it is to a script."""

    def __init__(self, message: str, exit_code: int = NOTHING) -> None:
        super().__init__(clean_lines(message))
        setattr(self, "exit_code", exit_code)  # noqa: B010 - click declares it for the class, and reads it here

    @classmethod
    def of(cls, error: LigandError) -> Failure:
        """The failure for one of Ligand's own errors."""
        return cls(error.message, error.exit_code)


class ReaderGoneError(Exception):
    """Whoever read our output has left. Not an OSError: click turns those into exit code 1."""


def told(function: Callable[P, R]) -> Callable[P, R]:
    """Let a command end in a `Failure` where Ligand raises one of its errors."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except LigandError as error:
            raise Failure.of(error) from error

    return guarded


def run(command: click.Command, prog: str) -> int:
    """Run a command whose functions return exit codes; says which one to exit with."""
    _open_streams()
    try:
        found = command.main(prog_name=prog, standalone_mode=False)
        sys.stdout.flush()
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (ReaderGoneError, BrokenPipeError):
        discard_output()
        return OK
    except SystemExit:  # click's way to end when nobody reads any more
        if not _reader_is_gone():
            raise
        discard_output()
        return OK
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        if not where:
            discard_output()
        what = "Cannot write to standard output: " if error.errno == errno.ENOSPC and not where else ""
        Failure(f"{what}{where}{error.strerror or error}.").show()
        return NOTHING
    return found if isinstance(found, int) else OK


def _open_streams() -> None:
    """A stream that was closed before we began (`>&-`) leads nowhere; what is opened later must not take its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open to the end


def _reader_is_gone() -> bool:
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def discard_output() -> None:
    """Send what is still buffered for a closed pipe to nowhere, so that nothing complains at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def home_option(function: Callable[P, R]) -> Callable[P, R]:
    """`--home DIR`."""
    kind = click.Path(path_type=Path, file_okay=False)
    return click.option("--home", type=kind, help="Ligand's folder; else LIGAND_HOME, else the usual places.")(function)


def paths_of(home: Path | None) -> Paths:
    """The paths for `--home`; raises `Failure` for a folder that is not there."""
    if home is not None and not home.is_dir():
        raise Failure(f"There is no folder {home}. Check --home; `ligand up --home {home}` makes it.", USAGE)
    return Paths.resolve(home)


def bus_listens(paths: Paths) -> bool:
    """Whether a process holds the bus's socket. Raises `Failure` when we may not connect to it."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(str(paths.bus_socket))
        except PermissionError as error:
            whose = "It is another user's." if paths.home else "Ask for membership in the group ligand-users."
            message = f"You may not connect to {paths.bus_socket}. {whose}"
            raise Failure(message, UNREACHABLE) from error
        except OSError:
            return False
    return True


def need_bus(paths: Paths) -> None:
    """Raise `BusUnreachableError` at once when nothing listens."""
    if not bus_listens(paths):
        raise BusUnreachableError(
            f"No bus answers at {paths.bus_socket}. Start it: `ligand up`, or `systemctl start ligand-bus`."
        )


def ask_bus(paths: Paths, what: str, **fields: Any) -> Any:
    """Query the bus. Raises `BusUnreachableError`, or what the bus refuses with."""
    need_bus(paths)
    with Emitter(paths.bus_socket) as emitter:
        return emitter.query(what, **fields)


def coloured(choice: str, is_terminal: bool, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether to colour: `always`, `never`, or on a terminal that did not ask for none (no-color.org)."""
    if choice != "auto":
        return choice == "always"
    return is_terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
