"""`ligand up` keeps real processes as their units say."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from typing import Any

READY = "notify=READY=1"


def gone(pidfd: int) -> bool:
    """Whether the process ends within the patience of a test."""
    with os.fdopen(pidfd) as descriptor:
        return bool(select.select([descriptor], [], [], 60)[0])


def test_what_comes_after_waits_for_readiness(bench: Any, tmp_path: Path) -> None:
    """A daemon does not start before the bus it needs can work."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    bench.unit("first", "say=loading", f"await={gate}", READY)
    bench.unit("second", "say=running", READY, unit="Wants=ligand-first.service\nAfter=ligand-first.service")
    up = bench.up()
    up.wait_for(r"first +\| loading")
    assert up.board()["second"]["state"] == "waiting"
    gate.write_text("go")
    up.wait_for(r"second +\| running")
    up.wait_for(r"ready: 2 daemons in \d+\.\d s")
    assert up.board()["first"]["state"] == "ready"
    assert up.stop() == 0


def test_ctrl_c_stops_in_reverse_order_and_says_so(bench: Any) -> None:
    """The bus is still there while the others finish what they have in hand."""
    bench.unit("first", READY)
    bench.unit("second", READY, unit="After=ligand-first.service")
    up = bench.up()
    up.wait_for("ready: 2 daemons")
    os.killpg(up.process.pid, signal.SIGINT)  # as a terminal does
    assert up.end() == 0
    ends = [line for line in up.seen if "got SIG" in line]
    assert [line.split("|")[1].strip() for line in ends] == ["got SIGTERM", "got SIGTERM"]
    assert [line.split()[0] for line in ends] == ["second", "first"]
    assert "stopped: 2 daemons" in up.seen[-1]
    assert {unit["state"] for unit in up.board().values()} == {"stopped"}


def test_a_killed_daemon_is_started_again(bench: Any) -> None:
    """One crash does not end what the person relies on."""
    bench.unit("a", READY, "pid=", service="Restart=always")
    up = bench.up()
    first = int(up.wait_for(r"pid (\d+)")[1])
    os.kill(first, signal.SIGKILL)
    up.wait_for("a: killed by SIGKILL; starts again in 0.01 s")
    assert int(up.wait_for(r"pid (\d+)")[1]) != first
    assert up.stop() == 0
    assert up.board()["a"]["restarts"] == 1


def test_a_hung_daemon_is_killed_by_its_watchdog(bench: Any) -> None:
    """A daemon that lives but does nothing is noticed and started again."""
    bench.unit("a", READY, "say=at work", service="Restart=on-failure\nWatchdogSec=200ms\n")
    up = bench.up()
    up.wait_for("at work")
    up.wait_for("has not fed its watchdog for 0.2 s")
    up.wait_for("killed: it did not feed its watchdog; starts again")
    up.wait_for("at work")
    assert up.stop() == 0


def test_the_watchdog_time_reaches_the_daemon(bench: Any) -> None:
    """The daemon knows how often it must speak, and that it is meant."""
    bench.unit("a", "env=WATCHDOG_USEC", "env=WATCHDOG_PID", "pid=", READY, service="WatchdogSec=1min 30s")
    up = bench.up()
    up.wait_for("WATCHDOG_USEC=90000000")
    told = up.wait_for(r"WATCHDOG_PID=(\d+)")[1]
    assert told == up.wait_for(r"pid (\d+)")[1]
    assert up.stop() == 0


def test_one_that_does_not_end_is_killed_after_its_time(bench: Any) -> None:
    """Ctrl-C always ends, and says what it had to do."""
    bench.unit("a", "stubborn=", READY, service="TimeoutStopSec=200ms")
    up = bench.up()
    up.wait_for("ready: 1 daemon in")
    assert up.stop() == 0
    assert any("a: does not end, and is killed" in line for line in up.seen)
    assert "killed because they did not end: a" in up.seen[-1]


def test_a_second_ctrl_c_kills_at_once(bench: Any) -> None:
    """A person in a hurry is obeyed."""
    bench.unit("a", "stubborn=", READY)
    up = bench.up()
    up.wait_for("ready: 1 daemon")
    up.process.send_signal(signal.SIGINT)
    up.wait_for("got SIGTERM")
    assert up.stop(signal.SIGINT) == 0


def test_a_configuration_error_is_not_tried_again(bench: Any) -> None:
    """The person sees why at once, in the daemon's own words, and a script sees the exit status."""
    bench.unit("good", READY)
    bench.unit("bad", "say=x.yaml:3: mode: must be fast", "exit=78",
               unit="After=ligand-good.service",
               service="Restart=always\nRestartPreventExitStatus=78")  # fmt: skip
    up = bench.up()
    up.wait_for("bad cannot start: ended with status 78 .*its last lines say why")
    up.wait_for(r"ligand \|     x.yaml:3: mode: must be fast")
    assert up.end() == 2
    assert "failed: bad" in up.seen[-1]
    assert up.board()["bad"]["state"] == "failed"
    assert sum("x.yaml:3" in line for line in up.seen) == 2


def test_a_later_failure_leaves_the_others_alone(bench: Any, tmp_path: Path) -> None:
    """One broken daemon does not take the constellation down."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    bench.unit("good", READY)
    bench.unit("bad", READY, f"await={gate}", "exit=78", service="RestartPreventExitStatus=78")
    up = bench.up()
    up.wait_for("ready: 2 daemons")
    gate.write_text("go")
    up.wait_for("bad has failed")
    assert up.process.poll() is None
    assert up.stop() == 0


def test_who_is_told_to_stop_while_daemons_start_has_not_failed(bench: Any) -> None:
    """A person who thinks better of it, or a shutdown, would be told of a fault that there is none."""
    bench.unit("a", "say=hanging")
    up = bench.up()
    up.wait_for("hanging")
    assert up.stop() == 0
    up.wait_for(r"never ready: a \(starting\)")


def test_too_many_starts_end_in_a_failure(bench: Any) -> None:
    """A unit with a limit does not spin for ever."""
    bench.unit("a", "exit=1", unit="StartLimitIntervalSec=1h\nStartLimitBurst=3", service="Restart=always")
    up = bench.up()
    up.wait_for("a cannot start: started 3 times within 3600 s")
    assert up.end() == 1


def test_one_that_is_never_ready_is_tried_again(bench: Any) -> None:
    """A start that hangs is not waited for for ever, and who ended the waiting learns whom it was for."""
    bench.unit("a", "say=hanging", service="Restart=always\nTimeoutStartSec=1s")
    bench.unit("good", READY)
    up = bench.up()
    up.wait_for("hanging")
    up.wait_for("was not ready within 1 s")
    up.wait_for("starts again")
    up.wait_for("hanging")
    assert up.stop() == 1
    up.wait_for(r"ligand \| ready: good$")
    up.wait_for(r"ligand \| never ready: a \(starting; started again 1 time\)")
    up.wait_for(r"to look closer: `ligand up --only a`, .*`ligand doctor`")
    assert "stopped: 2 daemons" in up.seen[-1]


def test_a_slow_start_may_ask_for_more_time(bench: Any) -> None:
    """A bus that recovers a long journal is not killed for it, as long as it says so."""
    more = "notify=EXTEND_TIMEOUT_USEC=30000000"
    bench.unit("a", more, "slow=2.5", "say=recovered", READY, service="TimeoutStartSec=2s")
    up = bench.up()
    up.wait_for("recovered")
    up.wait_for("ready: 1 daemon")
    assert up.stop() == 0


def test_a_line_the_terminal_cannot_show_ends_nothing(bench: Any, monkeypatch: Any) -> None:
    """One odd character in a log does not take the constellation down."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    bench.unit("a", "bytes=1", "env=PYTHONIOENCODING", READY)
    bench.unit("b", r"say=\303\251", READY, service="Environment=PYTHONIOENCODING=utf-8")
    up = bench.up()
    up.wait_for(r"b +\| \\xe9")
    up.wait_for("ready: 2 daemons")
    assert up.stop() == 0


def test_only_the_main_process_may_say_ready(bench: Any) -> None:
    """A helper program that inherits the socket cannot make a daemon look ready."""
    bench.unit("a", "other=READY=1", "exit=0")
    up = bench.up()
    up.wait_for("a cannot start: ended with status 0 before it was ready")
    assert up.end() == 1


def test_no_child_outlives_a_killed_supervisor(bench: Any) -> None:
    """After a crash of `ligand up` nothing runs on unseen."""
    bench.unit("a", "stubborn=", READY, "pid=")
    bench.unit("b", "stubborn=", "pid=", READY)
    up = bench.up()
    pids = [int(up.wait_for(r"pid (\d+)")[1]) for _ in range(2)]
    ends = [os.pidfd_open(pid) for pid in pids]
    up.process.kill()
    assert all(gone(end) for end in ends)


def test_what_a_daemon_left_behind_is_ended_with_it(bench: Any) -> None:
    """A daemon's helper programs do not pile up over restarts."""
    bench.unit("a", READY, "leave-behind=")
    up = bench.up()
    left = os.pidfd_open(int(up.wait_for(r"left (\d+)")[1]))
    up.wait_for(r"\| left$")
    assert up.stop() == 0
    assert gone(left)


def test_children_are_apart_from_the_terminal(bench: Any) -> None:
    """A Ctrl-C reaches the supervisor alone, which stops them in order."""
    bench.unit("a", "pid=", READY)
    up = bench.up()
    pid, session = up.wait_for(r"pid (\d+) session (\d+)").groups()
    assert pid == session
    assert up.stop() == 0


def test_a_second_one_on_the_same_home_is_refused(bench: Any) -> None:
    """Two supervisors would fight over the same bus."""
    bench.unit("a", READY)
    up = bench.up()
    up.wait_for("ready")
    second = bench.up()
    second.wait_for(f"already runs here: process {up.process.pid} holds .*up.lock")
    assert second.end() == 1
    assert up.stop() == 0


def test_a_home_can_be_used_again_after_a_kill(bench: Any) -> None:
    """What a killed supervisor left does not lock the person out."""
    bench.unit("a", READY)
    up = bench.up()
    up.wait_for("ready")
    up.process.kill()
    up.process.wait()
    again = bench.up()
    again.wait_for("ready")
    assert again.stop() == 0


def test_sighup_runs_the_reload_command(bench: Any) -> None:
    """Changed configuration is taken over without a restart."""
    bench.unit("a", "hup=", READY, service="ExecReload=/bin/kill -HUP $MAINPID")
    up = bench.up()
    up.wait_for("ready")
    up.process.send_signal(signal.SIGHUP)
    up.wait_for("reloading a")
    up.wait_for("got SIGHUP")
    assert up.stop() == 0


def test_only_takes_what_the_named_one_wants(bench: Any) -> None:
    """`--only investigator` brings the bus along, and nothing else."""
    bench.unit("bus", READY)
    bench.unit("intent-router", READY, unit="Wants=ligand-bus.service\nAfter=ligand-bus.service")
    bench.unit("other", READY)
    up = bench.up("--only", "intent_router")
    up.wait_for("ready: 2 daemons")
    assert sorted(up.board()) == ["bus", "intent_router"]
    assert up.stop() == 0


def test_an_unknown_name_is_refused_with_the_known_ones(bench: Any) -> None:
    """A typing mistake is told, not ignored."""
    bench.unit("intent-router", READY)
    up = bench.up("--only", "intent_ruter")
    up.wait_for(r"no unit for intent_ruter; did you mean intent_router\? Known: intent_router")
    assert up.end() == 1


def test_odd_output_is_shown_and_not_obeyed(bench: Any) -> None:
    """A daemon's bytes cannot steer the terminal, and a long line does not stop anything."""
    bench.unit("a", "bytes=200000", READY)
    up = bench.up()
    assert up.wait_for(r"a +\| (.*)")[1].startswith(r"\x1b[2J\xff xxx")
    up.wait_for("ready")
    assert up.stop() == 0


def test_it_stops_when_nobody_reads(bench: Any, tmp_path: Path) -> None:
    """`ligand up | head` ends the constellation instead of leaving it running unseen."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    bench.unit("a", "pid=", READY, f"await={gate}", "say=more")
    up = bench.up()
    child = os.pidfd_open(int(up.wait_for(r"pid (\d+)")[1]))
    up.wait_for("ready")
    up.process.stdout.close()
    gate.write_text("go")
    assert gone(child)
    assert up.process.wait(60) == 0


def test_the_home_reaches_the_daemons(bench: Any) -> None:
    """All daemons of one home find each other."""
    bench.unit("a", "env=LIGAND_HOME", "env=JOURNAL_STREAM", READY)
    up = bench.up()
    up.wait_for(f"LIGAND_HOME={bench.home}")
    up.wait_for("JOURNAL_STREAM=None")
    assert up.stop() == 0
