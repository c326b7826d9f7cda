"""The bus's own life: its address, its journal, its end. If this fails, a restart needs a person."""

import os
import signal as os_signal
import subprocess
import sys
import threading

import pytest
import zmq

from services.bus import sockets
from services.bus.server import Server
from services.runtime import config as configuration
from services.runtime.manifest import Manifest
from signals.errors import BusUnreachableError
from tests.support.constellation import ROOT, constellation
from tests.support.raw import Raw

ANY = {"n": {"type": "integer"}}


@pytest.fixture
def home(tmp_path):
    with constellation(tmp_path) as home:
        home.contract("Q_THING_SEEN", ANY, example={"n": 1})
        yield home


def test_a_second_bus_on_the_same_address_refuses_and_says_who_holds_it(home):
    """A second bind would steal the traffic silently, and two of them fight for days."""
    first = home.bus()
    second = home.start("second", "-m", "services.bus")
    assert second.process.wait(60) == 78
    assert f"pid {first.pid}" in second.tail()
    assert "Traceback" not in second.tail()
    with Raw(home.paths) as person:
        assert person.query("status")["pid"] == first.pid


def test_what_a_killed_bus_left_behind_is_no_obstacle(home):
    """After a power cut nobody should have to delete files."""
    home.bus().kill()
    assert home.paths.bus_socket.exists()
    second = home.bus()
    with Raw(home.paths) as person:
        assert person.query("status")["pid"] == second.pid


def test_sigterm_ends_it_with_status_0_and_leaves_no_socket(home):
    """A clean stop must look like one, to systemd and to the next start."""
    bus = home.bus()
    with Raw(home.paths) as person:
        person.emit(person.make("Q_THING_SEEN", {"n": 1}))
        assert bus.stop() == 0
    assert not home.paths.bus_socket.exists()
    assert not home.paths.mirror_socket.exists()
    assert home.signals("Q_DAEMON_STOPPING")[-1].facts["pid"] == bus.pid


def test_a_bus_that_stops_as_a_daemon_dies_has_not_failed(home):
    """A shutdown would end with a failed unit, and words of a journal that cannot be written."""
    home.manifest("watcher", consumes=["Q_THING_SEEN"])
    paths, manifest = home.paths, Manifest.load(ROOT / "services/bus/manifest.yaml")
    paths.ensure_own()
    config = configuration.load(paths.config_of("bus"), manifest.config, daemon="bus")
    server = Server(paths, config, manifest, sockets.claim(paths))
    monitor = server.router.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    subprocess.run([sys.executable, "-c", GONE_AT_ONCE, f"ipc://{paths.bus_socket}"], check=True)
    assert monitor.poll(20_000)
    server.router.disable_monitor()
    monitor.close()
    server.close()
    assert len(home.signals("Q_DAEMON_STOPPING")) == 1


GONE_AT_ONCE = """
import sys, zmq
context = zmq.Context()
with context.socket(zmq.DEALER) as socket:
    socket.connect(sys.argv[1])
    socket.send_multipart([b"attach", b"1", b'{"protocol":1,"daemon":"watcher"}'])
context.term()
"""


@pytest.mark.parametrize("damage", ["head", "page"])
def test_a_damaged_journal_is_refused_with_words(home, damage):
    """A person must learn which file to move, instead of reading a traceback."""
    home.bus().stop()
    journal = home.paths.journal
    with journal.open("r+b") as file:
        file.seek(0 if damage == "head" else 100)
        file.write(b"\xff" * 4000)
    bus = home.start("bus", "-m", "services.bus")
    assert bus.process.wait(60) == 78
    assert str(journal) in bus.tail()
    assert "Traceback" not in bus.tail()


def test_a_reload_with_a_broken_configuration_or_manifest_keeps_the_old(home):
    """A typing mistake must not bring the constellation down."""
    bus = home.bus()
    home.manifest("broken", consumes=["Q_NOBODY_KNOWS"])
    bus.signal(os_signal.SIGHUP)
    bus.ready()
    (home.paths.manifests / "broken.yaml").unlink()
    home.config("bus", {"max_hops": "many"})
    bus.signal(os_signal.SIGHUP)
    bus.ready()
    assert bus.tail().count("reload_refused") == 2
    home.config("bus", {"retention": {"bytes": 1 << 20}, "quota": {"roots_per_s": 1, "burst": 1}})
    bus.signal(os_signal.SIGHUP)
    bus.ready()
    with Raw(home.paths) as person:
        assert person.query("status")["budget_bytes"] == 1 << 20
    assert home.signals("Q_CONFIGURATION_RELOADED")[-1].facts["changed"]


def test_an_emitter_s_signal_survives_a_restart_of_the_bus_between_send_and_answer(home):
    """A script that emits while the bus restarts gets its answer, and its signal is there once."""
    bus = home.bus()
    with home.emitter(timeout_s=60) as emitter:
        emitter.emit(emitter.signal("Q_THING_SEEN", {"n": 1}))
        os.kill(bus.pid, os_signal.SIGSTOP)
        signal = emitter.signal("Q_THING_SEEN", {"n": 2})
        sent = threading.Thread(target=emitter.emit, args=(signal,))
        sent.start()
        bus.kill()
        home.bus()
        sent.join(60)
        assert not sent.is_alive()
    assert [s.facts["n"] for s in home.signals("Q_THING_SEEN")] == [1, 2]


def test_without_a_bus_an_emitter_says_how_to_start_one(home):
    """The first thing a new user does wrong must be answered with what to do."""
    home.paths.ensure()
    with home.emitter(timeout_s=0.1) as emitter, pytest.raises(BusUnreachableError, match="ligand up"):
        emitter.emit(emitter.signal("Q_THING_SEEN", {"n": 1}))


def test_the_name_of_an_unconfigured_daemon_in_the_configuration_is_refused(home):
    """A misspelt `disable:` must not go unnoticed."""
    home.config("bus", {"disable": ["nobody"]})
    bus = home.start("bus", "-m", "services.bus")
    assert bus.process.wait(60) == 78
    assert "'nobody'" in bus.tail()
