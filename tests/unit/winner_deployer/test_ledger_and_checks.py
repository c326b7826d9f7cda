"""The ledger on a real disk, backups, and the commands and judgements around a change."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from services.experiments.definition import load
from services.experiments.model import Experiment, Guardrail, Health
from services.winner_deployer import checks, ledger, story
from services.winner_deployer.backups import Backups, kept
from services.winner_deployer.ledger import Ledger
from services.winner_deployer.logic import Refused
from signals.envelope import Signal
from signals.errors import ConfigError
from tests.deploy_sweep.scene import EXPERIMENT


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    (tmp_path / "experiments").mkdir()
    path = tmp_path / "experiments" / "near.yaml"
    path.write_text(EXPERIMENT)
    return load(path, tmp_path)


def test_a_torn_line_is_cut_off_and_a_damaged_one_is_named(tmp_path) -> None:
    """A crash within a line loses nothing that counted; damage by hand does not go unnoticed."""
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"id": "a", "step": "accepted"}\n{"id": "a", "st')
    first = Ledger(path)
    assert (first.dropped, first.deployments.by_id["a"].step) == (15, "accepted")
    first.note({"id": "a", "step": "ended"})
    with pytest.raises(ConfigError, match="another process"):
        Ledger(path)
    first.close()
    path.write_bytes(path.read_bytes() + b"nonsense\n")
    with pytest.raises(ConfigError, match=r"ledger\.jsonl:3 is damaged"):
        Ledger(path)


def test_a_bit_that_has_turned_is_noticed_wherever_it_is(tmp_path) -> None:
    """A step, a path or a digest that is another than was written must not decide what becomes of a file."""
    path = tmp_path / "ledger.jsonl"
    first = Ledger(path)
    first.note({"id": "a", "step": "accepted"}, {"id": "a", "step": "writing", "new": "é"})
    first.note({"id": "a", "step": "written"})
    first.close()
    whole = path.read_bytes()
    silent = set()
    for nth in range(len(whole) - 1):  # the last line's end is as if a crash had torn it
        path.write_bytes(whole[:nth] + bytes([whole[nth] ^ 1]) + whole[nth + 1 :])
        if opens(path):
            silent.add(nth)
    end = whole.index(b"\n")
    assert silent <= set(range(whole.index(b',"sum"'), end)), "the first line may be taken for one of an older version"


def opens(path: Path) -> bool:
    try:
        Ledger(path).close()
    except ConfigError:
        return False
    return True


STORY = (
    "accepted",
    "proposed",
    "answered",
    "writing",
    "written",
    "ended",
    "told",
    "undo_wanted",
    "undone",
    "undo_told",
)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("accepted", "what won"),
        ("proposed", "what was proposed"),
        ("answered", None),
        ("writing", "what was written"),
        ("written", None),
        ("ended", "how it ended"),
        ("told", None),
        ("undo_wanted", "who wants it back"),
        ("undone", "whether it went back"),
        ("undo_told", None),
    ],
)
def test_a_line_that_was_taken_out_leaves_no_story_without_its_beginning(tmp_path, gone, said) -> None:
    """Who mends a ledger by hand is told what else must go, before anything is done by half a story."""
    path = tmp_path / "ledger.jsonl"
    path.write_text("".join(f'{{"id": "a", "step": "{step}"}}\n' for step in STORY if step != gone))
    if said is None:
        assert opens(path)
        return
    with pytest.raises(ConfigError, match=f"line is missing that says {said}"):
        Ledger(path)


def test_a_line_that_does_not_reach_the_disk_is_not_there(tmp_path, monkeypatch) -> None:
    """With a full disk no act follows a line that was not written, and no half line stands before the next."""
    found = Ledger(tmp_path / "ledger.jsonl")
    found.note({"id": "a", "step": "accepted"})
    real = os.fsync
    monkeypatch.setattr(ledger.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="No space"):
        found.note({"id": "a", "step": "writing"})
    monkeypatch.setattr(os, "fsync", real)
    assert found.deployments.by_id["a"].step == "accepted"
    found.close()
    assert (tmp_path / "ledger.jsonl").read_bytes().count(b"\n") == 1


def test_a_ledger_that_is_taken_away_is_written_again_whole(tmp_path) -> None:
    """Lines written into a file without a name are gone at the next start: what was deployed could not go back."""
    folder = tmp_path / "state"
    folder.mkdir()
    found = Ledger(folder / "ledger.jsonl")
    found.note({"id": "a", "step": "accepted"})
    shutil.rmtree(folder)
    found.note({"id": "a", "step": "begun"})
    with pytest.raises(ConfigError, match="another process"):
        Ledger(found.path)
    found.close()
    again = Ledger(found.path)
    assert (again.deployments.by_id["a"].step, set(again.deployments.by_id["a"].steps)) == (
        "begun",
        {"accepted", "begun"},
    )
    again.close()


def test_backups_are_what_they_were_and_the_oldest_go(tmp_path) -> None:
    """What is put back is what was there; a backup that somebody touched is not used."""
    backups = Backups(tmp_path / "b")
    paths = [backups.keep(f"d{n}", "x.yaml", b"old") for n in range(4)]
    os.utime(paths[3].parent, (0, 0))  # the clock had been set back by then
    (tmp_path / "b" / "note").write_text("a person's")
    os.utime(tmp_path / "b" / "note", (0, 0))
    (paths[1].parent / "more").mkdir()
    backups.prune(1, ["d0", "d1", "d2", "d3"], {"d0"})
    assert [path.exists() for path in paths] == [True, False, False, True]
    assert kept(str(paths[3]), "cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4") == b"old"
    with pytest.raises(Refused, match="not what was kept"):
        kept(str(paths[3]), "0" * 64)


@pytest.mark.parametrize(("before", "after", "wins"), [(0.5, 0.6, True), (0.5, 0.5, False), (0.5, 0.4, False)])
def test_only_better_in_place_is_good_enough(experiment, before, after, wins) -> None:
    """A measurement that is a constant proves nothing: equal is not better."""
    measured = [[{"f1": value}] * 5 for value in (before, after)]
    if wins:
        assert "f1 0.6 against 0.5" in checks.judge(experiment, *measured)
        return
    with pytest.raises(Refused) as caught:
        checks.judge(experiment, *measured)
    assert caught.value.reason == "worse"


def test_a_guardrail_counts_in_place_too(experiment) -> None:
    """In the system before this one guardrail failures were ignored: better by what nobody may do is not better."""
    guarded = replace(experiment.objective, guardrails=(Guardrail("errors", max=0.1),))
    before, after = [[{"f1": f1, "errors": errors}] * 5 for f1, errors in ((0.5, 0.0), (0.9, 0.2))]
    assert checks.judge(experiment, before, after)
    with pytest.raises(Refused, match=r"errors is 0\.2, above 0\.1") as caught:
        checks.judge(replace(experiment, objective=guarded), before, after)
    assert caught.value.reason == "worse"


def test_better_in_one_metric_and_worse_in_another_is_no_better_in_place(experiment) -> None:
    """Quicker by being wrong more often is a choice for a person, also where it shows only in the real service."""
    both = replace(experiment, objective=replace(experiment.objective, metrics={"f1": "maximize", "ms": "minimize"}))
    before, quicker = [{"f1": 0.8, "ms": 10.0}] * 5, [{"f1": 0.8, "ms": 5.0}] * 5
    assert "ms 5 against 10" in checks.judge(both, before, quicker)
    with pytest.raises(Refused, match=r"worse than before: f1 0\.7 against 0\.8") as caught:
        checks.judge(both, before, [{**one, "f1": 0.7} for one in quicker])
    assert caught.value.reason == "worse"


@pytest.mark.parametrize("printed", ["echo '{\"f1\": -1e18}'", "echo '{\"f1\": NaN}'", "echo ok", "exit 1", "true"])
def test_a_failed_measurement_is_no_number(experiment, printed) -> None:
    """Neither a sentinel nor silence nor a failure can pass for a fitness."""
    asked = replace(experiment, evaluate=replace(experiment.evaluate, command=("sh", "-c", printed), repeats=1))
    with pytest.raises(Refused) as caught:
        checks.measured(asked, {"near": 0.5}, lambda _: None)
    assert caught.value.reason == "not_measured"


def test_each_window_ends_with_a_look_at_the_service(experiment, tmp_path) -> None:
    """A service that falls over a minute after its new values must not have passed by its first second."""
    looks = ("sh", "-c", f"cd {shlex.quote(str(tmp_path))} && echo >> looks && [ $(wc -l < looks) -lt 3 ]")
    one = replace(experiment, target=replace(experiment.target, health=Health(looks, 3, 0.5)))
    waited: list[float] = []
    with pytest.raises(Refused, match="window 3 of 3"):
        checks.require_healthy(one, 3, waited.append)
    assert waited == [0.5] * 3


def test_commands_say_what_went_wrong(tmp_path) -> None:
    """A person reads why the reload failed in the program's own words."""
    assert checks.fault_of(["true"], tmp_path) is None
    assert "status 3: nope" in str(checks.fault_of(["sh", "-c", "echo nope >&2; exit 3"], tmp_path))
    assert checks.fault_of(["/no/such/program"], tmp_path)


def test_a_service_that_is_started_anew_goes_on(tmp_path) -> None:
    """A reload that starts a server of the person's own must not have it killed as soon as the command has ended."""
    start = f"setsid sleep 60 </dev/null >/dev/null 2>&1 & echo $! > {shlex.quote(str(tmp_path / 'pid'))}"
    assert checks.fault_of(["sh", "-c", start], tmp_path, may_leave=True) is None
    server = os.pidfd_open(int((tmp_path / "pid").read_text()))
    signal.pidfd_send_signal(server, signal.SIGKILL)
    os.close(server)


def test_reloading_a_system_unit_takes_a_rule(experiment, monkeypatch) -> None:
    """An experiment whose service could not be reloaded from here is only reported, and says what is missing."""
    systemctl = replace(experiment.target, daemon=None, reload=("systemctl", "reload", "x.service"))
    one = replace(experiment, target=systemctl)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "polkit" in checks.cannot_reload(one, ())
    assert "--allow-reload old.service --allow-reload x.service" in checks.cannot_reload(one, ("old",))
    assert checks.cannot_reload(one, ("x.service",)) == checks.cannot_reload(one, ("x",)) == ""
    short = replace(one, target=replace(systemctl, reload=("/bin/systemctl", "--no-block", "reload", "x")))
    assert checks.cannot_reload(short, ("x.service",)) == ""
    restart = replace(one, target=replace(systemctl, reload=("systemctl", "restart", "x.service")))
    assert "only `systemctl reload UNIT`" in checks.cannot_reload(restart, ("x.service",))
    users = replace(one, target=replace(systemctl, reload=("systemctl", "--user", "reload", "x.service")))
    assert checks.cannot_reload(users, ()) == ""
    assert checks.cannot_reload(experiment, ()) == ""


def test_an_answer_that_does_not_count_does_not_end_the_question() -> None:
    """`ligand deploy list` goes on showing what waits, whatever somebody replays."""
    facts = {"deployment_id": "d", "change_sha256": "0" * 64, "mode": "ask", "target": "t", "changes": {}}
    proposed = _signal("Q_DEPLOYMENT_PROPOSED", {**facts, "expires_at": "2999-01-01T00:00:00Z"})
    answer = {"deployment_id": "d", "verdict": "approve", "change_sha256": "0" * 64}
    recorded = _signal("Q_DEPLOYMENT_ANSWERED", answer, taint=("recording",))
    other = _signal("Q_DEPLOYMENT_ANSWERED", {**answer, "change_sha256": "1" * 64})
    (one,) = story.told([proposed, recorded, other])
    assert one.state == story.WAITS
    (one,) = story.told([proposed, _signal("Q_DEPLOYMENT_ANSWERED", answer)])
    assert one.state == "approved"
    (one,) = story.told([proposed], now=1e11)
    assert one.state == "expired"


def _signal(name: str, facts: dict, **fields) -> Signal:
    made = {"id": "i", "timestamp": "2026-01-01T00:00:00Z", "source": "person@me", "host": "h", "version": 1, **fields}
    return Signal(signal=name, facts=facts, **made)
