"""Stopping what `ligand up` runs, and watching it meanwhile."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import command, environment, ligand, run_on_terminal, started
from tests.support.constellation import ROOT, Constellation, others
from tools.ligand.lock import holder


@contextlib.contextmanager
def up(home: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`ligand up` with the bus alone, ready."""
    found = Constellation(home)
    found.config("bus", {"disable": others()})
    with started("ligand", home, "up", "--only", "bus", "--home", str(home), *arguments) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if b"ready: 1 daemon" in line:
                break
        else:
            raise AssertionError("`ligand up` ended before it was ready")
        yield process


def test_down_ends_what_up_began(tmp_path: Path) -> None:
    """When it returns nothing runs any more, and asking again is no error."""
    with up(tmp_path) as process:
        pid = process.pid
        done = ligand(None, "down", "--home", str(tmp_path))
        assert (done.code, done.err) == (0, "")
        assert done.text.startswith(f"stopped: pid {pid}, after")
        assert process.wait(60) == 0
    again = ligand(tmp_path, "down")
    assert (again.code, again.text) == (0, "nothing runs here\n")


def test_down_says_when_it_takes_too_long(tmp_path: Path) -> None:
    """A script must not go on as if nothing ran; `--now` kills what is left."""
    units = tmp_path / "units"
    units.mkdir()
    lines = ["import signal, time", "signal.signal(signal.SIGTERM, signal.SIG_IGN)", "print('deaf', flush=True)"]
    (tmp_path / "deaf.py").write_text("\n".join([*lines, "time.sleep(60)"]))
    (units / "ligand-deaf.service").write_text(
        f"[Service]\nExecStart={command('ligand')[0]} {tmp_path / 'deaf.py'}\nTimeoutStopSec=50\n"
    )
    with started("ligand", tmp_path, "up", "--units", str(units)) as process:
        assert process.stdout is not None
        assert any(b"| deaf" in line for line in process.stdout)
        late = ligand(tmp_path, "down", "--timeout", "0.5")
        assert late.code == 27
        assert "ligand down --now" in late.err
        assert process.poll() is None
        assert ligand(tmp_path, "down", "--now").code == 0


def test_down_leaves_alone_what_systemd_runs(alone: Constellation) -> None:
    """A bus that `ligand up` did not start is not ended behind its manager's back."""
    done = ligand(alone.home, "down")
    assert done.code == 1
    assert "systemctl stop ligand.target" in done.err
    assert alone.running[0].process.poll() is None


def test_the_lock_tells_who_holds_it(tmp_path: Path) -> None:
    """A stale file left by a killed `ligand up` names nobody."""
    (tmp_path / "up.lock").write_text("1\n")
    assert holder(tmp_path / "up.lock") is None
    assert holder(tmp_path / "none.lock") is None


def test_watch_on_a_pipe_is_one_look_after_another(own: Constellation) -> None:
    """A program reads one object a line; a person's log gets the time above each look."""
    watched = ligand(own.home, "status", "--watch", "-c", "3", "--every", "0.1", "-o", "json")
    assert [each["ready"] for each in watched.objects] == [True, True, True]
    text = ligand(own.home, "status", "-w", "-c", "2", "--every", "0.1").text
    assert text.count("bus: pid") == 2
    assert "\x1b" not in text
    own.running[0].stop()
    down = ligand(own.home, "status", "--watch", "-c", "1")
    assert down.code == 3
    assert "No bus answers" in down.err


def test_watch_on_a_terminal_is_one_screen(own: Constellation) -> None:
    """The screen is the terminal's second one, and what was there before comes back."""
    shown = run_on_terminal("ligand", own.home, "status", "--watch", "-c", "2", "--every", "0.1")
    assert shown.code == 0
    assert shown.text.count("\x1b[?1049h") == shown.text.count("\x1b[?1049l") == 1
    assert "bus: pid" in shown.text.split("\x1b[?1049l")[1]


def test_ctrl_c_ends_the_watch(own: Constellation) -> None:
    """Exit code 130, the terminal as before, and no traceback."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("ligand", "status", "--watch", "--every", "0.1"),
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment(own.home), cwd=ROOT, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    said, told = bytearray(), False
    with contextlib.suppress(OSError):  # EIO: the command has ended
        while piece := os.read(ours, 65536):
            said += piece
            if said.count(b"bus: pid") > 1 and not told:
                told = True
                process.send_signal(signal.SIGINT)
    os.close(ours)
    assert process.wait(60) == 130
    assert b"\x1b[?1049l" in said
    assert b"Traceback" not in said


def test_the_last_look_decides_the_exit_code(own: Constellation) -> None:
    """`status --watch -c 1` in a script says what `status` would."""
    own.manifest("absent", consumes=["Q_SPEAK"])
    own.running[0].stop()
    own.bus()
    assert ligand(own.home, "status", "-w", "-c", "1").code == 1
    (found,) = ligand(own.home, "status", "-o", "json").objects
    assert [each["daemon"] for each in found["daemons"]] == ["absent"]


@pytest.mark.parametrize("arguments", [("status", "--every", "0"), ("down", "--timeout", "soon")])
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A slip is exit code 2, not a busy loop."""
    assert ligand(tmp_path, *arguments).code == 2
