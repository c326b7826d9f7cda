"""Measuring in a child process: what is a number, and by which name each failure is told."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.experiments.evaluation import MOST_METRICS, Asked, EvaluationError, evaluate
from services.experiments.model import Evaluate, Experiment
from tests.unit.experiments.test_definition import GOOD, read

PARAMS = {"near": 0.5, "far": 0.25, "way": True}


def measuring(folder: Path, *command: str, python: str | None = None, **said: Any) -> Experiment:
    found = read(folder, GOOD)
    how = Evaluate(command, python, timeout_s=20, memory_mib=128, repeats=1)
    return replace(found, evaluate=replace(how, **said))


def shell(folder: Path, text: str, **said: Any) -> Experiment:
    return measuring(folder, "sh", "-c", text, **said)


def program(folder: Path, text: str, **said: Any) -> Experiment:
    return measuring(folder, sys.executable, "-c", textwrap.dedent(text), **said)


def test_a_command_gets_the_parameters_and_its_metrics_are_read(tmp_path: Path) -> None:
    """A setting that does not reach the evaluation is measured as another."""
    text = """
        import json, os, sys
        params = json.load(sys.stdin)
        assert params == {"near": 0.5, "far": 0.25, "way": True}, params
        assert os.environ["LIGAND_PARAM_NEAR"] == "0.5" and os.environ["LIGAND_PARAM_WAY"] == "true"
        assert (os.environ["LIGAND_CASE"], os.environ["LIGAND_REPEAT"]) == ("c", "2")
        assert os.environ["LIGAND_EXPERIMENT"] == "dedup"
        print("noise belongs here", file=sys.stderr)
        print(json.dumps({"f1": 1, "precision": 0.95, "seconds": 0.1, "note": "x"}))
    """
    found = evaluate(program(tmp_path, text), Asked(PARAMS, "c", 2))
    assert found == {"f1": 1.0, "precision": 0.95, "seconds": 0.1}


def test_a_function_beside_the_experiment_is_called_in_a_child(tmp_path: Path) -> None:
    """A person's own measuring function must be found, and may print."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "mine.py").write_text(
        "import os\n"
        "def score(params, case):\n"
        "    print('hello')\n"
        "    return {'f1': params['near'], 'precision': 1, 'pid': os.getpid(), 'right': int(case == 'c')}\n"
    )
    found = evaluate(measuring(tmp_path, python="mine:score"), Asked(PARAMS, "c"))
    assert (found["f1"], found["right"]) == (0.5, 1)
    assert found["pid"] != os.getpid()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('echo \'{"f1": 1, "precision": 1}\'; echo broke >&2; exit 3', "exit_status"),
        ("kill -9 $$", "killed"),
        ("sleep 60", "timed_out"),
        ("echo nothing", "not_metrics"),
        ('echo \'{"f1": 1, "precision": 1}\'; echo done', "not_metrics"),
        ("echo '[1, 2]'", "not_metrics"),
        (":", "not_metrics"),
        ("echo '{\"f1\": 1}'", "metric_missing"),
        ('echo \'{"f1": "0.9", "precision": 1}\'', "metric_not_a_number"),
        ('echo \'{"f1": true, "precision": 1}\'', "metric_not_a_number"),
        ('echo \'{"f1": null, "precision": 1}\'', "metric_not_a_number"),
        ('echo \'{"f1": NaN, "precision": 1}\'', "metric_not_finite"),
        ('echo \'{"f1": 1, "precision": -Infinity}\'', "metric_not_finite"),
        ('echo \'{"f1": -1e18, "precision": 1}\'', "metric_not_plausible"),
        ('echo \'{"f1": {"mean": 1}, "precision": 1}\'', "metric_not_a_number"),
        ('echo \'{"f1": 1, "f1": 2, "precision": 1}\'', "not_metrics"),
        ('echo \'{"f1": 1, "precision": 1, "half\\ud800": 1}\'', "not_metrics"),
        ('printf \'{"f1": 1%0400d, "precision": 1}\' 0', "metric_not_plausible"),
        ("while :; do echo and on >&2; done", "timed_out"),
        ("trap '' TERM; sleep 60; sleep 60", "timed_out"),
        ("yes | head -c 200000", "output_too_large"),
        ("yes", "output_too_large"),
    ],
)
def test_each_failure_has_a_name_and_is_never_a_number(tmp_path: Path, text: str, reason: str) -> None:
    """A failed trial that counts as -1e18, 0 or the last value before it can end as a winner."""
    with pytest.raises(EvaluationError) as failed:
        evaluate(shell(tmp_path, text, timeout_s=1 if reason == "timed_out" else 20), Asked(PARAMS))
    assert failed.value.reason == reason
    assert "broke" in str(failed.value) or reason != "exit_status"


def test_no_more_metrics_are_kept_than_a_signal_can_carry(tmp_path: Path) -> None:
    """Of a winner that is in use already nothing could be told, and the deployer would fail at each start."""
    text = """
        import json
        print(json.dumps({**{f"m{nth}": nth for nth in range(100)}, "n" * 129: 1, "f1": 1, "precision": 1}))
    """
    found = evaluate(program(tmp_path, text), Asked(PARAMS))
    assert list(found)[:3] == ["f1", "precision", "m0"]
    assert (len(found), max(map(len, found))) == (MOST_METRICS, len("precision"))


def test_a_value_that_no_environment_can_carry_is_a_failure_with_a_name(tmp_path: Path) -> None:
    """Such a text can stand in a person's file; the trial fails, not the runner."""
    with pytest.raises(EvaluationError, match="null byte") as failed:
        evaluate(measuring(tmp_path, "true"), Asked({"near": "\0"}))
    assert failed.value.reason == "not_started"


def test_a_folder_that_is_gone_is_a_failure_with_a_name(tmp_path: Path) -> None:
    """Where nothing can be started at all, the trial fails, not the daemon that asked for it."""
    found = measuring(tmp_path, "true")
    with pytest.raises(EvaluationError) as failed:
        evaluate(replace(found, file=tmp_path / "gone" / "x.yaml"), Asked(PARAMS))
    assert failed.value.reason == "not_started"


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A person must learn that the command is misspelt, not that the setting is bad."""
    with pytest.raises(EvaluationError, match=r"cannot execute \./nonesuch") as failed:
        evaluate(measuring(tmp_path, "./nonesuch"), Asked(PARAMS))
    assert failed.value.reason == "not_started"


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A setting that eats all memory must fail alone, not take the machine with it."""
    text = """
        import json
        try:
            room = bytearray(500_000_000)
        except MemoryError:
            print(json.dumps({"f1": 0, "precision": 0}))
    """
    assert evaluate(program(tmp_path, text, memory_mib=64), Asked(PARAMS))["f1"] == 0


def test_nothing_of_an_evaluation_is_left_running(tmp_path: Path) -> None:
    """What an evaluation leaves behind would add up over the nights."""
    (tmp_path / "experiments").mkdir()
    left = tmp_path / "pid"
    script = f'sleep 600 & echo $! > {shlex.quote(str(left))}; echo \'{{"f1": 1, "precision": 1}}\''
    assert evaluate(shell(tmp_path, script), Asked(PARAMS))["f1"] == 1
    assert ended(int(left.read_text()))
    with pytest.raises(EvaluationError):
        evaluate(shell(tmp_path, f"sleep 600 & echo $! > {shlex.quote(str(left))}; sleep 600", timeout_s=1), Asked({}))
    assert ended(int(left.read_text()))


LEAVING = """
import os, sys
if os.fork():
    os.wait()
else:
    os.setsid()
    if not os.fork():
        open(sys.argv[1], "w").write(str(os.getpid()))
        print('{"f1": 1, "precision": 1}', flush=True)
        os.close(1); os.close(2)
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    while not os.path.exists(sys.argv[1]):
        pass
"""


def test_a_server_that_an_evaluation_puts_into_the_background_ends_with_it(tmp_path: Path) -> None:
    """A daemon that each trial starts, in a session of its own, would be there forty times in the morning."""
    (tmp_path / "experiments").mkdir()
    left = tmp_path / "pid"
    command = (sys.executable, "-S", "-c", LEAVING, str(left))
    assert evaluate(measuring(tmp_path, *command), Asked(PARAMS))["f1"] == 1
    assert ended(int(left.read_text()))


def ended(pid: int) -> bool:
    """Whether a process is gone, waiting for what has been killed to end."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 60)[0])
    finally:
        os.close(handle)


PARENT = """
import subprocess
from services.experiments.child import tied
subprocess.Popen(tied(["sh", "-c", "sleep 600 & echo $! $$; wait"]), start_new_session=True).wait()
"""


def test_an_evaluation_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """A runner that is killed must not leave its evaluations running, and what they started."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    parent.kill()
    parent.communicate()
    assert all(ended(pid) for pid in pids), "it outlived its parent"
