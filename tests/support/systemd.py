"""A real systemd for the tests, with a machine of its own: PID 1 of namespaces over a layer that is in memory only.

Whatever a test does inside (users, units, files anywhere) is gone with it; the machine that runs the tests is only
read. Needs root, util-linux, systemd and overlayfs; no container engine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.tied import tied

ROOT = Path(__file__).resolve().parents[2]
BOOT = Path(__file__).with_name("boot_systemd.sh")
SYSTEMD = Path("/lib/systemd/systemd")
PYTHON = Path("/usr/bin/python3")
TARGET = "machine.target"
GROUP = "ligand-tests-"
TOOLS = (
    "unshare", "nsenter", "setpriv", "mount", "pivot_root", "systemctl", "journalctl", "dbus-daemon",
    "setfacl", "useradd",
)  # fmt: skip
BOOT_S = 90.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> str | None:
    """Why a systemd cannot be booted here; None when it can."""
    if os.getuid() != 0:
        return "needs root"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    absent += [str(path) for path in (SYSTEMD, PYTHON) if not path.exists()]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return None if "overlay" in Path("/proc/filesystems").read_text() else "the kernel has no overlayfs"


def cgroup_root() -> Path:
    """Where cgroup v2 is mounted, alone or beside v1."""
    whole, beside = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")
    return whole if (whole / "cgroup.procs").exists() else beside


def memory_v1() -> Sequence[Path]:
    """The further hierarchies of control groups that a limit of memory needs, where v1 has that controller."""
    found = [Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup/systemd")]
    return found if all((one / "cgroup.procs").exists() for one in found) else []


def memory_v2() -> bool:
    """Whether control groups v2 offer a limit of memory to what is made in them."""
    return "memory" in (cgroup_root() / "cgroup.subtree_control").read_text().split()


@dataclass(frozen=True)
class Machine:
    """A running systemd. `init` is its process id as this machine sees it."""

    init: int
    log: Path

    def command(self, *argv: str, user: str | None = None) -> list[str]:
        """The whole command that runs `argv` inside, as root or as a user with that user's groups."""
        enter = ["nsenter", "--target", str(self.init), "--all", "--wdns=/"]
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"] if user else []
        return [*enter, *become, *argv]

    def run(
        self,
        *argv: str,
        user: str | None = None,
        check: bool = True,
        text: str | None = None,
        timeout_s: float = 300.0,
        environ: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside and wait for it; what it said is part of the error when it fails."""
        done = subprocess.run(
            self.command(*argv, user=user),
            input=text if text is not None else "",
            env=environment(user, environ or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.tail()}"
            )
        return done

    def out(self, *argv: str, user: str | None = None) -> str:
        """What a command inside prints."""
        return self.run(*argv, user=user).stdout.strip()

    def write(self, path: str, content: str, mode: str = "0644") -> None:
        """Write a file inside, with its folders."""
        self.run("install", "-D", "-m", mode, "/dev/stdin", path, text=content)

    def read(self, path: str) -> str:
        return self.run("cat", path).stdout

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        return self.run("systemctl", "--no-pager", *arguments, check=check).stdout.strip()

    def show(self, unit: str, key: str) -> str:
        """One property of a unit."""
        return self.shown([unit], key)[0]

    def shown(self, units: Sequence[str], key: str) -> list[str]:
        """One property of each unit."""
        said = self.systemctl("show", "--value", f"--property={key}", *units)
        return said.split("\n\n") if len(units) > 1 else [said]

    def pid(self, unit: str) -> int:
        """The main process of a unit, as systemd inside counts; 0 when there is none."""
        return int(self.show(unit, "MainPID"))

    def journal(self, *arguments: str) -> str:
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", *arguments).stdout

    def drop_in(self, unit: str, content: str, name: str) -> None:
        """Change a unit; call `systemctl("daemon-reload")` afterwards. Of two drop-ins of one name one counts."""
        self.write(f"/etc/systemd/system/{unit}.d/{name}", content)

    def until(self, what: str, condition: Callable[[], bool], timeout_s: float = 90.0) -> None:
        """Wait until something is so; it is asked for ten times a second."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}\n{self.tail()}"
            time.sleep(0.1)

    def tail(self) -> str:
        """The end of the journal inside, and what systemd said on its console."""
        command = self.command("journalctl", "--no-pager", "--lines=60", "--output=short-precise")
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        return f"--- journal\n{done.stdout}--- console\n{self.log.read_text(errors='replace')[-3000:]}"


def environment(user: str | None, more: Mapping[str, str]) -> dict[str, str]:
    """What a command inside is given: nothing of ours but, for root, how pip finds packages."""
    home = f"/home/{user}" if user else "/root"
    plain = {"PATH": PATH, "HOME": home, "LC_ALL": "C.UTF-8"}
    return {**(packages() if user is None else {}), **plain, **more}


def packages() -> dict[str, str]:
    """How pip finds packages here."""
    return {key: value for key, value in os.environ.items() if key.startswith("PIP_") or key.endswith("_PROXY")}


def visible() -> Sequence[Path]:
    """The folders that must be there inside, wherever they are: the project and the Python that tests it."""
    found = dict.fromkeys((ROOT, Path(sys.prefix), Path(sys.base_prefix)))
    return [one for one in found if one == ROOT or not one.is_relative_to("/usr")]


@contextlib.contextmanager
def machine(folder: Path, *, limits_memory: bool = False) -> Iterator[Machine]:
    """A booted systemd with journald and dbus; `folder` takes its console's log. All of it is gone at the end.

    `limits_memory`: with the controller of memory, for which v1 is mounted where v2 has none.
    """
    v1 = memory_v1() if limits_memory and not memory_v2() else []
    sweep()
    name = f"{GROUP}{os.getpid()}-{uuid.uuid4().hex[:8]}"
    groups = [root / name for root in (cgroup_root(), *v1)]
    for group in groups:
        group.mkdir()
    log = folder / "console.log"
    spaces = ("--pid", "--fork", "--mount", "--cgroup", "--ipc", "--uts", "--kill-child")
    boot = ["unshare", *spaces, "bash", str(BOOT), TARGET, *map(str, visible())]
    # the namespace of cgroups begins where its first process is
    join = "".join(f"echo $$ > {group}/cgroup.procs && " for group in groups)
    joined = tied(["/bin/bash", "-c", f'{join}exec "$@"', "bash", *boot])
    environ = {**os.environ, "LIGAND_TEST_CGROUPS": "memory-v1" if v1 else ""}
    with log.open("wb") as console:
        outer = subprocess.Popen(joined, stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=environ)
    try:
        yield _booted(outer, log)
    finally:
        outer.kill()
        outer.wait()
        for group in groups:
            _remove(group)


def _booted(outer: subprocess.Popen[bytes], log: Path) -> Machine:
    deadline = time.monotonic() + BOOT_S
    while time.monotonic() < deadline and outer.poll() is None:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        if children and Path(f"/proc/{children[0]}/comm").read_text().strip() == "systemd":
            found = Machine(int(children[0]), log)
            command = found.command("systemctl", "is-active", "--quiet", TARGET)
            if subprocess.run(command, check=False, capture_output=True).returncode == 0:
                return found
        time.sleep(0.05)
    raise AssertionError(f"systemd did not boot:\n{log.read_text(errors='replace')}")


def sweep() -> None:
    """Remove what was left by tests that were killed: their machines have ended with them, empty groups stay."""
    for root in (cgroup_root(), *memory_v1()):
        for group in root.glob(f"{GROUP}*"):
            owner = group.name.removeprefix(GROUP).partition("-")[0]
            with contextlib.suppress(OSError):  # another run sweeps too
                if not Path(f"/proc/{owner}").exists() and not _in_use(group):
                    _remove(group, within_s=0.0)


def _in_use(group: Path) -> bool:
    """Whether it has processes, for instance of a run that is in another namespace."""
    return any(Path(inner, "cgroup.procs").read_text() for inner, _, _ in os.walk(group))


def _remove(group: Path, within_s: float = 10.0) -> None:
    """Remove the control groups once their last processes have ended."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            for inner, _, _ in os.walk(group, topdown=False):
                Path(inner).rmdir()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
