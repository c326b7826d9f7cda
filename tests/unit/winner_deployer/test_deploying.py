"""Deployments with real files, at moments that no test on a bus can meet. If this fails, one is not what was told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.experiments.files import Place, opened
from services.winner_deployer import deploying, logic
from services.winner_deployer.deploying import Deployer
from services.winner_deployer.logic import Deployment
from tests.deploy_sweep.scene import EXPERIMENT, OLD, Remembering, lay, want_back, with_ledger, work

FAR = 1e9


@pytest.fixture
def laid(tmp_path: Path) -> Path:
    lay(tmp_path, 0.8)
    return tmp_path


def ask(folder: Path) -> None:
    path = folder / "config" / "experiments" / "near.yaml"
    path.write_text(EXPERIMENT.replace("autonomy: deploy", "autonomy: ask"))


def won(folder: Path, near: float) -> None:
    """Another cycle has another winner for the same key."""
    winner = {"winner_id": "other", "experiment": "near", "params": {"near": near}, "target": "x"}
    facts = {"cycle_id": "other", "winners": [winner]}
    with_ledger(folder, lambda deployer: deployer.accept(logic.accepted("other", facts, [])))


def approve(deployer: Deployer, *ones: Deployment) -> None:
    for one in ones:
        yes = {"id": one.id, "step": "answered", "verdict": "approve", "signal_id": "person", "by": "person@x"}
        deployer.ledger.note(yes)


def told(folder: Path) -> list[tuple[str, str]]:
    """The ends of deployments: the signal, and the reason where it has one."""
    ends = (logic.DEPLOYED, logic.FAILED)
    return [
        (one["signal"], one["facts"].get("reason", "")) for one in Remembering(folder).said() if one["signal"] in ends
    ]


def target(folder: Path) -> bytes:
    return (folder / "config" / "x.yaml").read_bytes()


@pytest.mark.parametrize(
    ("near", "end"),
    [(0.78, (logic.FAILED, "worse")), (0.8, (logic.FAILED, "already_in_use")), (0.82, (logic.FAILED, "worse"))],
)
def test_the_second_of_two_winners_for_one_key_is_held_against_the_first(laid: Path, near: float, end: Any) -> None:
    """One at a time: the second must be better than what the first has put there, not than what stood there before."""
    won(laid, near)
    work(laid)
    assert told(laid) == [(logic.DEPLOYED, ""), end]
    assert target(laid) == OLD.replace(b"0.5", b"0.8")


def test_a_second_winner_that_is_better_still_takes_the_place_of_the_first(tmp_path: Path) -> None:
    """What this daemon has written itself is no edit of a person's that would keep the better value out."""
    lay(tmp_path, 0.7)
    won(tmp_path, 0.8)
    work(tmp_path)
    assert told(tmp_path) == [(logic.DEPLOYED, "")] * 2
    assert target(tmp_path) == OLD.replace(b"0.5", b"0.8")
    assert Remembering(tmp_path).said()[-1]["facts"]["changes"] == {"near": {"old": 0.7, "new": 0.8}}


def test_of_two_approved_changes_of_one_file_only_the_first_is_what_was_approved(laid: Path) -> None:
    """A person said yes to 0.5 becoming 0.7; once it is 0.8 that is another change, and needs another yes."""
    ask(laid)
    won(laid, 0.7)
    work(laid)
    with_ledger(laid, lambda deployer: approve(deployer, *deployer.ledger.deployments))
    work(laid)
    assert told(laid) == [(logic.DEPLOYED, ""), (logic.FAILED, "target_changed")]
    assert target(laid) == OLD.replace(b"0.5", b"0.8")


def test_a_yes_in_the_instant_of_expiry_is_not_told_as_none(laid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the thread's decision that nobody has answered and its note of that, the answer is noted."""
    ask(laid)
    work(laid)
    real = logic.todo

    def act(deployer: Deployer) -> None:
        def late(one: Deployment, now: float) -> str | None:
            found = real(one, now + FAR)
            if found == "expire":
                approve(deployer, one)
            return found

        monkeypatch.setattr(logic, "todo", late)
        deployer.work()
        monkeypatch.setattr(logic, "todo", real)

    with_ledger(laid, act)
    work(laid)
    assert told(laid) == [(logic.DEPLOYED, "")]
    assert target(laid) == OLD.replace(b"0.5", b"0.8")


def test_nobodys_answer_in_time_is_told_as_expired(laid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was forgotten is told, and leaves the list of what waits."""
    ask(laid)
    work(laid)
    real = logic.todo
    monkeypatch.setattr(logic, "todo", lambda one, now: real(one, now + FAR))
    work(laid)
    assert told(laid) == [(logic.FAILED, "expired")]
    assert target(laid) == OLD


def test_what_is_read_back_is_held_against_the_search_space_once_more(
    laid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever went wrong on the way to the file, a value that nobody allowed is not in use."""
    monkeypatch.setattr(deploying, "values_in", lambda *_: {"near": 7.0})
    work(laid)
    (end,) = Remembering(laid).said()
    assert (end["facts"]["reason"], end["facts"]["rolled_back"]) == ("verification_failed", True)
    assert "near is 7.0, outside 0.1 to 0.95" in end["facts"]["detail"]
    assert target(laid) == OLD


def test_a_comment_that_a_person_adds_while_it_is_verified_is_kept_and_told(laid: Path, monkeypatch: Any) -> None:
    """What is told as verified is what stands there, to the byte: else it could never be taken back."""
    path = laid / "config" / "x.yaml"

    def edited(*_: Any) -> str:
        path.write_bytes(path.read_bytes() + b"# mine\n")
        return ""

    monkeypatch.setattr(Remembering, "reload", edited)
    work(laid)
    assert told(laid) == [(logic.FAILED, "target_changed")]
    assert target(laid) == OLD.replace(b"0.5", b"0.8") + b"# mine\n"


def test_a_file_that_another_ligand_is_at_is_left_to_it(laid: Path) -> None:
    """Two that write one file at once would each take the other's values for what a person has edited."""
    with opened(Place.of("x.yaml", laid / "config")) as file, file.locked():
        work(laid)
    assert told(laid) == [(logic.FAILED, "busy")]
    assert target(laid) == OLD


@pytest.mark.parametrize("how", ["gone", "another text"])
def test_without_its_backup_a_deployment_is_not_taken_back_by_guess(laid: Path, how: str) -> None:
    """What is put back is what stood there, or nothing: the new values stay, and a person is told why."""
    work(laid)
    (backup,) = (laid / "state" / "backups").glob("*/x.yaml")
    backup.unlink() if how == "gone" else backup.write_bytes(b"near: 0.1\n")
    want_back(laid)
    work(laid)
    last = Remembering(laid).said()[-1]
    assert (last["signal"], last["facts"]["reason"]) == (logic.NOT_UNDONE, "backup_lost")
    assert str(backup) in last["facts"]["detail"]
    assert target(laid) == OLD.replace(b"0.5", b"0.8")
