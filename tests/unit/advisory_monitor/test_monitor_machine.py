"""The checks of health, units and processes, and of what is heard, against real ones."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from services.advisory_monitor.checks import units
from services.advisory_monitor.filesystems import Mount, mounts
from tests.unit.advisory_monitor.looking import Looking, reading

MOUNTINFO = rb"""22 28 0:20 / /sys rw,nosuid - sysfs sysfs rw
28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,discard
30 28 254:1 /srv /mnt/bind ro,relatime - ext4 /dev/vda1 rw,discard
31 28 254:3 / /home/My\040Files ro,relatime shared:2 - ext4 /dev/vdb1 rw
32 28 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro
33 28 11:0 / /media/cd ro - iso9660 /dev/sr0 ro
34 28 0:40 / /tank rw - zfs tank rw,xattr
35 28 0:41 / /tmp rw - tmpfs tmpfs rw
36 28 0:42 /@data /data rw - btrfs /dev/vdc1 rw,subvol=/@data
37 28 8:16 / /private rw - ext4 /dev/vdd1 rw
38 37 0:24 /systemd/inaccessible/dir /private ro - tmpfs tmpfs rw
"""


class TestHealth:
    """Values of the machine, held against bounds."""

    def test_every_file_system_that_can_fill_up_is_found_once(self) -> None:
        """A CD is always full, a bind mount is the same disk twice, and a disk with a blank in its name is a disk."""
        assert mounts(MOUNTINFO) == [
            Mount("/", "/dev/vda1", (254, 1)),
            Mount("/data", "/dev/vdc1", (0, 42)),
            Mount("/home/My Files", "/dev/vdb1", (254, 3)),
            Mount("/private", "/dev/vdd1", (8, 16), is_covered=True),
            Mount("/tank", "tank", (0, 40)),
        ]

    def test_all_is_measured_and_told_when_it_is_beyond_its_bound(self, tmp_path: Path) -> None:
        """A full disk or memory would be noticed when it is too late."""
        names = ("disk", "memory", "swap", "load", "temperature")
        calm = Looking("health", tmp_path, **{f"{one}_{how}": None for one in names for how in ("warning", "critical")})
        seen = calm.look()
        assert {one.check for one in seen.readings} >= {"disk", "inodes", "memory", "load"}
        assert {one.severity for one in seen.readings} == {None}
        share = Looking("places", tmp_path, disk_warning=0, disk_critical=200, paths=[str(tmp_path)]).look()
        assert reading(share, "disk", str(tmp_path)).severity == "warning"
        seen = Looking(
            "health", tmp_path, disk_warning=0, disk_critical=200, memory_warning=0, memory_critical=200
        ).look()
        assert {one.severity for one in seen.readings if one.check == "disk"} <= {"warning"}
        assert reading(seen, "memory").severity == "warning"
        assert 0 < float(reading(seen, "memory").value) <= 100

    @pytest.mark.parametrize(
        ("own", "at", "severity"),
        [
            ((70.0, 90.0), 75.0, "warning"),
            ((70.0, 90.0), 95.0, "critical"),
            ((70.0, 90.0), 60.0, None),
            ((None, None), 87.0, "warning"),
            ((0.0, 65261.0), 87.0, "warning"),
        ],
    )
    def test_heat_is_held_against_what_the_sensor_calls_high(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: tuple[Any, Any], at: float, severity: str | None
    ) -> None:
        """A disk that may be at 60 degrees and a processor at 90 have no bound in common; nonsense is none."""
        sensor = SimpleNamespace(label="Package", current=at, high=own[0], critical=own[1])
        monkeypatch.setattr(psutil, "sensors_temperatures", lambda: {"coretemp": [sensor]}, raising=False)
        seen = Looking("health", tmp_path, temperature_warning=85, temperature_critical=95).look()
        found = reading(seen, "temperature", "coretemp Package")
        assert (found.severity, found.value) == (severity, at)

    def test_swap_that_fills_up_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine that is about to stand still would be noticed when it does."""
        full = SimpleNamespace(total=8 << 30, free=1 << 30, percent=87.5)
        monkeypatch.setattr(psutil, "swap_memory", lambda: full)
        found = reading(Looking("health", tmp_path, swap_warning=80, swap_critical=95).look(), "swap")
        assert (found.severity, found.message) == ("warning", "Swap is 88 % used, 1.0 GiB are free.")

    def test_a_place_that_cannot_be_seen_is_said(self, tmp_path: Path) -> None:
        """Under systemd a home is hidden; its disk would fill up unseen."""
        (unseen,) = Looking("places", tmp_path, paths=["/no/such/place"]).look().unseen
        assert "/no/such/place" in unseen.message

    def test_a_file_system_under_another_is_said_to_be_hidden(self, tmp_path: Path) -> None:
        """What lies over it would be measured in its place."""
        assert Mount("/", "/dev/x", (255, 1)).is_seen() is False
        assert Mount("/", "/dev/x", (0, 42), is_covered=True).is_seen() is False
        assert Mount("/", "/dev/x", (0, 42)).is_seen()
        assert Mount("/", "/dev/x", (os.major(os.stat("/").st_dev), os.minor(os.stat("/").st_dev))).is_seen()


class TestUnits:
    """systemd's units, as far as no systemd is needed; the rest is in tests/system."""

    def test_restarts_are_counted_within_their_time_and_of_units_that_are_gone_nothing_is_kept(
        self, tmp_path: Path
    ) -> None:
        """A machine that makes a unit for each job would fill the monitor's memory over the months."""
        check = Looking("units", tmp_path, window_s=60).check
        assert isinstance(check, units.Units)
        counts = [check._within("a.service", total, mono) for mono, total in ((0, 5), (30, 7), (80, 8), (110, 0))]
        assert counts == [0, 2, 1, 0]  # the last: it was started by hand, and counts anew
        check._within("b.service", 3, 120.0)
        check._forget_those_not_seen_since(120.0)
        assert check._restarts.keys() == {"b.service"}


class TestProcesses:
    """Processes of a configured name."""

    @pytest.fixture
    def name(self) -> str:
        """A name that no process has beside this test's own: the check looks at all of the machine's."""
        return f"watched-by-{uuid.uuid4().hex}"

    def run(self, name: str) -> subprocess.Popen[bytes]:
        code = f"import sys; print('up', flush=True); sys.stdin.read() # {name}"
        found = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert found.stdout is not None
        assert found.stdout.readline() == b"up\n"
        return found

    def end(self, process: subprocess.Popen[bytes]) -> None:
        process.communicate(timeout=60)

    def test_who_comes_goes_and_is_replaced(self, tmp_path: Path, name: str) -> None:
        """A person would not hear that the program they rely on has died or is started over and over."""
        watch = [{"label": "helper", "command": name, "expected": True}]
        looking = Looking("processes", tmp_path, watch=watch, restarts_warning=2, restarts_margin=1)
        seen = looking.look()
        assert (seen.says, reading(seen, "process").severity) == ((), "warning")
        first = self.run(name)
        (told,) = looking.says(5)
        assert (told["change"], told["pid"], told["name"]) == ("started", first.pid, "helper")
        looking.restart()
        assert reading(looking.look(5), "process").severity is None
        second = self.run(name)
        self.end(first)
        (told,) = looking.says(5)
        assert (told["change"], told["pid"], told["previous_pid"]) == ("replaced", second.pid, first.pid)
        self.end(second)
        seen = looking.look(5)
        assert [one.facts["change"] for one in seen.says] == ["exited"]
        assert reading(seen, "process_restarts").severity == "warning"
        assert reading(looking.look(700), "process_restarts").severity is None

    def test_a_number_that_another_has_now_is_a_replacement(self, tmp_path: Path, name: str) -> None:
        """A program that was started over and got the number it had before would seem never to have ended."""
        looking = Looking("processes", tmp_path, watch=[{"label": "helper", "command": name}])
        process = self.run(name)
        looking.look()
        looking.kept["helper"] = {str(process.pid): 1.0}
        (told,) = looking.says(5)
        assert (told["change"], told["pid"], told["previous_pid"]) == ("replaced", process.pid, process.pid)
        self.end(process)


class TestHeard:
    """What signals told, as conditions."""

    def test_dead_letters_are_told_by_their_rate(self, tmp_path: Path) -> None:
        """Each dead letter of a storm would be a signal more; or none would be said at all."""
        looking = Looking("bus", tmp_path)
        assert looking.look().readings == ()
        bucket = int((1_700_000_000 + looking.now) // 10)
        looking.heard["dead"] = {"counts": [[bucket, 2]], "last": "Q_X of y (poison)", "signal": "id"}
        assert reading(looking.look(), "dead_letters").severity is None
        looking.heard["dead"]["counts"] = [[bucket, 4]]
        found = reading(looking.look(), "dead_letters")
        assert (found.severity, found.value, found.because) == ("warning", 4, ("id",))
        assert reading(looking.look(700), "dead_letters").severity is None

    @pytest.mark.parametrize(
        ("action", "severity"), [("dead_lettering", "warning"), ("refusing_roots", "critical"), ("relieved", None)]
    )
    def test_a_full_journal_is_told(self, tmp_path: Path, action: str, severity: str | None) -> None:
        """The bus would refuse work, and nobody know why."""
        looking = Looking("bus", tmp_path)
        looking.heard["journal"] = {"used_bytes": 95, "budget_bytes": 100, "action": action, "signal": "id"}
        assert reading(looking.look(), "journal").severity == severity

    @pytest.mark.parametrize("well", [True, False])
    def test_a_consumer_behind_and_a_model_server_away_are_told(self, tmp_path: Path, well: bool) -> None:
        """Something starves, and nobody knows what."""
        bus, models = Looking("bus", tmp_path), Looking("models", tmp_path)
        lag: dict[str, Any] = {"lag": 9, "oldest_age_s": 4, "bound": 5, "well": well, "signal": "id"}
        bus.heard["lag|investigator"] = lag
        expected = (None if well else "warning", "investigator")
        found = reading(bus.look(), "consumer_lag")
        assert (found.severity, found.subject) == expected
        server = {"role": "primary", "server": "http://x", "up": well, "reason": "refused", "hint": "", "signal": "id"}
        models.heard["primary|1"] = server
        assert reading(models.look(), "model_server").severity == expected[0]
