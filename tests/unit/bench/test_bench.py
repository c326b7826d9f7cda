"""The benchmarks run: if this fails, `make bench` ends in an error instead of a table. No figure is judged."""

import json
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.bench.investigate import PAUSE_S, PIECES, STEPS
from tools.bench.plot import svg
from tools.bench.report import Measured, gather, percentile
from tools.docs.benchmarks import BEGIN, END, BenchmarksError, benchmarks

ROOT = Path(__file__).resolve().parents[3]


def test_a_quick_run_prints_its_table_and_writes_the_same_figures(tmp_path):
    """If this fails, nobody can tell how fast their machine is."""
    written = tmp_path / "figures.json"
    command = ["-m", "tools.bench", "--quick", "--in", str(tmp_path), "--json", str(written), "emits"]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(written.read_text())["figures"]
    assert [figure["target"] for figure in figures if figure["of"] is None] == [20_000, None, None, None]
    rows = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines() if line.startswith("│")]
    medians = {row[1]: float(row[2].replace(",", "")) for row in rows if row[2] not in ("", "skipped")}
    for figure in (figure for figure in figures if figure["of"] is None):
        assert figure["median"] > 0
        assert abs(medians[figure["name"]] - figure["median"]) <= 0.01 * figure["median"]
    assert list(tmp_path.iterdir()) == [written]


def test_a_run_that_is_ended_leaves_nothing_behind(tmp_path):
    """`timeout 60 make bench` would leave a bus and its daemons running for good."""
    command = [sys.executable, "-m", "tools.bench", "--quick", "--in", str(tmp_path), "consume"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while not list(tmp_path.glob("*/state/bus/journal.db-wal")):
            assert (process.poll(), time.monotonic() < deadline) == (None, True)
            time.sleep(0.01)
        process.terminate()
        assert process.wait(300) == 143
    assert list(tmp_path.iterdir()) == []


def test_the_cost_of_taps_is_measured(tmp_path):
    """If this fails, nobody knows whether watching slows the bus."""
    written = tmp_path / "figures.json"
    command = ["-m", "tools.bench", "--quick", "--in", str(tmp_path), "--json", str(written), "tapcost"]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = {figure["name"]: figure for figure in json.loads(written.read_text())["figures"]}
    names = ("no tap", "one tap", "4 taps", "a stopped tap")
    assert all(figures[f"bus, {name}"]["median"] > 0 for name in names)
    assert {"bus, added by a tap", "bus, added by a tap with a name"} <= figures.keys()
    assert all(figures[f"tap, {verb} live"]["median"] > 0 for verb in ("hz", "bw"))
    assert all(figures[f"tap, {verb} rate"]["target"] == 20_000 for verb in ("follow", "hz", "bw"))
    assert [figure["values"] for figure in figures.values() if len(figure["values"]) != 1] == []
    assert list(tmp_path.iterdir()) == [written]


def test_the_models_time_is_told_apart_from_the_rest_of_an_investigation(tmp_path):
    """If this fails, a person cannot tell whether to look for a faster model or at Ligand."""
    written = tmp_path / "figures.json"
    command = ["-m", "tools.bench", "--quick", "--in", str(tmp_path), "--json", str(written), "investigate"]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = {figure["name"]: figure["median"] for figure in json.loads(written.read_text())["figures"]}
    whole, model, beside = (
        figures[f"investigation, {name} p50"]
        for name in ("discovered → integrated", "the model's own time", "beside the model")
    )
    assert model >= 1000 * PIECES * PAUSE_S * 0.9
    assert 0 < beside < whole
    assert len([name for name in figures if "of that" in name]) == len(STEPS)
    assert list(tmp_path.iterdir()) == [written]


def test_the_rounds_of_a_figure_become_its_median_and_spread():
    """If this fails, one slow round is shown as the result."""
    (figure,) = gather([[Measured("emits", value, "signals/s", 2.0)] for value in (3.0, 1.0, 2.0)])
    assert (figure.median, figure.values, figure.met) == (2.0, (3.0, 1.0, 2.0), True)


def test_a_yardstick_is_compared_round_by_round():
    """If this fails, a machine that was slow for one round looks like a slow bus."""
    rounds = [
        [
            Measured("emits", ours, "signals/s"),
            Measured("the other", theirs, "messages/s", of="emits", aim=2.0),
        ]
        for ours, theirs in ((30.0, 10.0), (3.0, 1.5), (20.0, 10.0))
    ]
    _, yardstick = gather(rounds)
    assert yardstick.ratios == (3.0, 2.0, 2.0)
    assert (yardstick.ratio, yardstick.met) == (2.0, True)


def test_a_limit_is_missed_by_what_exceeds_it():
    """If this fails, a slow start or a fat daemon passes for a good one."""
    (figure,) = gather([[Measured("ready", value, "s", limit=3.0)] for value in (2.0, 4.0, 5.0)])
    assert figure.met is False


def test_the_picture_shows_each_ratio():
    """If this fails, the picture in the documents tells something else than the table."""
    figures = gather([[Measured("emits", 30.0, "signals/s"), Measured("<other>", 10.0, "messages/s", of="emits")]])
    document = ElementTree.fromstring(svg(figures, "a run"))
    texts = [text.text for text in document.iter("{http://www.w3.org/2000/svg}text")]
    assert "emits ÷ <other>" in texts
    assert "× 3" in texts


def test_a_percentile_is_one_of_the_values():
    """If this fails, latencies are reported that nobody has seen."""
    values = [float(n) for n in range(1, 1001)]
    assert [percentile(values, p) for p in (50, 99, 99.9, 100)] == [500.0, 990.0, 999.0, 1000.0]
    assert percentile([7.0], 99.9) == 7.0


def test_a_run_can_be_put_into_the_page_of_benchmarks(tmp_path):
    """If this fails, the page says other figures than the run had."""
    figures = gather([[Measured("ours", 3.0, "s", limit=4.0), Measured("theirs", 2.0, "s", of="ours", bound=2.0)]] * 2)
    run = tmp_path / "run.json"
    run.write_text(json.dumps({"machine": "a|b", "quick": False, "figures": [one.to_json() for one in figures]}))
    page, drawn = benchmarks(f"before\n{BEGIN}\nold\n{END}\nafter\n", run)
    assert "old" not in page
    assert page.startswith("before\n")
    assert page.endswith("after\n")
    assert "| ours | 3 | 3 – 3 | s |  | ≤ 4 | met |  |" in page
    assert "|   beside theirs | 2 | 2 – 2 | s | × 1.5 (1.5 – 1.5) | × ≤ 2 | met |  |" in page
    assert "a|b" in str(ElementTree.fromstring(drawn)[1].text)
    assert benchmarks(page, run) == (page, drawn)


@pytest.mark.parametrize("text", ["", "[]", '{"quick": true}', '{"quick": false, "machine": "m", "figures": [{}]}'])
def test_what_is_no_run_is_not_put_into_the_page(tmp_path, text):
    """If this fails, a broken or a quick run replaces the figures of a good one."""
    run = tmp_path / "run.json"
    run.write_text(text)
    with pytest.raises(BenchmarksError, match=r"run\.json"):
        benchmarks(f"{BEGIN}\n{END}", run)
    run.write_text('{"quick": false, "machine": "m", "figures": []}')
    with pytest.raises(BenchmarksError, match="needs the lines"):
        benchmarks("nothing", run)
