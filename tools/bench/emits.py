"""Durable acknowledged emits a second, from one client and from four, beside JetStream, Redis Streams and Mosquitto."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.bench import rivals
from tools.bench.home import ROOT, Home, opened
from tools.bench.load import emit_many
from tools.bench.report import Measured

TARGET = 20_000
NAME = "Q_BENCH_ITEM"
DAEMON = "bench_emitter"
WINDOW = 1000
EMITTERS = 4
ONE, FOUR = "emits, one client", f"emits, {EMITTERS} clients"


def measure(within: Path, quick: bool) -> list[Measured]:
    """Every way to emit, one after the other, then the same load on what else there is."""
    count = 4_000 if quick else 40_000
    with opened(within) as home:
        found = _ours(home, count)
    if rivals.missing() is None:
        found += [one for emitters in (1, EMITTERS) for one in _others(within, count // 2, emitters)]
    return found


def _ours(home: Home, count: int) -> list[Measured]:
    home.contract(NAME)
    for n in range(EMITTERS):
        home.manifest(f"{DAEMON}_{n}", emits=[NAME])
    home.bus()
    (before,) = home.cpu_s()
    one = _by_clients(home, count, 1)
    (after,) = home.cpu_s()
    four = _by_clients(home, count, EMITTERS)
    plain = (count - 1) / emit_many(home.paths.bus_socket, NAME, count, WINDOW)
    how = f"a daemon's client, each signal by itself, {WINDOW:,} on their way"
    return [
        Measured(ONE, one, "signals/s", TARGET, how),
        Measured(FOUR, four, "signals/s", None, f"{how} from each process"),
        Measured("emits, CPU of the bus", 1e6 * (after - before) / count, "µs/signal", None, "with one client"),
        Measured("emits, synchronous", plain, "signals/s", None, f"a message for each, {WINDOW:,} on their way"),
    ]


def _by_clients(home: Home, count: int, clients: int) -> float:
    each = count // clients
    command = [sys.executable, "-m", "tools.bench.emitter", str(home.paths.bus_socket)]
    started = [
        subprocess.Popen([*command, f"{DAEMON}_{n}", NAME, str(each), str(WINDOW)], cwd=ROOT, stdout=subprocess.PIPE)
        for n in range(clients)
    ]
    try:
        return rivals.rate([json.loads(process.communicate(timeout=rivals.RUN_S)[0]) for process in started])
    finally:
        for process in started:
            process.kill()
            process.wait()


def _others(within: Path, count: int, emitters: int) -> Iterator[Measured]:
    """Each with as many messages of the same size on their way."""
    beside = ONE if emitters == 1 else FOUR
    many = "" if emitters == 1 else f", {emitters} clients"
    pad, each = rivals.PAYLOAD, count // emitters
    with opened(within) as home, rivals.jetstream(home.folder) as port:
        found = rivals.together("jetstream", "publish", port, each, "bench.emits", WINDOW, pad, times=emitters)
    note = "nats-py publish_async, file storage; acknowledged before it is synced"
    yield Measured(f"JetStream{many}", found, "messages/s", note=note, of=beside, aim=1.0)
    with opened(within) as home, rivals.redis(home.folder) as path:
        found = rivals.together("streams", "add", path, each, WINDOW, pad, times=emitters)
    yield Measured(f"Redis Streams{many}", found, "entries/s", note="XADD in pipelines, appendfsync always", of=beside)
    with opened(within) as home, rivals.mosquitto(home.folder) as port:
        found = rivals.together("mqtt", port, each, WINDOW, pad, times=emitters)
    yield Measured(f"Mosquitto{many}", found, "messages/s", note="QoS 1 through paho; kept in memory", of=beside)
