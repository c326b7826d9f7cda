"""Grants that were broken off: killed half-way, or what was granted has moved, gone, or become something else."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest

from tests.support.granting import FILE, GRANTED, NOTES, alices, granted, listed, sees
from tests.support.installed import Installed
from tests.support.systemd import Machine

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def still(ligand: Installed) -> Iterator[Machine]:
    """alice's files, and no daemon that would start again with each grant."""
    ligand.machine.systemctl("stop", *GRANTED)
    yield alices(ligand.machine)
    ligand.machine.systemctl("start", *GRANTED)
    ligand.ready()


def test_a_grant_that_was_killed_is_listed_and_can_be_taken_back(ligand, still):
    """No access is open that `ligand grants` does not list, whenever the command was ended."""
    how = ("grant", "investigator", "/home/alice/project", "--read")
    done = ligand.ligand(*how, after="kill -KILL $PPID", check=False)
    assert done.returncode != 0
    assert "ligand-investigator" in still.out("getfacl", "--recursive", "/home/alice/project")
    found = granted(ligand)
    assert [(one["path"], one["state"]) for one in found] == [("/home/alice/project", "pending")]
    ligand.ligand("revoke", "investigator", "/home/alice/project")
    assert "ligand-investigator" not in still.out("getfacl", "--recursive", "/home/alice/project")
    assert ligand.ligand("grants", "-o", "json").stdout == ""


def test_no_kill_leaves_a_grant_that_is_not_listed_as_what_it_is(ligand, still):
    """Whenever the power goes, what is open is listed, and what is not finished not as open; both ways on work."""
    path = "/home/alice/project"

    def is_open() -> bool:
        return "ligand-investigator" in still.out("getfacl", "--recursive", path)

    states = []
    for step in itertools.count():
        done = ligand.ligand("grant", "investigator", path, "--read", killed_before=step, check=False)
        found = listed(ligand)
        if done.returncode == 0:
            break
        states += [state for _, state in found]
        assert found or not is_open()
        assert (path, "open") not in found
        ligand.ligand("grant", "investigator", path, "--read")
        assert listed(ligand) == [(path, "open")]
        ligand.ligand("revoke", "investigator", path)
        assert not is_open()
    assert list(dict.fromkeys(states)) == ["pending", "opening"]
    states.clear()
    for step in itertools.count():
        done = ligand.ligand("revoke", "investigator", path, killed_before=step, check=False)
        if done.returncode == 0:
            break
        states += [state for _, state in listed(ligand)]
        ligand.ligand("revoke", "investigator", path)
        assert not is_open()
        ligand.ligand("grant", "investigator", path, "--read")
    assert list(dict.fromkeys(states)) == ["open", "closing"]
    assert not is_open()
    assert listed(ligand) == []


def test_a_grant_that_cannot_be_finished_says_how_to_go_on(ligand, still):
    """Somebody moves a folder just then: the grant is not called done, and both ways on are named and work."""
    tree, away = "/home/alice/a tree", "/home/alice/away"
    still.run("mkdir", "-p", f"{tree}/a/b/c", user="alice")
    # while what is in it is granted
    moves = f"if getfacl '{tree}/a/b' | grep -q ligand; then mv -T '{tree}/a/b' {away}; fi"
    done = ligand.ligand("grant", "investigator", tree, "--read", before=moves, check=False)
    assert done.returncode == 1
    assert "A folder was moved to /home/alice meanwhile" in done.stderr
    assert f"take it back: ligand revoke investigator '{tree}'" in done.stderr
    assert granted(ligand)[0]["state"] == "pending"
    still.run("mv", "-T", away, f"{tree}/a/b", user="alice")
    ligand.ligand("grant", "investigator", tree, "--read")
    assert "state" not in granted(ligand)[0]
    ligand.ligand("revoke", "investigator", tree)
    assert "ligand-investigator" not in still.out("getfacl", "--recursive", tree)


def test_what_was_granted_and_moved_away_is_not_forgotten_by_another_grant(ligand, still):
    """The daemon may still reach it where it is now; who grants the name again hears that first."""
    still.run("mkdir", "/home/alice/moving", user="alice")
    ligand.ligand("grant", "investigator", "/home/alice/moving", "--read")
    still.run("sh", "-c", "cd /home/alice && mv moving moved && mkdir moving", user="alice")
    again = ligand.ligand("grant", "investigator", "/home/alice/moving", "--read", check=False)
    assert again.returncode == 1
    assert "Take that back first: ligand revoke investigator /home/alice/moving" in again.stderr
    assert ligand.ligand("revoke", "investigator", "/home/alice/moving", check=False).returncode == 1
    still.run("sh", "-c", "cd /home/alice && rmdir moving && mv moved moving", user="alice")
    ligand.ligand("revoke", "investigator", "/home/alice/moving")
    assert "ligand-investigator" not in still.out("getfacl", "/home/alice/moving")
    assert ligand.ligand("grants", "-o", "json").stdout == ""


def test_a_grant_of_what_is_gone_for_good_can_be_dropped(ligand, still):
    """What could not be closed stays listed, until the person says that it will not come back."""
    still.run("mkdir", "/home/alice/gone", user="alice")
    ligand.ligand("grant", "investigator", "/home/alice/gone", "--read")
    still.run("rmdir", "/home/alice/gone")
    assert ligand.ligand("revoke", "investigator", "/home/alice/gone", check=False).returncode == 1
    assert granted(ligand)[0]["state"] == "closing"
    ligand.ligand("revoke", "--forget", "investigator", "/home/alice/gone")
    assert ligand.ligand("grants", "-o", "json").stdout == ""


def test_a_granted_name_that_leads_in_a_circle_is_in_no_commands_way(ligand, still):
    """A person who turns what was granted into a link to itself stops neither a revoke nor a purge half-way."""
    still.run("mkdir", "/home/alice/round", user="alice")
    ligand.ligand("grant", "investigator", "/home/alice/round", "--read")
    still.run("sh", "-c", "cd ~ && mv round aside && ln -s round round", user="alice")
    for command in (("revoke",), ("grant", "--read")):
        done = ligand.ligand(*command, "investigator", "/home/alice/round", check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
    assert granted(ligand)[0]["state"] == "closing"
    assert "would remove /var/lib/ligand" in ligand.ligand("uninstall", "--system", "--purge", "--dry-run").stdout
    still.run("sh", "-c", "cd ~ && rm round && mv aside round", user="alice")
    ligand.ligand("revoke", "investigator", "/home/alice/round")
    assert "ligand-investigator" not in still.out("getfacl", "/home/alice/round")


def test_a_grant_whose_daemon_was_not_restarted_is_told_and_the_next_one_finishes_it(ligand, still):
    """Killed between the list and the restart: the person hears that the daemon sees nothing yet, and what to do."""
    path = "/home/alice/project"
    how = ("grant", "investigator", path, "--read")
    still.systemctl("start", *GRANTED)
    ligand.ready()
    ligand.ligand(*how, killed_before="restart ", check=False)
    assert not sees(still, "investigator", "-r", FILE)
    assert listed(ligand) == [(path, "opening")]
    assert f"ligand {' '.join(how)}" in ligand.ligand("grants").stdout
    doctor = ligand.ligand("doctor", "-q", "-o", "json", check=False).stdout
    (said,) = (one for one in map(json.loads, doctor.splitlines()) if one["check"] == "grants")
    assert said["state"] == "mend"
    assert f"ligand {' '.join(how)}" in said["todo"]
    ligand.ligand("grant", "investigator", NOTES, "--read")
    assert listed(ligand) == [(NOTES, "open"), (path, "open")]
    assert sees(still, "investigator", "-r", FILE)
    for one in (path, NOTES):
        ligand.ligand("revoke", "investigator", one)
