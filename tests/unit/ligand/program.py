"""A small program to be a unit in tests: `program.py ACTION…`, each done in order, then it waits for ever."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time


def notify(text: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def leave(number: int, _frame: object) -> None:
    say(f"got {signal.Signals(number).name}")
    sys.exit(0)


def tell(number: int, _frame: object) -> None:
    say(f"got {signal.Signals(number).name}")


def do(action: str, value: str) -> None:  # noqa: PLR0912 - one case an action
    match action:
        case "notify":
            notify(value)
        case "say":
            say(value)
        case "env":
            say(f"{value}={os.environ.get(value)}")
        case "pid":
            say(f"pid {os.getpid()} session {os.getsid(0)}")
        case "await":  # a named pipe that the test opens for writing
            with open(value, encoding="ascii") as pipe:
                pipe.read()
        case "slow":
            time.sleep(float(value))
        case "stubborn":
            signal.signal(signal.SIGTERM, tell)
        case "hup":
            signal.signal(signal.SIGHUP, tell)
        case "exit":
            sys.exit(int(value))
        case "other":  # another process of this unit speaks to the manager
            subprocess.run([sys.executable, __file__, f"notify={value}", "exit=0"], check=True)
        case "leave-behind":
            left = subprocess.Popen([sys.executable, __file__, "stubborn=", "say=left"])
            say(f"left {left.pid}")
        case "bytes":
            sys.stdout.buffer.write(b"\x1b[2J\xff " + b"x" * int(value) + b"\n")
            sys.stdout.flush()
        case _:
            sys.exit(f"unknown action {action}")


def main() -> None:
    signal.alarm(120)  # a test that failed leaves nothing running
    told, tells = os.pipe()  # a signal that comes just before `signal.pause()` would wait for the next one
    os.set_blocking(tells, False)
    signal.set_wakeup_fd(tells)
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    for argument in sys.argv[1:]:
        action, _, value = argument.partition("=")
        do(action, value)
    while True:
        os.read(told, 1)


main()
