"""The power is cut after every system call of a deployment that changes the disk; what was not synced is lost."""

from __future__ import annotations

import shutil

from tests.deploy_sweep.disk import Disk, File, traced
from tests.deploy_sweep.sweep import STORIES, Report, Story, Sweep, state_of

THEIRS = ("told.jsonl", "loaded")
"""What the bus and the daemon keep, which sync by themselves before they answer."""
WORK = "from pathlib import Path; from tests.deploy_sweep.scene import work; work(Path({world!r}))"


class PowerSweep(Sweep):
    """Of each story: the calls are recorded once, then every state that a power cut would leave is gone on from."""

    def __init__(self, breaks: str = "") -> None:
        """`breaks`: Python that is run first, which breaks something; the first finding is enough then."""
        super().__init__(1.0, 1.0, 0)
        self._breaks = breaks

    def go(self, stories: tuple[Story, ...] = STORIES) -> Report:
        """All stories."""
        try:
            for story in stories:
                self._cut(story)
        finally:
            shutil.rmtree(self._root)
        return self.report

    def _cut(self, story: Story) -> None:
        shutil.rmtree(self._world, ignore_errors=True)
        story.lay(self._world)
        disk = Disk(self._world)
        lines = traced(f"{self._breaks}\n{WORK.format(world=str(self._world))}", self._root / "calls")
        seen: set[str] = set()
        for nth, name in enumerate(disk.follow(lines), 1):
            if self._breaks and self.report.findings:
                break
            self.report.kills += 1
            for names in (False, True):
                self._write_out(disk, names)
                where = f"{story.name}, power cut after call {nth} ({name}){', names kept' if names else ''}"
                if (key := state_of(self._world)) not in seen:
                    seen.add(key)
                    self._check_between(story, where)
                    self._check_end(story, self._run(), where)
        self.report.lines[story.name] = nth
        self.report.states += len(seen)

    def _write_out(self, disk: Disk, names: bool) -> None:
        shutil.rmtree(self._world)
        self._world.mkdir()
        for path, content in disk.left(names=names).items():
            self._lay(path, content)
        for path in THEIRS:
            if (found := disk.top.now.get(path)) is not None:
                assert isinstance(found, File)
                self._lay(path, found.now)

    def _lay(self, path: str, content: bytes) -> None:
        place = self._world / path
        if path.endswith("/"):
            place.mkdir()
        else:
            place.write_bytes(content)
