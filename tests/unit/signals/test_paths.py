"""Where things are. If this fails, two parts of one Ligand look for each other in different places."""

from pathlib import Path

import pytest

from signals.errors import ConfigError
from signals.paths import SOCKET_PATH_MAX, Paths, endpoint


def test_a_home_holds_everything(tmp_path):
    """`--home` and LIGAND_HOME mean the same, and nothing lies outside."""
    by_argument = Paths.resolve(tmp_path, {})
    assert by_argument == Paths.resolve(None, {"LIGAND_HOME": str(tmp_path)})
    for path in (
        by_argument.config,
        by_argument.run,
        by_argument.intents,
        by_argument.journal,
        by_argument.dead_letters,
    ):
        assert path.is_relative_to(tmp_path)


def test_systemds_folders_are_used_where_set():
    """A unit's StateDirectory= decides, not a guess."""
    paths = Paths.resolve(
        None,
        {
            "STATE_DIRECTORY": "/var/lib/ligand/bus",
            "CONFIGURATION_DIRECTORY": "/etc/ligand",
            "RUNTIME_DIRECTORY": "/run/ligand",
        },
    )
    assert paths.journal == Path("/var/lib/ligand/bus/journal.db")
    assert paths.state_of("investigator") == Path("/var/lib/ligand/investigator")
    assert paths.bus_socket == Path("/run/ligand/bus.sock")
    assert paths.config_of("bus") == Path("/etc/ligand/bus.yaml")


def test_xdg_folders_otherwise(tmp_path):
    """A person's own Ligand lives where their other programs do."""
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": str(tmp_path / "s")}
    paths = Paths.resolve(None, environ)
    assert paths.bus_socket == Path("/run/user/7/ligand/bus.sock")
    assert paths.journal == tmp_path / "s/ligand/bus/journal.db"
    assert paths.config == tmp_path / ".config/ligand"
    assert paths.intents == tmp_path / ".local/share/ligand/intents"


def test_without_a_runtime_folder_the_sockets_are_in_the_state_folder():
    """A container without a session still works."""
    assert Paths.resolve(None, {"HOME": "/home/ann"}).run == Path("/home/ann/.local/state/ligand/run")


def test_a_long_home_gets_a_short_runtime_folder_that_is_recorded(tmp_path):
    """A Unix socket's path has at most 107 bytes; a deep home works all the same."""
    home = tmp_path / ("x" * 60) / ("y" * 60)
    paths = Paths.resolve(home, {})
    assert len(str(paths.mirror_socket)) <= SOCKET_PATH_MAX
    assert paths == Paths.resolve(home, {})
    paths.ensure()
    try:
        assert (home / "run" / "runtime_folder").read_text() == f"{paths.run}\n"
        assert paths.run.stat().st_mode & 0o027 == 0
    finally:
        paths.run.rmdir()


def test_a_runtime_folder_open_to_others_is_refused(tmp_path):
    """Somebody who can write there could pose as the bus."""
    paths = Paths.resolve(tmp_path / ("x" * 120), {})
    paths.run.mkdir(mode=0o777)
    paths.run.chmod(0o777)
    try:
        with pytest.raises(ConfigError, match="belongs to somebody else"):
            paths.ensure()
    finally:
        paths.run.rmdir()


def test_a_home_that_cannot_be_made_says_so(tmp_path):
    """The person learns what to change."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--home"):
        Paths.resolve(tmp_path / "file", {}).ensure()


def test_what_is_there_and_is_no_folder_is_said_and_a_link_to_one_serves(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "state").write_text("")
    with pytest.raises(ConfigError, match="state: it is no folder"):
        Paths.resolve(home, {}).ensure()
    (home / "state").unlink()
    (home / "state").symlink_to("gone")
    with pytest.raises(ConfigError, match="state: it is no folder"):
        Paths.resolve(home, {}).ensure()
    (home / "gone").mkdir()
    Paths.resolve(home, {}).ensure()


def test_a_client_does_not_talk_to_a_bus_in_a_folder_of_somebody_else(tmp_path):
    """Whoever made the short folder first cannot pose as the bus; a path too long is told in words."""
    paths = Paths.resolve(tmp_path / ("x" * 120), {})
    assert endpoint(paths.bus_socket) == f"ipc://{paths.bus_socket}"
    paths.run.mkdir(mode=0o777)
    paths.run.chmod(0o777)
    try:
        with pytest.raises(ConfigError, match="belongs to somebody else"):
            endpoint(paths.bus_socket)
    finally:
        paths.run.rmdir()
    with pytest.raises(ConfigError, match="107 bytes"):
        endpoint(Path("/" + "x" * 107))
