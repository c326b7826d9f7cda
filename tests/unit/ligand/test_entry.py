"""The first instants of a command."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADING = """
import os, signal
from types import SimpleNamespace
import tools.entry
signal.signal(signal.SIGINT, signal.{handler})

def load(module):
    os.kill(os.getpid(), signal.SIGINT)
    return SimpleNamespace(main=lambda: print("ran"))

tools.entry.import_module = load
tools.entry.{command}()
"""


@pytest.mark.parametrize("command", ["ligand", "signal_tap"])
@pytest.mark.parametrize(("handler", "code", "said"), [("default_int_handler", 130, ""), ("SIG_IGN", 0, "ran\n")])
def test_ctrl_c_while_a_command_is_loaded_ends_it_quietly(command, handler, code, said):
    """A person who changes their mind at once gets no traceback; where it is ignored it stays ignored."""
    text = LOADING.format(handler=handler, command=command)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, said, "")
