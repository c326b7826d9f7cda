"""Every verb of `ligand` that tells something, and every option, on a pipe and on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.signal_tap.conftest import Told, telling
from tests.support.both import Both, Case, misplaced, untried
from tests.support.commands import ligand
from tests.support.constellation import ROOT
from tools.ligand.__main__ import ligand as root

PLAIN: dict[str, Any] = {"coloured": False}
VARIES: dict[str, Any] = {"coloured": False, "varies": True}
JSON: dict[str, Any] = {"coloured": False, "varies": True, "cut": False}
BUSY = "disk sync|answers within|to mend,"
CASES = (
    Case("status", code=1, varies=True),
    Case("status -o json", code=1, **JSON),
    Case("status --json", code=1, **JSON),
    Case("status --watch --json --every 0.1 -c 2", code=1, **JSON),
    Case("pause link", **PLAIN),
    Case("resume link", **PLAIN),
    Case("pause nobody", code=2, **PLAIN),
    Case("why {item}", coloured=False),
    Case("why Q_ITEM_DONE", coloured=False),
    Case("why {item} -o json", **JSON),
    Case("why 999999", code=1, **PLAIN),
    Case("doctor", code=1, varies=True, cut=False, but=BUSY),
    Case("doctor -q", code=1, varies=True, cut=False, but=BUSY),
    Case("doctor -o json", code=1, **JSON, but=BUSY),
    Case("config check", **PLAIN, cut=False),
    Case("config check -o json", **JSON),
    Case("config show link", **PLAIN, cut=False),
    Case("config show link -o json", **JSON),
    Case("config path", **PLAIN),
    Case("config path -o json", **JSON),
    Case("config path nobody", code=2, **PLAIN),
    Case("journal stats", varies=True),
    Case("journal stats -o json", **JSON),
    Case("journal prune --keep-days 3 --dry-run", **PLAIN),
    Case("journal prune --before -3d --dry-run", **PLAIN),
    Case("journal export - Q_ITEM_* -S -1h -U +1h", **JSON),
    Case("journal export {export} --force Q_ITEM_START", **PLAIN),
    Case("journal export {export}", code=2, **PLAIN),
    Case("journal backup {new}", **VARIES, cut=False),
    Case("journal backup {new} -o json", **JSON),
    Case("journal restore {backup} --check", **VARIES, cut=False),
    Case("journal restore {backup} --yes", code=1, **VARIES, cut=False),
    Case("map link"),
    Case("map link --mermaid", **PLAIN, cut=False),
    Case("map link --dot", **PLAIN, cut=False),
    Case("map link -o json", **JSON),
    Case("map lnik", code=2, **PLAIN),
    Case("new-daemon heron --own --consumes Q_ITEM_DONE --emits Q_SPEAK --dry-run", **PLAIN, cut=False),
    Case("new-daemon heron --own --dry-run -o json", **JSON),
    Case(
        "intent Why? --module json --priority high --type reinvestigate --id mine --hypothesis Because",
        **VARIES,
        cut=False,
    ),
    Case("intent Why? -o json", **JSON),
    Case("intent Why? --wait --timeout 0.2", code=27, **VARIES, cut=False),
    Case("policy list", **PLAIN, cut=False),
    Case("policy list -o json", **JSON),
    Case("policy test", **PLAIN),
    Case("policy rehearse {rules} --since 7d", **PLAIN, cut=False),
    Case("policy rehearse {rules} -o json", **JSON),
    Case("policy why {item}", code=1, **PLAIN, cut=False),
    Case("policy why {item} -o json", code=1, **JSON),
    Case("policy why-not answer-voice {item}", **PLAIN, cut=False),
    Case("policy promote nobody", code=2, **PLAIN, cut=False),
    Case("dream list", **PLAIN, cut=False),
    Case("dream list -o json", **JSON),
    Case("dream show none", code=1, **PLAIN, cut=False),
    Case("dream run nobody", code=1, **PLAIN, cut=False),
    Case("deploy list", **PLAIN, cut=False),
    Case("deploy list -o json", **JSON),
    Case("deploy history", **PLAIN, cut=False),
    Case("deploy history -o json", **JSON),
    Case("deploy show none", code=1, **PLAIN, cut=False),
    Case("deploy approve none", code=1, **PLAIN, cut=False),
    Case("deploy reject none --reason mine", code=1, **PLAIN, cut=False),
    Case("deploy rollback none --reason mine", code=1, **PLAIN, cut=False),
)
SYSTEMD = "tests/system/test_systemd_install.py"
GRANTS = "tests/system/test_systemd_grants.py"
PURGE = "tests/system/test_systemd_uninstall.py"
DAMAGE = "tests/live/bus/test_damage.py"
DOWN = "tests/live/ligand/test_ligand_down.py"
DREAM = "tests/live/dream_runner/test_cycles_on_a_bus.py"
DEPLOY = "tests/live/winner_deployer/test_deployer_on_a_bus.py"
GAZE = "tests/live/gaze_sensor/test_gaze_scenes.py"
VOICE = "tests/live/audio_sensor/test_conversation.py"
RESEARCH = "tests/live/investigator/test_research_on_a_bus.py"
ELSEWHERE: dict[str, dict[str, str]] = {
    "completion": {},
    "suppress list": dict.fromkeys(("-o", "--home"), RESEARCH),
    "suppress clear": dict.fromkeys(("--all", "--home"), RESEARCH),
    "journal salvage": dict.fromkeys(("--dry-run", "-o", "--home"), DAMAGE),
    "up": {"--only": DOWN, "--units": DOWN, "--home": DOWN},
    "down": {"--timeout": DOWN, "--now": DOWN, "--home": DOWN},
    "install": dict.fromkeys(("--system", "--prefix", "--dry-run", "--from", "--python", "--ready-within"), SYSTEMD)
    | {"--with": "tests/system/test_systemd_gaze.py", "--allow-reload": "tests/system/test_systemd_dream.py"},
    "uninstall": {"--system": PURGE, "--prefix": SYSTEMD, "--dry-run": SYSTEMD, "--purge": PURGE},
    "rollback": dict.fromkeys(("--system", "--prefix", "--dry-run"), SYSTEMD),
    "grant": dict.fromkeys(("--read", "--write", "--anyway", "--dry-run"), GRANTS),
    "grants": {"-o": GRANTS},
    "dream new": {"--home": DREAM},
    "dream run": {"--wait": DREAM},
    "dream show": {"-o": DREAM},
    "deploy show": {"-o": DEPLOY},
    "deploy approve": {"--reason": DEPLOY},
    "gaze calibrate": dict.fromkeys(("--camera", "--seconds", "--write", "--home"), GAZE),
    "gaze preview": dict.fromkeys(("--camera", "--png", "-o", "--home"), GAZE),
    "listen": dict.fromkeys(("--for", "--home"), VOICE),
    "revoke": {"--dry-run": GRANTS, "--forget": "tests/system/test_systemd_grants_broken_off.py"},
}
"""Verbs that change the machine or run until they are ended: option -> the test that gives it."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A bus and a daemon that have done what `told` says, and a backup of it."""
    folder = tmp_path_factory.mktemp("both")
    with telling(folder) as told:
        assert ligand(told.home, "journal", "backup", str(folder / "backup")).code == 0
        (folder / "export").write_bytes(b"")
        (folder / "rules").write_text("version: 1\nrules: []\n")
        yield told


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_pipe_and_a_terminal_tell_the_same(home: Told, tmp_path: Path, case: Case) -> None:
    """What a person saw is what a script gets: no colour codes there, whole lines there, the same exit code."""
    words = case.words.replace("{item}", str(home.items[0]))
    for name in ("backup", "export", "rules"):
        words = words.replace(f"{{{name}}}", str(home.home / name))
    Both("ligand", home.home, tmp_path).check(Case(**{**vars(case), "words": words}))


def test_every_option_is_tried() -> None:
    """An option that no test gives can stop working without anybody noticing."""
    assert untried(root, CASES, ELSEWHERE) == []
    assert misplaced(ELSEWHERE, ROOT) == []
