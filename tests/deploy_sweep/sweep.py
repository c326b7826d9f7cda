"""SIGKILL before every line of a deployment that may touch the disk, and before every line of the recovery after it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import services.experiments.exchange as exchange_module
import services.experiments.files as files_module
import services.experiments.likeness as likeness_module
import services.winner_deployer.backups as backups_module
import services.winner_deployer.changes as changes_module
import services.winner_deployer.deploying as deploying_module
import services.winner_deployer.ledger as ledger_module
import services.winner_deployer.steps as steps_module
import services.winner_deployer.taking_back as taking_back_module
import signals.files as durable_module
from tests.deploy_sweep.scene import OLD, THEIRS, Remembering, lay, want_back, work

MODULES = (
    exchange_module, files_module, likeness_module, backups_module, changes_module, deploying_module, ledger_module,
    steps_module, taking_back_module, durable_module,
)  # fmt: skip
WATCHED = frozenset(module.__file__ for module in MODULES)
ENDS = ("Q_WINNER_DEPLOYED", "Q_DEPLOYMENT_FAILED")
BACK = ("Q_ROLLBACK_COMPLETE", "Q_ROLLBACK_FAILED")


@dataclass(frozen=True)
class Story:
    """One way that things go: what is laid out, and how it must end."""

    name: str
    near: float
    ends_in: str
    by_hand: bool = False

    @property
    def new(self) -> bytes:
        return OLD.replace(b"0.5", str(self.near).encode())

    def lay(self, folder: Path) -> None:
        lay(folder, self.near)
        if self.by_hand:
            work(folder)
            want_back(folder)


STORIES = (
    Story("a good winner", 0.8, "Q_WINNER_DEPLOYED"),
    Story("a bad winner", 0.2, "Q_DEPLOYMENT_FAILED"),
    Story("taken back by hand", 0.8, "Q_WINNER_DEPLOYED", by_hand=True),
)


@dataclass
class Report:
    """What was tried, and what was found wrong."""

    kills: int = 0
    recoveries: int = 0
    states: int = 0
    lines: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{lines} lines in {name}" for name, lines in self.lines.items()]
        told = f"{self.kills} kills, {self.recoveries} recoveries, {self.states} different states of the disk"
        return "\n".join([", ".join(lines), told, f"{len(self.findings)} findings", *self.findings[:20]])


class Sweep:
    """Goes through the stories. Of the kills of deployments the share `first` is tried, of recoveries `again`.

    1.0 is each of them; which are tried else, the seed draws.
    """

    def __init__(self, first: float, again: float, seed: int) -> None:
        self.report = Report()
        self._first = first
        self._again = again
        self._chance = random.Random(seed)
        memory = Path("/dev/shm")  # only processes are killed here, not the power: a disk is not needed
        self._root = Path(tempfile.mkdtemp(prefix="deploy-sweep-", dir=memory if memory.is_dir() else None))
        self._world = self._root / "world"
        self._target = self._world / "config" / "x.yaml"

    def go(self) -> Report:
        """All stories."""
        try:
            for story in STORIES:
                self._sweep(story)
        finally:
            shutil.rmtree(self._root)
        return self.report

    def _sweep(self, story: Story) -> None:
        before = self._root / "before"
        for folder in (before, self._world):
            shutil.rmtree(folder, ignore_errors=True)
        story.lay(self._world)
        shutil.copytree(self._world, before)
        count = self._count(before)
        self.report.lines[story.name] = count
        states: dict[str, Path] = {}
        for n in self._drawn(count, self._first):
            self._kill(before, n)
            self._check_between(story, f"{story.name}, killed before line {n}")
            if (key := state_of(self._world)) not in states:
                states[key] = Path(shutil.copytree(self._world, self._root / f"state-{len(states)}"))
        self.report.states += len(states)
        for nth, state in enumerate(states.values()):
            self._recover(story, state, f"{story.name}, state {nth}")
            self._edited(state, f"{story.name}, state {nth}, then edited")
            shutil.rmtree(state)

    def _drawn(self, lines: int, share: float) -> list[int]:
        return [n for n in range(1, lines + 1) if share >= 1.0 or self._chance.random() < share]

    def _recover(self, story: Story, state: Path, where: str) -> None:
        """From one state of the disk: a whole recovery; then one killed before each of its lines, and a whole one."""
        self._lay_out(state)
        self._check_end(story, self._run(), where)
        seen: set[str] = set()
        for m in self._drawn(self._count(state), self._again):
            self._kill(state, m)
            told = f"{where}, its recovery killed before line {m}"
            self._check_between(story, told)
            if (key := state_of(self._world)) not in seen:
                seen.add(key)
                self._check_end(story, self._run(), told)

    def _edited(self, state: Path, where: str) -> None:
        """A person who edits the file between the kill and the next start keeps that text."""
        self._lay_out(state)
        self._target.write_bytes(THEIRS)
        status = self._run()
        said = [one["signal"] for one in Remembering(self._world).said() if one["signal"] in ENDS]
        if status != 0 or len(said) != 1:
            self._found(where, f"ended with {status}, told {said}")
        if self._target.read_bytes() != THEIRS:
            self._found(where, "the person's text is gone")

    # -- processes -----------------------------------------------------------------------------------

    def _lay_out(self, state: Path) -> None:
        """The world as it was then, where it was: the ledger names its paths."""
        shutil.rmtree(self._world)
        shutil.copytree(state, self._world)

    def _kill(self, state: Path, line: int) -> None:
        self._lay_out(state)
        self.report.kills += 1
        if self._run(line) != -signal.SIGKILL:
            self._found(str(state), f"line {line} was never reached")

    def _count(self, state: Path) -> int:
        """How many watched lines the work on this state takes."""
        self._lay_out(state)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            counter = _Counter(0)
            _in_child(
                lambda: counter.around(lambda: work(self._world)), lambda: os.write(writing, str(counter.n).encode())
            )
        os.waitpid(pid, 0)
        os.close(writing)
        with os.fdopen(reading) as told:
            return int(told.read())

    def _run(self, line: int = 0) -> int:
        """Work in a process of its own, killed before the `line`th watched line; its exit status."""
        self.report.recoveries += not line
        pid = os.fork()
        if pid == 0:
            _in_child(lambda: _Counter(line).around(lambda: work(self._world)) if line else work(self._world))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    # -- judging -------------------------------------------------------------------------------------

    def _found(self, where: str, what: str) -> None:
        self.report.findings.append(f"{where}: {what}")

    def _check_between(self, story: Story, where: str) -> None:
        """Old or new bytes, never between; new ones only when the ledger has said before that they would come."""
        content, steps = self._target.read_bytes(), [record["step"] for record in ledger_of(self._world)]
        if content not in (OLD, story.new):
            self._found(where, f"the target is neither old nor new: {content!r}")
        if content == story.new and "writing" not in steps:
            self._found(where, f"new bytes that the ledger does not know of: {steps}")
        done = any(one["signal"] == "Q_WINNER_DEPLOYED" for one in Remembering(self._world).said())
        if done and not story.by_hand and content != story.new:
            self._found(where, "told as deployed, and is not")

    def _check_end(self, story: Story, status: int, where: str) -> None:
        """One end, which is true; the daemon has read what stands there; nothing is left lying about."""
        content, said = self._target.read_bytes(), [one["signal"] for one in Remembering(self._world).said()]
        ends, back = [one for one in said if one in ENDS], [one for one in said if one in BACK]
        if status != 0 or len(ends) != 1 or len(back) != story.by_hand:
            self._found(where, f"the recovery ended with {status}, told {ends} and {back}")
            return
        deployed = ends == ["Q_WINNER_DEPLOYED"] and back != ["Q_ROLLBACK_COMPLETE"]
        if content != (story.new if deployed else OLD):
            self._found(where, f"told {ends} {back}, but the target is {content!r}")
        if (self._world / "loaded").read_bytes() != content:
            self._found(where, "the daemon goes by other values than stand in its file")
        if ends == ["Q_WINNER_DEPLOYED"] and story.ends_in != ends[0]:
            self._found(where, "a bad winner was deployed")
        if (left := sorted(os.listdir(self._world / "config"))) != ["experiments", "x.yaml"]:
            self._found(where, f"left behind: {left}")
        if ledger_of(self._world)[-1]["step"] not in ("told", "undo_told"):
            self._found(where, "the ledger does not know of the end")


class _Counter:
    """Counts the lines of the watched modules; kills this process before the `limit`th, if there is a limit."""

    def __init__(self, limit: int) -> None:
        self.n = 0
        self._limit = limit

    def around(self, act: Callable[[], None]) -> None:
        sys.settrace(self._called)
        try:
            act()
        finally:
            sys.settrace(None)

    def _called(self, frame: Any, event: str, _: Any) -> Any:
        return self._line if frame.f_code.co_filename in WATCHED else None

    def _line(self, frame: Any, event: str, _: Any) -> Any:
        if event == "line":
            self.n += 1
            if self.n == self._limit:
                os.kill(os.getpid(), signal.SIGKILL)
        return self._line


def _in_child(act: Callable[[], None], after: Callable[[], object] = lambda: None) -> None:
    """Act, and end this process at once whatever comes of it."""
    status = 1
    try:
        act()
        after()
        status = 0
    finally:
        if status:
            sys.excepthook(*sys.exc_info())
        os._exit(status)


def ledger_of(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of the ledger."""
    raw = (folder / "state" / "ledger.jsonl").read_bytes()
    return [json.loads(line) for line in raw[: raw.rfind(b"\n") + 1].splitlines()]


def state_of(folder: Path) -> str:
    """A digest of all that is on the disk."""
    digest = hashlib.sha256()
    for name, content in _files(folder):
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        yield str(path.relative_to(folder)), path.read_bytes() if path.is_file() else b""
