"""Whatever is killed, whenever: every story ends once. If this fails, users lose work or get it twice."""

import random
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from signals.emitter import Emitter
from signals.errors import BusUnreachableError
from tests.support.constellation import Constellation, Running, constellation
from tests.support.raw import attached

CHAIN = Path(__file__).parents[2] / "support" / "chain.py"
STEPS = ("Q_ITEM_START", "Q_ITEM_ONE", "Q_ITEM_TWO", "Q_ITEM_DONE")


def build(home: Constellation, in_flight: int) -> dict[str, tuple[str, ...]]:
    facts = {"n": {"type": "integer"}, "pad": {"type": "string"}}
    for name in STEPS:
        home.contract(name, facts, example={"n": 1, "pad": ""})
    daemons: dict[str, tuple[str, ...]] = {}
    for name, (takes, gives) in zip("abc", pairwise(STEPS), strict=True):
        home.manifest(f"link_{name}", consumes=[takes], emits=[gives], in_flight=in_flight)
        daemons[f"link_{name}"] = (str(CHAIN), f"link_{name}", takes, gives)
    return daemons


class Load(threading.Thread):
    """Emits roots until told to stop, each until it is acknowledged."""

    def __init__(self, home: Constellation) -> None:
        super().__init__()
        self.home = home
        self.over = threading.Event()
        self.roots: list[str] = []

    def run(self) -> None:
        with self.home.emitter(timeout_s=1.0) as emitter:
            while not self.over.is_set():
                signal = emitter.signal("Q_ITEM_START", {"n": len(self.roots), "pad": "x" * 200})
                self.emit(emitter, signal)
                self.roots.append(signal.id)
                time.sleep(0.002)

    def emit(self, emitter: Emitter, signal) -> None:
        while True:
            try:
                emitter.emit(signal)
                return
            except BusUnreachableError:
                continue


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("in_flight", "kills"), [(1, 40), (16, 100)])
def test_every_story_ends_exactly_once_through_a_hundred_kills(tmp_path, in_flight, kills, record_property):
    seed = random.randrange(1 << 32)
    record_property("seed", seed)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with constellation(tmp_path) as home:
        daemons = build(home, in_flight)
        alive: dict[str, Running] = {"bus": home.bus()}
        for name, command in daemons.items():
            alive[name] = home.start(name, *command).ready()
        load = Load(home)
        load.start()
        try:
            for _ in range(kills):
                victim = chance.choice(list(alive))
                alive[victim].kill()
                home.running.remove(alive[victim])
                command = ("-m", "services.bus") if victim == "bus" else daemons[victim]
                alive[victim] = home.start(victim, *command)
                if chance.random() < 0.7:
                    alive[victim].ready()
                time.sleep(chance.random() * 0.15)  # the instant of the next kill, not readiness
        finally:
            load.over.set()
            load.join()
        home.wait_for("Q_ITEM_DONE", len(load.roots), timeout_s=90)
        for name in daemons:  # what was still in hand is finished, so that a late double would be seen
            assert alive[name].stop() == 0
        ends = [str(signal.correlation_id) for signal in home.signals("Q_ITEM_DONE")]
        assert sorted(ends) == sorted(load.roots)
        assert home.dead() == []
        if in_flight == 1:  # several at once would count over each other: state is the daemon's, not the handler's
            for name in daemons:
                with attached(home.paths, name) as link:
                    assert link.state == {"count": len(load.roots)}
        print(f"{len(load.roots)} stories")
