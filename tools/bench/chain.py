"""Three daemons in a row: how many settles a second go through the bus, and how long a story takes at ease, beside
three nats-py programs on JetStream."""

from __future__ import annotations

import time
from array import array
from itertools import pairwise
from pathlib import Path

from signals.emitter import Emitter
from signals.envelope import decode, unix_seconds
from signals.journal import Journal
from tools.bench import rivals
from tools.bench.home import Home, opened
from tools.bench.load import emit_many, emit_paced
from tools.bench.report import Measured, percentile

TARGET = 10_000
STEPS = ("Q_BENCH_START", "Q_BENCH_ONE", "Q_BENCH_TWO", "Q_BENCH_END")
IN_FLIGHT = 250
AT_EASE = 200
STORIES, TAKES_P50, TAKES_P99 = "chain, stories", "chain, root → end p50", "chain, root → end p99"


def measure(within: Path, quick: bool) -> list[Measured]:
    """Stories that wait for the chain to be let go, then stories that come one at a time."""
    stories, seconds = (1_000, 1.0) if quick else (10_000, 5.0)
    with opened(within) as home:
        _build(home)
        seconds_taken, cpu = _saturated(home, stories)
        tale = _at_ease(home, seconds)
    rate = stories / seconds_taken
    how = f"three daemons, one emit a settle, {IN_FLIGHT} in flight, {stories:,} stories waiting"
    ease = f"at {AT_EASE} stories/s, as the bus stamped them"
    found = [
        Measured("chain, settles", 3 * rate, "settles/s", TARGET, how),
        Measured(STORIES, rate, "stories/s", None, how),
        Measured("chain, CPU of the bus", 1e6 * cpu[0] / (3 * stories), "µs/settle", None, how),
        Measured("chain, CPU of the daemons", 1e6 * sum(cpu[1:]) / (3 * stories), "µs/settle", None, how),
        Measured(TAKES_P50, 1000 * percentile(tale, 50), "ms", None, ease),
        Measured(TAKES_P99, 1000 * percentile(tale, 99), "ms", None, ease),
    ]
    return found + (_jetstream(within, stories, seconds) if rivals.missing() is None else [])


def _jetstream(within: Path, stories: int, seconds: float) -> list[Measured]:
    """The same chain: publish, wait until that is acknowledged, acknowledge. It may double what a crash cuts off."""
    paced = int(AT_EASE * seconds)
    with opened(within) as home, rivals.jetstream(home.folder) as port:
        saturated, _ = _through(
            port, "rate", stories, ["publish", port, stories - 1, "bench.rate0", 1000, "0 " + rivals.PAYLOAD]
        )
        notes = home.folder / "took"
        listener = rivals.Peer("jetstream", "listen", port, "bench.ease3", paced, notes).ready()
        _through(port, "ease", paced, ["pace", port, "bench.ease0", AT_EASE, seconds, rivals.PAYLOAD])
        listener.result()
        took = array("q")
        took.frombytes(notes.read_bytes())
    how = "three nats-py push consumers, publish acknowledged before the ack"
    milliseconds = [nanoseconds / 1e6 for nanoseconds in took]
    return [
        Measured("JetStream, chain", stories / saturated, "stories/s", note=how, of=STORIES, aim=1.0),
        Measured("JetStream, chain p50", percentile(milliseconds, 50), "ms", note=how, of=TAKES_P50),
        Measured("JetStream, chain p99", percentile(milliseconds, 99), "ms", note=how, of=TAKES_P99),
    ]


def _through(port: str, name: str, stories: int, load: list[object]) -> tuple[float, float]:
    """Seconds from the first publish to the last link's last acknowledgement, and when that was."""
    links = [
        rivals.Peer("jetstream", "link", port, f"bench.{name}{n}", f"bench.{name}{n + 1}", stories).ready()
        for n in range(3)
    ]
    began = time.time()
    told = rivals.Peer("jetstream", *load).result()
    ended = max(link.result()["ended"] for link in links)
    return ended - told.get("began", began), ended


def _build(home: Home) -> None:
    for name in STEPS:
        home.contract(name)
    links = [(f"bench_link_{n}", *step) for n, step in enumerate(pairwise(STEPS))]
    for daemon, takes, gives in links:
        home.manifest(daemon, consumes=[takes], emits=[gives], in_flight=IN_FLIGHT)
    home.bus()
    for link in links:
        home.start(link[0], "-m", "tools.bench.link", *link)


def _saturated(home: Home, stories: int) -> tuple[float, list[float]]:
    """Seconds from letting the chain go to its last end, and the CPU seconds of each process meanwhile."""
    with Emitter(home.paths.bus_socket) as emitter:
        emitter.query("pause")
        emit_many(home.paths.bus_socket, STEPS[0], stories)
        upto = home.head() + 3 * stories
        before, began = home.cpu_s(), time.time()
        emitter.query("resume")
    home.wait(lambda journal: journal.head() >= upto, 300.0)
    cpu = [after - earlier for after, earlier in zip(home.cpu_s(), before, strict=True)]
    with Journal(home.paths.journal) as journal:
        (_, last), *_ = journal.page_before(upto + 1, 1, [STEPS[-1]])
    return unix_seconds(decode(last).received_at or "") - began, cpu


def _at_ease(home: Home, seconds: float) -> list[float]:
    """Seconds from root to end of each story, at a rate that the chain easily keeps up with."""
    before = home.head()
    emit_paced(home.paths.bus_socket, STEPS[0], AT_EASE, seconds)
    stories = int(AT_EASE * seconds)
    home.wait(lambda journal: len(journal.page(before, stories, [STEPS[-1]])) >= stories, 60.0)
    with Journal(home.paths.journal) as journal:
        begun = _stamps(journal, before, STEPS[0])
        ended = _stamps(journal, before, STEPS[-1])
    return [ended[story] - begun[story] for story in begun]


def _stamps(journal: Journal, after: int, name: str) -> dict[str, float]:
    found = (decode(raw) for _, raw in journal.walk(after, [name]))
    return {signal.correlation_id or "": unix_seconds(signal.received_at or "") for signal in found}
