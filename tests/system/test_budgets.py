"""All daemons for half a minute on example input, each held to the budget in its manifest, as openpilot does it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import orjson
import pytest

from services.runtime.budget import Budget
from services.runtime.manifest import Manifest, packaged
from signals.live import Subscription
from tests.support.constellation import Constellation, Running, constellation
from tests.support.load import drop
from tests.support.processes import Use

IDLE_S, WORKING_S = 10.0, 20.0
MODULES = ("json", "csv", "wave", "tomllib", "queue", "uuid", "bz2", "html", "gzip", "shelve")
MIB = 1024


@dataclass
class Seen:
    """What one daemon used and said."""

    idle_s: float = 0.0
    idle_cpu_s: float = 0.0
    working_s: float = 0.0
    working_cpu_s: float = 0.0
    pss_kib: int = 0
    log_lines: int = 0
    emitted: Counter[str] = field(default_factory=Counter)
    exit_code: int | None = None

    def faults(self, budget: Budget) -> Iterator[str]:
        """Each bound that was passed."""
        whole_s = self.idle_s + self.working_s
        used = {
            "cpu": self.working_cpu_s / self.working_s,
            "idle_cpu": self.idle_cpu_s / self.idle_s,
            "memory_mib": self.pss_kib / MIB,
            "log_lines_per_s": self.log_lines / whole_s,
        }
        for name, value in used.items():
            if value > getattr(budget, name):
                yield f"{name} is {value:.3g}, over its budget of {getattr(budget, name):g}"
        for name, (least, most) in budget.per_minute.items():
            rate = self.emitted[name] * 60 / whole_s
            if not least <= rate <= most:
                yield f"{name} came {rate:.3g} times a minute, not {least:g} to {most:g}"
        if self.exit_code != 0:
            yield f"ended with {self.exit_code}"


def listen(home: Constellation, seconds: float, seen: dict[str, Seen], mirror: Subscription) -> None:
    """Count what each daemon emits meanwhile."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        found = mirror.next(left)
        if found is not None:
            one = seen.get(orjson.loads(found.raw)["source"])
            if one is not None:
                one.emitted[found.name] += 1


def measure(home: Constellation, started: dict[str, Running]) -> dict[str, Seen]:
    """Idle first, then at work on intents."""
    seen = {name: Seen() for name in started}
    with Subscription(home.paths.mirror_socket) as mirror:
        mirror.wait(5.0)
        before = {name: Use.of(running.pid) for name, running in started.items()}
        began = time.monotonic()
        listen(home, IDLE_S, seen, mirror)
        between, rested = {name: Use.of(running.pid) for name, running in started.items()}, time.monotonic()
        for nth, module in enumerate(MODULES):
            drop(home.paths.intents, module, f"ask{nth}")
            listen(home, WORKING_S / len(MODULES), seen, mirror)
        after, ended = {name: Use.of(running.pid) for name, running in started.items()}, time.monotonic()
    for name, one in seen.items():
        one.idle_s, one.working_s = rested - began, ended - rested
        one.idle_cpu_s = between[name].cpu_s - before[name].cpu_s
        one.working_cpu_s = after[name].cpu_s - between[name].cpu_s
        one.pss_kib = after[name].pss_kib
        one.log_lines = len(started[name].log.read_bytes().splitlines())
    return seen


@pytest.mark.slow
def test_every_daemon_keeps_to_its_budget(tmp_path):
    """Always on means always paid for: a daemon that eats a core, memory or the log must not be shipped."""
    manifests = {name: manifest for path in packaged() for name, manifest in Manifest.load(path).sessions({}).items()}
    with constellation(tmp_path) as home:
        started = {"bus": home.bus()}
        for name in manifests.keys() - {"bus"}:
            daemon, _, instance = name.partition("@")
            started[name] = home.daemon(daemon, *filter(None, [instance]))
        for name, running in started.items():
            if name != "bus":
                running.ready()
        seen = measure(home, started)
        home.wait_for("Q_MODULE_INTEGRATED", len(MODULES), timeout_s=300)
        for name, running in reversed(started.items()):
            seen[name].exit_code = running.stop()
        for name, manifest in manifests.items():
            print(f"{name}: {seen[name]}")
            assert manifest.budget is not None
            assert list(seen[name].faults(manifest.budget)) == [], name


KEPT = Seen(10.0, 0.1, 20.0, 2.0, 20 * MIB, 30, Counter(Q_HEARTBEAT=6), 0)
BUDGET = Budget(cpu=0.2, idle_cpu=0.05, memory_mib=45, log_lines_per_s=2, per_minute={"Q_HEARTBEAT": (6, 30)})


@pytest.mark.parametrize(
    ("passed", "told"),
    [
        ({}, None),
        ({"working_cpu_s": 5.0}, "cpu is 0.25"),
        ({"idle_cpu_s": 1.0}, "idle_cpu is 0.1"),
        ({"pss_kib": 46 * MIB}, "memory_mib is 46"),
        ({"log_lines": 61}, "log_lines_per_s is 2.03"),
        ({"emitted": Counter(Q_HEARTBEAT=2)}, "Q_HEARTBEAT came 4 times a minute"),
        ({"emitted": Counter(Q_HEARTBEAT=16)}, "Q_HEARTBEAT came 32 times a minute"),
        ({"exit_code": -9}, "ended with -9"),
    ],
)
def test_each_bound_that_is_passed_is_told(passed, told):
    """A budget that nothing can exceed holds nobody to anything."""
    found = list(replace(KEPT, **passed).faults(BUDGET))
    assert [fault.partition(",")[0] for fault in found] == ([told] if told else [])
