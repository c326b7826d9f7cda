"""Winners on a real bus, into real files. If this fails, a person's settings are lost, or a bad value is in use."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from signals.envelope import Signal
from signals.live import Subscription
from tests.support import commands
from tests.support.constellation import READY_S, Constellation, Running, constellation, others
from tests.support.raw import attached

ENDS = ("Q_WINNER_DEPLOYED", "Q_DEPLOYMENT_FAILED")
DEDUP = "# what dedup goes by\nembeddings:\n  near: 0.75   # chosen by hand\nagain_per_day: 3 # few\n"
SETTINGS = 'mode = "plain" # keep\n\n[limits]\nnear = 0.5\n'
MEASURE = """\
import json, pathlib, sys, time
here = pathlib.Path(sys.argv[0]).parent
near = json.load(sys.stdin)["near"]
with open(here / "measured", "a") as told:
    told.write(f"{sys.argv[1]}:{near}\\n")
while near == 0.8 and (here / "hold").exists():
    time.sleep(0.01)
print(json.dumps({"f1": 1 - abs(near - 0.8), "near": near}))
"""


class Desk:
    """A home with experiments, the deployer, and a test in the place of what runs cycles and of a person."""

    def __init__(self, home: Constellation) -> None:
        self.home = home
        self.folder = home.paths.config / "experiments"
        self.folder.mkdir(parents=True)
        (self.folder / "measure.py").write_text(MEASURE)
        self.deployer: Running

    def experiment(self, name: str, file: str, form: str, key: str, **more: Any) -> None:
        target = {"file": file, "format": form, "keys": {"near": key}, **more.pop("target", {})}
        command = [sys.executable, "-IS", str(self.folder / "measure.py"), name]
        said = {
            "about": f"{name} of a test",
            "target": target,
            "search_space": {"near": {"type": "float", "low": 0.1, "high": 0.95}},
            "evaluate": {"command": command, "repeats": 1, "cases": {"tuning": ["a"], "held_out": ["b", "c", "d"]}},
            "objective": {"metrics": {"f1": "maximize"}, "alpha": 0.2},
            "autonomy": "deploy",
            **more,
        }
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(said))

    def file(self, name: str, text: str | None = None) -> Path:
        path = self.home.paths.config / name
        if text is not None:
            path.write_text(text)
        return path

    def start(self) -> Running:
        self.deployer = self.home.daemon("winner_deployer").ready()
        return self.deployer

    def won(self, *winners: tuple[str, float], bound: dict[str, str] | None = None, **fields: Any) -> Signal:
        """Say, as what runs cycles, that these experiments have these winners."""
        found = [
            {"winner_id": f"w-{near}", "experiment": name, "params": {"near": near}, "target": name}
            | {"fitness": 1, "baseline_fitness": 0.5, **(bound or {})}
            for name, near in winners
        ]
        facts = {"cycle_id": "c", "experiments": [], "winners": found, "promotions": [], "duration_s": 1}
        with attached(self.home.paths, "dreamer") as dreamer:
            signal = dreamer.make("Q_DREAM_COMPLETE", {**facts, "trigger_reason": "test"}, **fields)
            dreamer.emit(signal)
        return signal

    def ended(self, count: int = 1) -> list[Signal]:
        """The ends of deployments, once so many are there."""
        with Subscription(self.home.paths.mirror_socket, ENDS) as woken:
            deadline = time.monotonic() + READY_S
            while len(found := self.home.signals(*ENDS)) < count:
                assert time.monotonic() < deadline, self.deployer.tail()
                woken.wait(2.0)
        return found

    def measuring(self, what: str) -> None:
        """Wait until an experiment's program was started with a value."""
        told, deadline = self.folder / "measured", time.monotonic() + READY_S
        while not told.exists() or what not in told.read_text().split():
            assert time.monotonic() < deadline, self.deployer.tail()
            time.sleep(0.01)

    def failed(self, count: int = 1) -> dict[str, Any]:
        return self.home.wait_for("Q_DEPLOYMENT_FAILED", count)[-1].facts

    def ligand(self, *words: str, code: int = 0) -> str:
        done = commands.ligand(None, "deploy", *words, "--home", str(self.home.home))
        assert done.code == code, done.text + done.err
        return done.text + done.err


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with constellation(tmp_path) as home:
        home.manifest("dreamer", emits=["Q_DREAM_COMPLETE"])
        home.config("bus", {"disable": others("winner_deployer", "semantic_dedup")})
        home.bus()
        yield Desk(home)


def test_a_winner_reaches_a_daemon_with_every_comment_kept_and_goes_back_by_hand(desk: Desk) -> None:
    """A proven value is in use, measured, told; the person's file is theirs still; one command takes it back."""
    path = desk.file("semantic_dedup.yaml", DEDUP)
    desk.experiment("dedup", "semantic_dedup.yaml", "yaml", "embeddings.near", target={"daemon": "semantic_dedup"})
    desk.home.daemon("semantic_dedup").ready()
    desk.start()
    cause = desk.won(("dedup", 0.8))
    (told,) = desk.home.wait_for("Q_WINNER_DEPLOYED")
    assert path.read_text() == DEDUP.replace("0.75", "0.8")
    assert told.facts["changes"] == {"embeddings.near": {"old": 0.75, "new": 0.8}}
    assert told.facts["measured"] == pytest.approx({"f1": 1.0, "near": 0.8})
    assert told.facts["target"] == "semantic_dedup"
    assert Path(told.facts["backup"]).read_text() == DEDUP
    assert told.facts["file"] == str(path)
    assert told.causation_id == cause.id
    (reloaded,) = desk.home.wait_for("Q_CONFIGURATION_RELOADED", daemon="semantic_dedup")
    assert reloaded.facts["changed"] == ["embeddings.near"]

    shown = json.loads(desk.ligand("history", "-o", "json"))
    assert shown["state"] == "in use"
    assert "measured in place: f1 1 against 0.95" in desk.ligand("show", shown["deployment_id"][:6])
    desk.ligand("rollback", shown["deployment_id"], "--reason", "a test")
    (back,) = desk.home.wait_for("Q_ROLLBACK_COMPLETE")
    assert back.facts["changes"] == {"embeddings.near": {"old": 0.8, "new": 0.75}}
    assert path.read_text() == DEDUP
    assert len(desk.home.wait_for("Q_CONFIGURATION_RELOADED", 2)) == 2
    assert "taken back" in desk.ligand("history")
    assert "only what is in use" in desk.ligand("rollback", shown["deployment_id"], code=1)

    nobody = "0" * 16  # the journal may have forgotten it, so the deployer is asked
    assert "Asked for" in desk.ligand("rollback", nobody)
    desk.home.wait_for("Q_ROLLBACK_FAILED", reason="unknown")
    assert "refused: There is no deployment" in desk.ligand("show", nobody)

    desk.won(("dedup", 0.8))
    (asked,) = desk.home.wait_for("Q_DEPLOYMENT_PROPOSED")
    assert "was deployed before" in asked.facts["why"], "what a person took back is not done again by itself"
    assert path.read_text() == DEDUP


def test_what_is_not_better_in_place_goes_back_to_the_same_bytes(desk: Desk) -> None:
    """A sabotaged winner, one that its daemon refuses, an unwell service: each goes back, never told as done."""
    path, other = desk.file("semantic_dedup.yaml", DEDUP), desk.file("x.toml", SETTINGS)
    desk.experiment("dedup", "semantic_dedup.yaml", "yaml", "embeddings.near", target={"daemon": "semantic_dedup"})
    desk.experiment("sick", "x.toml", "toml", "limits.near", target={"health": _health("! grep -q 0.8 x.toml")})
    desk.experiment("guard", "x.toml", "toml", "limits.near", objective=_guarded(0.7))
    desk.experiment("hook", "x.toml", "toml", "limits.near", target={"reload": ["sh", "-c", "echo no >&2; exit 3"]})
    desk.experiment("absent", "semantic_dedup.yaml", "yaml", "again_per_day", target={"daemon": "semantic_dedup"})
    (desk.folder / "edited.py").write_text(MEASURE + 'if near == 0.77: open(sys.argv[0], "a").write("#")\n')
    evaluate = {"command": [sys.executable, "-S", "edited.py", "edited"], "repeats": 3}
    desk.experiment("edited", "x.toml", "toml", "limits.near", evaluate=evaluate)
    desk.home.daemon("semantic_dedup").ready()
    desk.start()
    desk.won(("dedup", 0.3), ("sick", 0.8), ("guard", 0.79), ("hook", 0.78), ("absent", 0.5), ("edited", 0.77))
    found = {one.facts["target"] + "/" + one.facts["reason"]: one.facts for one in desk.ended(6)}
    assert set(found) == {
        "semantic_dedup/worse",
        "x.toml/unhealthy",
        "x.toml/worse",
        "x.toml/reload_failed",
        "x.toml/interrupted",
        "semantic_dedup/reload_failed",
    }
    assert all(one["rolled_back"] for one in found.values())
    assert "no" in found["x.toml/reload_failed"]["detail"]
    assert "again_per_day" in found["semantic_dedup/reload_failed"]["detail"], "the daemon's own words"
    assert (path.read_text(), other.read_text()) == (DEDUP, SETTINGS)
    assert not desk.home.signals("Q_WINNER_DEPLOYED")
    assert not [name for name in os.listdir(path.parent) if "ligand-new" in name]


def _health(command: str) -> dict[str, Any]:
    return {"command": ["sh", "-c", f"cd .. && {command}"], "windows": 2, "window_s": 0.1}


def _guarded(most: float) -> dict[str, Any]:
    return {"metrics": {"f1": "maximize"}, "alpha": 0.2, "guardrails": {"near": {"max": most}}}


def test_people_decide_once_and_exactly_about_what_they_saw(desk: Desk) -> None:
    """Asked for is: no without a yes; a yes counts once, for this change, from a person at work, in time."""
    path = desk.file("x.toml", SETTINGS)
    desk.experiment("asks", "x.toml", "toml", "limits.near", autonomy="ask")
    desk.experiment("tells", "x.toml", "toml", "limits.near", autonomy="report")
    desk.start()
    desk.won(("asks", 0.8), ("tells", 0.7), ("asks", 0.6))
    asked, told, other = desk.home.wait_for("Q_DEPLOYMENT_PROPOSED", 3)
    assert (asked.facts["mode"], told.facts["mode"]) == ("ask", "report")
    assert path.read_text() == SETTINGS
    listed = [json.loads(line) for line in desk.ligand("list", "-o", "json").splitlines()]
    assert [one["deployment_id"] for one in listed] == [asked.facts["deployment_id"], other.facts["deployment_id"]]

    def answer(proposal: Signal, **changed: Any) -> Signal:
        facts = {key: proposal.facts[key] for key in ("deployment_id", "change_sha256")} | {"verdict": "approve"}
        taint = changed.pop("taint", ())
        with desk.home.emitter() as emitter:
            signal = emitter.signal("Q_DEPLOYMENT_ANSWERED", facts | changed, taint=taint)
            emitter.emit(signal)
        return signal

    answer(asked, change_sha256="0" * 64)
    answer(asked, taint=["recording"])
    answer(asked, deployment_id=told.facts["deployment_id"])
    desk.home.wait_for("Q_DEAD_LETTER_ADDED", 3, signal="Q_DEPLOYMENT_ANSWERED")
    assert path.read_text() == SETTINGS

    desk.ligand("reject", other.facts["deployment_id"])
    assert desk.failed()["reason"] == "rejected"
    desk.ligand("approve", asked.facts["deployment_id"])
    desk.home.wait_for("Q_WINNER_DEPLOYED")
    assert path.read_text() == SETTINGS.replace("0.5", "0.8")
    answer(asked)
    desk.home.wait_for("Q_DEAD_LETTER_ADDED", 4, signal="Q_DEPLOYMENT_ANSWERED")
    assert "only what waits" in desk.ligand("approve", asked.facts["deployment_id"], code=1)
    assert len(desk.ended(2)) == 2


def test_a_persons_edit_wins_over_a_winner(desk: Desk) -> None:
    """Edited after the question, while it is verified, or before it is taken back: the person's text stays."""
    path = desk.file("x.toml", SETTINGS)
    desk.experiment("asks", "x.toml", "toml", "limits.near", autonomy="ask")
    desk.experiment("does", "x.toml", "toml", "limits.near", target={"health": _health("true")})
    desk.start()
    desk.won(("asks", 0.8))
    (asked,) = desk.home.wait_for("Q_DEPLOYMENT_PROPOSED")
    mine = SETTINGS.replace("# keep", "# my own words")
    path.write_text(mine)
    desk.ligand("approve", asked.facts["deployment_id"])
    assert (desk.failed()["reason"], path.read_text()) == ("target_changed", mine)

    desk.won(("does", 0.8))
    (done,) = desk.home.wait_for("Q_WINNER_DEPLOYED")
    deployed = path.read_text()
    path.write_text(deployed + "# later\n")
    desk.ligand("rollback", done.facts["deployment_id"])
    (refused,) = desk.home.wait_for("Q_ROLLBACK_FAILED")
    assert refused.facts["reason"] == "target_changed"
    assert path.read_text() == deployed + "# later\n"

    path.write_text(SETTINGS)
    desk.won(("does", 0.7), bound={"target_sha256": "0" * 64})
    assert (desk.failed(2)["reason"], path.read_text()) == ("target_changed", SETTINGS), "edited during the cycle"
    desk.won(("does", 0.7), bound={"digest": "0" * 64})
    assert (desk.failed(3)["reason"], path.read_text()) == ("experiment_changed", SETTINGS)
    desk.experiment("held", "x.toml", "toml", "limits.near")
    (desk.folder / "hold").touch()
    desk.won(("held", 0.8))
    desk.measuring("held:0.8")
    path.write_text(mine)
    (desk.folder / "hold").unlink()
    assert (desk.failed(4)["reason"], path.read_text()) == ("target_changed", mine)


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_broken_off_while_it_is_verified_the_old_bytes_come_back(desk: Desk, how: str) -> None:
    """What nobody has verified is not in use: after a kill from the next start on, after a stop at once."""
    path = desk.file("semantic_dedup.yaml", DEDUP)
    desk.experiment("dedup", "semantic_dedup.yaml", "yaml", "embeddings.near", target={"daemon": "semantic_dedup"})
    desk.home.daemon("semantic_dedup").ready()
    running = desk.start()
    (desk.folder / "hold").touch()
    desk.won(("dedup", 0.8))
    desk.measuring("dedup:0.8")
    if how == "kill":
        running.kill()
        assert path.read_text() == DEDUP.replace("0.75", "0.8")
    else:
        assert running.stop() == 0
        assert path.read_text() == DEDUP
    (desk.folder / "hold").unlink()
    desk.start()
    facts = desk.failed()
    assert (facts["reason"], facts["rolled_back"]) == ("interrupted", True)
    assert path.read_text() == DEDUP
    changed = desk.home.wait_for("Q_CONFIGURATION_RELOADED", 2, daemon="semantic_dedup")
    assert changed[-1].facts["changed"] in ([], ["embeddings.near"])
    assert len(desk.ended()) == 1


def test_signals_reach_no_file_but_what_experiments_name(desk: Desk) -> None:
    """Whatever a winner says of experiments, paths and values, nothing else on the disk is touched."""
    secret = desk.file("secret.yaml", "near: 0.5\n")
    desk.file("link.yaml").symlink_to("secret.yaml")
    desk.experiment("link", "link.yaml", "yaml", "near")
    desk.experiment("fits", "x.toml", "toml", "limits.near")
    desk.file("x.toml", SETTINGS)
    outside = desk.home.home / "other.yaml"
    desk.experiment("up", "x.toml", "toml", "limits.near")
    (desk.folder / "up.yaml").write_text((desk.folder / "up.yaml").read_text().replace("x.toml", "../other.yaml"))
    outside.write_text("near: 0.5\n")
    desk.start()
    names = ["../../other", "/etc/passwd", "link", "up", "nosuch"]
    desk.won(*((name, 0.8) for name in names), ("fits", 7.0))
    found = {one.facts["reason"] for one in desk.ended(6)}
    assert found == {"target_unknown", "target_refused", "experiment_invalid", "outside_search_space"}
    desk.won(("fits", 0.8), taint=("recording",))
    assert desk.failed(7)["reason"] == "not_allowed"
    assert (secret.read_text(), outside.read_text()) == ("near: 0.5\n", "near: 0.5\n")
    assert desk.file("x.toml").read_text() == SETTINGS
    assert not (desk.folder / "measured").exists()


def test_two_winners_of_one_cycle_are_deployed_one_after_the_other(desk: Desk) -> None:
    """Two that tune one file do not undo each other, and a cycle that comes again changes nothing."""
    path = desk.file("x.toml", SETTINGS + "far = 0.2\n")
    desk.experiment("near", "x.toml", "toml", "limits.near")
    desk.experiment("far", "x.toml", "toml", "limits.far")
    desk.start()
    desk.won(("near", 0.8), ("far", 0.7))
    desk.home.wait_for("Q_WINNER_DEPLOYED", 2)
    assert path.read_text() == SETTINGS.replace("0.5", "0.8") + "far = 0.7\n"
    desk.won(("near", 0.8))
    assert desk.failed()["reason"] == "already_in_use"
