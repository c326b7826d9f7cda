"""The machine of the tests itself: whatever ends a test, nothing of it stays on the machine that ran it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

from tests.support.booted import booted
from tests.support.systemd import GROUP, ROOT, cgroup_root

pytestmark = [pytest.mark.xdist_group("systemd-fresh")]
BOOT = """
import sys
from pathlib import Path
from tests.support.systemd import machine
with machine(Path(sys.argv[1])) as found:
    print(found.init, flush=True)
    sys.stdin.read()
"""


def test_a_test_run_that_is_killed_leaves_no_machine_running(tmp_path):
    """A run that is ended with SIGKILL leaves no second systemd, and the next run clears up its control groups."""
    with booted(tmp_path):
        pass  # it can be booted here, and what was left before is gone
    command = [sys.executable, "-c", BOOT, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        init = int(run.stdout.readline())
        ended = os.pidfd_open(init)
        run.send_signal(signal.SIGKILL)
    try:
        assert select.select([ended], [], [], 60.0)[0], "the machine outlives its test"
    finally:
        os.close(ended)
    left = [*cgroup_root().glob(f"{GROUP}{run.pid}-*")]
    assert len(left) == 1
    with booted(tmp_path):
        assert not left[0].exists()
