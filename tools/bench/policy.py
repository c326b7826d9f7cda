"""The policy engine: how many signals a second it decides on, and how long from a signal to what a rule makes of it."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path

import yaml

from signals.envelope import decode, unix_seconds
from signals.journal import Journal
from tools.bench.home import Home, opened
from tools.bench.load import emit_many, emit_paced
from tools.bench.report import Measured, Skipped, percentile

ENGINE, HEARD, DONE = "policy_engine", "Q_BENCH_HEARD", "Q_BENCH_DONE"
RULES = 10
AT_EASE = 20
PACED = 1_000_000_000  # paced signals carry a clock in nanoseconds


def measure(within: Path, quick: bool) -> list[Measured] | Skipped:
    """Signals that wait for the engine, every tenth of which one of ten rules acts on; then some one at a time."""
    if find_spec(f"services.{ENGINE}") is None:
        return Skipped("policy", "services/policy_engine is not part of this installation")
    waiting, seconds = (500, 1.0) if quick else (5_000, 10.0)
    with opened(within, [ENGINE]) as home:
        _build(home)
        home.bus()
        emit_many(home.paths.bus_socket, HEARD, waiting, 100)
        before = home.cpu_s()[0]
        started = time.monotonic()
        home.start(ENGINE, "-m", f"services.{ENGINE}")
        home.wait(lambda journal: journal.names().get(DONE, 0) >= waiting // 10, 60 + waiting / 20)
        taken = time.monotonic() - started
        bus, engine = home.cpu_s()
        home.wait_settled(ENGINE, home.head(), 60 + waiting / 20)  # it hears its own acts too
        emit_paced(home.paths.bus_socket, HEARD, AT_EASE, seconds)
        home.wait(lambda journal: journal.names().get(DONE, 0) >= waiting // 10 + int(AT_EASE * seconds), 60)
        took = _took(home, waiting // 10)
    how = f"{RULES} rules on each of {waiting:,} signals, one in ten acts; one at a time, in order"
    ease = f"at {AT_EASE} signals/s, as the bus stamped them"
    return [
        Measured("policy, decided", waiting / taken, "signals/s", None, how),
        Measured("policy, CPU of the engine", 1e6 * engine / waiting, "µs/signal", None, f"{how}; its start included"),
        Measured("policy, CPU of the bus", 1e6 * (bus - before) / waiting, "µs/signal", None, how),
        *(Measured(f"policy, signal → act p{p}", 1000 * percentile(took, p), "ms", None, ease) for p in (50, 99)),
    ]


def _build(home: Home) -> None:
    home.contract(HEARD)
    home.contract(DONE)
    home.manifest("bench_policy", emits=[HEARD])
    (home.paths.manifests / "overlay.yaml").write_text(yaml.safe_dump({"overlay": ENGINE, "emits": [DONE]}))
    rules = [_rule(nth) for nth in range(RULES)]
    document = {"version": 1, "defaults": {"mode": "enforce", "cooldown": "0s"}, "rules": rules}
    (home.paths.config / "policies.yaml").write_text(yaml.safe_dump(document))
    home.paths.config_of(ENGINE).write_text(yaml.safe_dump({"default_rules": False}))


def _rule(nth: int) -> dict[str, object]:
    """The first acts on every tenth signal that waits and on each paced one; the others look and find nothing."""
    wanted = f"event.facts.n % 10 == 0 || event.facts.n > {PACED}" if nth == 0 else f"event.facts.n == -{nth}"
    act = {"emit": DONE, "facts": {"n": "=event.facts.n", "pad": ""}}
    return {"id": f"rule-{nth}", "signals": [HEARD], "when": [{"wanted": wanted}], "do": [act]}


def _took(home: Home, after: int) -> list[float]:
    """Seconds from each signal to what followed from it, those that had waited left out."""
    heard, took = {}, []
    with Journal(home.paths.journal) as journal:
        for _, raw in journal.walk(0, [HEARD, DONE]):
            signal = decode(raw)
            at = unix_seconds(signal.received_at or "")
            if signal.signal == HEARD:
                heard[signal.id] = at
            elif signal.causation_id is not None:
                took.append(at - heard[signal.causation_id])
    return took[after:]
