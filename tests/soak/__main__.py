"""An hour of the whole constellation: `python -m tests.soak [--minutes 60] [--rate 500]`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Table

from tests.soak.picture import Chart, draw
from tests.soak.plan import Plan
from tests.soak.run import STOPPED, Soak
from tests.soak.samples import Sample, Tables, Whole, read
from tests.soak.slopes import Growth, growths
from tests.support.constellation import constellation
from tools.demo.endings import stop_when_asked

MIB = 1024 * 1024


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0.5), default=60.0, show_default=True)
@click.option("--rate", type=float, default=500.0, show_default=True, help="Journaled signals a second.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/soak"), show_default=True)
@click.option("--in", "within", type=click.Path(path_type=Path, exists=True), default=Path("/var/tmp"))
@click.option("--judge", type=click.Path(path_type=Path, exists=True), help="Only judge the tables of an earlier run.")
def main(minutes: float, rate: float, out: Path, within: Path, judge: Path | None) -> None:
    """Run everything for a while; write tables and a picture, and fail when something grows or is lost."""
    if judge is not None:
        samples = read(judge)
        found = growths(samples, Plan(seconds=samples[-1].at_s).warm_s)
        Console(width=120).print(_table(found))
        sys.exit(1 if any(not each.flat for each in found) else 0)
    stop_when_asked()
    plan = Plan(seconds=60 * minutes, signals_per_s=rate, every_s=min(10.0, minutes))
    with tempfile.TemporaryDirectory(prefix="ligand-soak-", dir=within) as folder:
        samples, soak = _run(Path(folder), plan, out)
        found = growths(samples, plan.warm_s)
    (out / "soak.svg").write_text(drawing(samples, plan))
    Console(width=120).print(_table(found))
    _tell(samples, soak, plan)
    faults = [*soak.faults, *(f"{each.process}: {each.measure} grows" for each in found if not each.flat)]
    print("\n".join(f"FAULT: {fault}" for fault in faults) or "Nothing grew, nothing was lost, nothing was doubled.")
    print(f"Tables and picture: {out}")
    sys.exit(1 if faults else 0)


def _run(folder: Path, plan: Plan, out: Path) -> tuple[list[Sample], Soak]:
    samples: list[Sample] = []
    tables = Tables(out)
    try:
        with constellation(folder) as home:
            soak = Soak(home, plan)
            for sample in soak.watch():
                samples.append(sample)
                tables.add(sample)
    finally:
        tables.close()
        for log in folder.glob("*.log"):
            shutil.copy(log, out)
    return samples, soak


def _table(found: Sequence[Growth]) -> Table:
    table = Table(title="Growth an hour, least squares after the warm-up", title_justify="left")
    for name in ("process", "measure", "mean", "an hour", "allowed", ""):
        table.add_column(name, justify="left" if name in ("process", "measure", "") else "right")
    for each in found:
        row = (f"{each.mean:,.1f}", f"{each.an_hour:+,.2f}", f"{each.allowed:,.1f}", "" if each.flat else "GROWS")
        table.add_row(each.process, each.measure, *row)
    return table


def _tell(samples: Sequence[Sample], soak: Soak, plan: Plan) -> None:
    last = samples[-1]
    ends = soak.ends
    print(f"{last.whole.signals:,} signals in {last.at_s / 60:.1f} min: {last.whole.signals / last.at_s:,.0f} a second")
    middles = {name: _middle(samples, f"{name}_ms") for name in ("p50", "p99", "answer")}
    print("root → end, the median sample: p50 {p50:.1f} ms, p99 {p99:.1f} ms;".format(**middles), end=" ")
    print("slowest acknowledgement {answer:.1f} ms".format(**middles))
    print(f"{soak.stories.begun:,} stories of the chain, {ends.ended.total():,} ends")
    print(f"{soak.intents.dropped:,} intents, {ends.answered.total():,} ends; told: {dict(ends.told)}")
    print(f"{STOPPED} was stopped for {(plan.stopped[1] - plan.stopped[0]) / 60:.1f} min,")
    print(f"  up to {max(sample.whole.behind for sample in samples):,} signals behind, and caught up")
    for sample in (samples[len(samples) // 6], samples[len(samples) * 5 // 6 - 1], last):
        sizes = {name: getattr(sample.whole, name) / MIB for name in SIZES}
        told = ", ".join(f"{name} {size:,.1f} MiB" for name, size in sizes.items())
        print(f"minute {sample.at_s / 60:.0f}: {told}")


def _middle(samples: Sequence[Sample], measure: str) -> float:
    return float(median(getattr(sample.whole, measure) for sample in samples[1:]))


SIZES = {"journal_bytes": "journal", "intents_bytes": "intents", "daemons_bytes": "daemons", "logs_bytes": "logs"}


def drawing(samples: Sequence[Sample], plan: Plan) -> str:
    """The picture: what was sampled over time, the stretch without the stopped consumer shaded."""
    names = list(dict.fromkeys(name for sample in samples for name in sample.uses))

    def each(measure: str, scale: float = 1.0) -> dict[str, list[tuple[float, float]]]:
        return {
            name: [(s.at_s / 60, getattr(s.uses[name], measure) * scale) for s in samples if name in s.uses]
            for name in names
        }

    def whole(**series: tuple[str, float]) -> dict[str, list[tuple[float, float]]]:
        return {
            name: [(s.at_s / 60, getattr(s.whole, field) * scale) for s in samples]
            for name, (field, scale) in series.items()
        }

    charts = [
        Chart("Signals a second", {"journaled": _rates(samples)}),
        Chart("Root → end of the chain, ms", whole(p50=("p50_ms", 1), p99=("p99_ms", 1))),
        Chart(f"Signals that wait for {STOPPED}", whole(behind=("behind", 1))),
        Chart("Disk, MiB", whole(**{label: (name, 1 / MIB) for name, label in SIZES.items()})),
        Chart("Proportional memory (PSS), MiB", each("pss_kib", 1 / 1024)),
        Chart("Open descriptors", each("fds")),
        Chart("Threads", each("threads")),
    ]
    title = f"{plan.seconds / 60:g} minutes at {plan.signals_per_s:g} signals a second"
    begin, end = plan.stopped
    note = f"Shaded: {STOPPED} is stopped. The journal may grow to {plan.kept_bytes / MIB:,.0f} MiB."
    return draw(title, plan.seconds / 60, charts, (begin / 60, end / 60), note)


def _rates(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    def rate(before: Sample, after: Sample) -> float:
        return (_signals(after.whole) - _signals(before.whole)) / (after.at_s - before.at_s)

    return [(b.at_s / 60, rate(a, b)) for a, b in pairwise(samples)]


def _signals(whole: Whole) -> int:
    return whole.signals


if __name__ == "__main__":
    main()
