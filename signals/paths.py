"""Where things are: systemd's folders where set, else XDG's; `LIGAND_HOME` puts everything under one folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from signals.errors import ConfigError

SOCKET_PATH_MAX = 107
RECORD = "runtime_folder"
TRIES = 1000
SYSTEM_UNIT = Path("/etc/systemd/system/ligand.target")
"""There where Ligand is installed for the machine."""
_SYSTEM_RUN = Path("/run/ligand")
_SHORT = Path("/tmp")  # not TMPDIR: that may be as long, and another in the shell that looks for the bus


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one Ligand. `home` is None unless everything lies under one folder."""

    home: Path | None
    config: Path
    state: Path
    run: Path
    intents: Path

    @classmethod
    def resolve(cls, home: Path | None = None, environ: Mapping[str, str] = os.environ) -> Paths:
        """The paths for `home`, or for what the environment says. Reads nothing but `environ` and `run/`."""
        chosen = home or (Path(environ["LIGAND_HOME"]) if environ.get("LIGAND_HOME") else None)
        if chosen is not None:
            return cls._under(chosen.expanduser().absolute())
        if "STATE_DIRECTORY" in environ or _is_system(environ):
            return cls._system(environ)
        return cls._xdg(environ)

    @classmethod
    def _under(cls, home: Path) -> Paths:
        return cls(home, home / "config", home / "state", _short(home / "run"), home / "intents")

    @classmethod
    def _system(cls, environ: Mapping[str, str]) -> Paths:
        own = environ.get("STATE_DIRECTORY", "/var/lib/ligand/any").split(":")[0]
        config = environ.get("CONFIGURATION_DIRECTORY", "/etc/ligand").split(":")[0]
        run = environ.get("RUNTIME_DIRECTORY", str(_SYSTEM_RUN)).split(":")[0]
        state = Path(own).parent
        return cls(None, Path(config), state, Path(run), state / "intents")

    @classmethod
    def _xdg(cls, environ: Mapping[str, str]) -> Paths:
        home = Path(environ.get("HOME") or Path.home())
        config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        state = Path(environ.get("XDG_STATE_HOME") or home / ".local/state")
        data = Path(environ.get("XDG_DATA_HOME") or home / ".local/share")
        run = Path(environ.get("XDG_RUNTIME_DIR") or state / "ligand" / "run")
        run = run if run.name == "run" and "XDG_RUNTIME_DIR" not in environ else run / "ligand"
        return cls(None, config / "ligand", state / "ligand", _short(run), data / "ligand" / "intents")

    @property
    def is_machines(self) -> bool:
        """Whether these are the folders of the Ligand that is installed for the machine."""
        return self.home is None and self.run == _SYSTEM_RUN

    def state_of(self, daemon: str) -> Path:
        """The folder that belongs to `daemon` alone."""
        return self.state / daemon

    @property
    def bus_socket(self) -> Path:
        """Where daemons and people speak to the bus."""
        return self.run / "bus.sock"

    @property
    def mirror_socket(self) -> Path:
        """Where people watch every committed signal."""
        return self.run / "mirror.sock"

    @property
    def journal(self) -> Path:
        """The journal, written by the bus alone."""
        return self.state_of("bus") / "journal.db"

    @property
    def dead_letters(self) -> Path:
        """The dead letters, one JSON object a line, written by the bus alone."""
        return self.state_of("bus") / "failed_signals.jsonl"

    @property
    def contracts(self) -> Path:
        """Where a user's own contracts are."""
        return self.config / "contracts.d"

    @property
    def manifests(self) -> Path:
        """Where a user's own manifests are."""
        return self.config / "daemons.d"

    def config_of(self, daemon: str) -> Path:
        """The configuration file of `daemon` or `daemon@instance`."""
        return self.config / f"{daemon}.yaml"

    def ensure(self) -> None:
        """Make the folders that are not there yet, closed to other users. Raises `ConfigError`."""
        self.ensure_own()
        self.ensure_run()

    def ensure_own(self) -> None:
        """Those that stay: all but the runtime folder. Raises `ConfigError`."""
        for folder in (self.config, self.state, self.intents):
            _make(folder)

    def ensure_run(self) -> None:
        """The runtime folder, and in the home of a short one the record of where it is. Raises `ConfigError`."""
        for _ in range(TRIES):
            with contextlib.suppress(FileNotFoundError):  # who ends at this instant takes it away
                self._make_run()
                return
        raise ConfigError(f"{self.run} goes away again and again. Choose another --home.")

    def _make_run(self) -> None:
        _make(self.run)
        if _is_short(self.run):
            _need_own(self.run)
        if self.home is not None and self.run != self.home / "run":
            _make(self.home / "run")
            (self.home / "run" / RECORD).write_text(f"{self.run}\n")

    def leave_run(self, *names: str) -> None:
        """Take these files of ours out of a short runtime folder, and the folder away when nobody else uses it.

        Elsewhere everything stays. For whoever holds the lock that is among them, before it is given back. Raises
        `ConfigError`.
        """
        if not _is_short(self.run):
            return
        with contextlib.suppress(FileNotFoundError):  # somebody has cleared it away
            _need_own(self.run)
        for name in names:
            (self.run / name).unlink(missing_ok=True)
        _remove_empty(self.run)
        if self.home is not None and not self.run.exists():
            (self.home / "run" / RECORD).unlink(missing_ok=True)
            _remove_empty(self.home / "run")


def endpoint(socket: Path) -> str:
    """ZeroMQ's name for a Unix socket. Raises `ConfigError` for one too long, or in a folder of somebody else's."""
    if len(os.fsencode(socket)) > SOCKET_PATH_MAX:
        raise ConfigError(
            f"The socket's path {socket} is longer than {SOCKET_PATH_MAX} bytes. Choose a shorter --home."
        )
    if _is_short(socket.parent) and os.path.lexists(socket.parent):
        _need_own(socket.parent)
    return f"ipc://{socket}"


def _need_own(folder: Path) -> None:
    """In a folder that anybody can write to, somebody else could have made ours first, to pose as the bus."""
    found = folder.lstat()  # a link of somebody else's could lead to another folder at any time
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ConfigError(f"{folder} belongs to somebody else. Remove it, or choose a shorter --home.")


def _is_system(environ: Mapping[str, str]) -> bool:
    """Whether the machine's Ligand is meant, also while it does not run; a person's that runs comes first."""
    private = environ.get("XDG_RUNTIME_DIR")
    if private and (Path(private) / "ligand" / "bus.sock").exists():
        return False
    return (_SYSTEM_RUN / "bus.sock").exists() or SYSTEM_UNIT.exists()


def _short(run: Path) -> Path:
    """`run` itself, or a short folder of this user in its place when a socket's path there would be too long."""
    if len(os.fsencode(run / "mirror.sock")) <= SOCKET_PATH_MAX:
        return run
    name = hashlib.sha256(os.fsencode(run)).hexdigest()[:16]
    return _SHORT / f"ligand-{os.getuid()}-{name}"


def _is_short(run: Path) -> bool:
    return run.parent == _SHORT and run.name.startswith(f"ligand-{os.getuid()}-")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except FileExistsError as error:
        found = folder.lstat()  # one look: between two it could go and come back
        if stat.S_ISDIR(found.st_mode) or folder.is_dir():
            return
        raise ConfigError(f"Cannot make {folder}: it is no folder. Choose another --home.") from error
    except OSError as error:
        raise ConfigError(f"Cannot make {folder}: {error.strerror}. Choose another --home.") from error


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
