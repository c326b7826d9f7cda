"""What the service manager hears, through a real socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.runtime.notify import Notifier
from signals.errors import ConfigError


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        if request.param == "path":
            address = str(tmp_path / "notify")
            listening.bind(address)
        else:
            listening.bind("")  # the kernel picks an abstract name
            address = "@" + listening.getsockname()[1:].decode()
        listening.settimeout(60)
        yield listening, address


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_each_message_arrives_as_the_manager_expects_it(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd would otherwise kill a daemon that works, or wait for one that does not."""
    listening, address = manager
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notifier = Notifier()
    assert notifier.ready("at work: ü")
    assert heard(listening) == ["READY=1", "STATUS=at work: ü"]
    assert notifier.status("one\nREADY=1")
    assert heard(listening) == ["STATUS=one READY=1"]
    assert notifier.watchdog()
    assert heard(listening) == ["WATCHDOG=1"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert notifier.reloading()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    first, stamp = heard(listening)
    assert first == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= after
    assert notifier.stopping()
    assert heard(listening) == ["STOPPING=1"]
    notifier.close()


def test_without_a_manager_nothing_happens() -> None:
    """A daemon started by hand runs the same."""
    notifier = Notifier({"WATCHDOG_USEC": "1000000"})
    assert not notifier.ready()
    assert not notifier.watchdog()
    assert notifier.watchdog_interval_s is None


# the package drops the socket of a failed connect without closing it; collecting it closes it
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_manager_that_went_away_is_told_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon goes on when its manager is gone, and does not fill the log with it."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notifier = Notifier()
    assert not notifier.watchdog()
    assert not notifier.watchdog()
    assert len(caplog.records) == 1
    notifier.close()


def test_a_manager_that_does_not_read_holds_nobody_up(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full queue at the manager must not stop the loop that does the work."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager[1])
    notifier = Notifier()
    sent = [notifier.watchdog() for _ in range(2000)]
    assert sent[0]
    assert not sent[-1]
    assert not caplog.records
    notifier.close()


@pytest.mark.parametrize(("pid", "expected"), [(None, 15.0), ("own", 15.0), ("1", None)])
def test_the_watchdog_is_fed_at_half_its_time_and_only_if_meant(pid: str | None, expected: float | None) -> None:
    """A child that inherits the variables of its parent does not think it is watched."""
    environ = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000"}
    if pid is not None:
        environ["WATCHDOG_PID"] = str(os.getpid()) if pid == "own" else pid
    assert Notifier(environ).watchdog_interval_s == expected


@pytest.mark.parametrize("environ", [
    {"NOTIFY_SOCKET": "relative"},
    {"NOTIFY_SOCKET": "vsock:2:3"},
    {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "soon"},
    {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "0"},
])  # fmt: skip
def test_a_variable_that_makes_no_sense_is_refused(environ: dict[str, str]) -> None:
    """Silence towards the manager would look like a daemon that hangs."""
    with pytest.raises(ConfigError):
        Notifier(environ)
