"""`ligand policy` on what really happened: why, why not, and what other rules would have done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from services.policy_engine.commands import policy
from tests.live.policy_engine.conftest import DREAM, Policies
from tests.live.policy_engine.test_engine_on_a_bus import ON_PROMOTIONS, sensed, sensed_at_once, settled
from tests.support.commands import ligand

WAITS = ON_PROMOTIONS | {"hold": "1s", "cooldown": "1s"}
COUNTS = ON_PROMOTIONS | {"id": "thrice", "count": {"at_least": 3, "within": "1h"}, "key": "'all'"}
TRIED = ON_PROMOTIONS | {"id": "tried", "mode": "shadow"}


@pytest.fixture
def day(policies: Policies) -> Policies:
    """A short day with waits, counts, cooldowns and shadows; then bus and engine are stopped."""
    policies.rules(WAITS, COUNTS, TRIED)
    engine = policies.start()
    for nth in range(4):
        path = {"promotions_path": f"/p/{nth}"}
        sensed_at_once(policies, path, {**path, "unacknowledged_count": nth % 2})
    settled(policies)
    policies.home.wait_for("Q_POLICY_DECIDED", 3, rule="dream", outcome="emitted")
    sensed(policies, promotions_path="/p/1")
    policies.home.wait_for("Q_POLICY_DECIDED", 4, rule="dream", outcome="emitted")
    engine.stop()
    policies.home.running[0].stop()
    return policies


def rehearsed(day: Policies, file: Path) -> dict[str, list[dict[str, str]]]:
    done = ligand(day.home.home, "policy", "rehearse", str(file), "-o", "json")
    assert done.code == 0, done.err
    found: dict[str, list[dict[str, str]]] = json.loads(done.out)
    return found


def test_rehearsal_and_questions(day: Policies) -> None:
    """A person would change rules blindly, or not learn why something was done or not."""
    home = day.home.home
    same = rehearsed(day, day.file)
    happened = {s.id for s in day.home.signals("Q_DREAM_TRIGGER")}
    assert {act["id"] for act in same["same"]} == happened
    assert (same["gained"], same["lost"]) == ([], [])
    assert {act["rule"] for act in same["shadow"]} == {"tried"}

    other = home / "other.yaml"
    kept = day.file
    day.rules(TRIED | {"mode": "enforce"})
    kept.rename(other)
    changed = rehearsed(day, other)
    assert changed["same"] == []
    assert {act["id"] for act in changed["lost"]} == happened
    assert {act["rule"] for act in changed["gained"]} == {"tried"}
    day.rules(WAITS, COUNTS, TRIED)

    dream = next(s for s in day.home.signals("Q_POLICY_DECIDED") if s.facts["rule"] == "dream").facts["emitted"][0]
    why = ligand(home, "policy", "why", dream)
    assert "fresh: event.facts.unacknowledged_count >= 1 is true (facts.unacknowledged_count is 1)" in why.text
    assert f"Q_DREAM_TRIGGER {dream}" in why.text

    ended = next(s for s in day.home.signals("Q_PROMOTIONS_DETECTED") if s.facts["unacknowledged_count"] == 0)
    why_not = ligand(home, "policy", "why-not", "dream", ended.id)
    assert "what it waited for has ended" in why_not.text
    assert "needed   fresh: event.facts.unacknowledged_count >= 1 to be true" in why_not.text

    listed = {
        one["rule"]: one for one in map(json.loads, ligand(home, "policy", "list", "-o", "json").out.splitlines())
    }
    assert (listed["dream"]["fired"], listed["tried"]["fired"], listed["tried"]["mode"]) == (4, 5, "shadow")
    assert listed["thrice"]["emits"] == ["Q_DREAM_TRIGGER"]
    said = ligand(home, "policy", "list").text
    assert "shadow   Q_PROMOTIONS_DETECTED → Q_DREAM_TRIGGER" in said
    assert f"fired 5 times, last {listed['tried']['last']}" in said

    promoted = ligand(home, "policy", "promote", "tried")
    assert "tried: shadow → enforce" in promoted.text
    assert "would have fired 5 times" in promoted.text
    assert ligand(home, "policy", "promote", "tried").code == 1
    assert ligand(home, "policy", "why", "ffffffff").code == 1
    newest = day.home.signals("Q_PROMOTIONS_DETECTED")[-1].id
    assert ligand(home, "policy", "why", "Q_PROMOTIONS_DETECTED").out == ligand(home, "policy", "why", newest).out
    answers_odd_input(home)
    explains_what_is_no_longer_kept(day, dream, ended.id)


def explains_what_is_no_longer_kept(day: Policies, dream: str, ended: str) -> None:
    """A person who cleared the decisions away would get no answer, or learn nothing of what would have changed it."""
    home = day.home.home
    (day.home.paths.state_of("policy_engine") / "decisions.jsonl").unlink()
    assert "dream: emitted" in ligand(home, "policy", "why", dream).text
    told = ligand(home, "policy", "why-not", "dream", ended).text
    assert "No decision is kept. By the rules as they are now" in told
    assert "needed   fresh: event.facts.unacknowledged_count >= 1 to be true" in told


def answers_odd_input(home: Path) -> None:
    """A slip of the hand would end in a traceback."""
    odd: list[tuple[str, ...]] = [("why", given) for given in ("", "²", "-1", "q_x", "--", "\U0001f9e0" * 8)]
    odd += [
        ("rehearse", str(home / "other.yaml"), "--since", since) for since in ("", "d", "nand", "-1d", "1_0d", "١d")
    ]
    codes = {given: CliRunner().invoke(policy, [*given, "--home", str(home)]).exit_code for given in odd}
    assert set(codes.values()) == {2}, codes
    whole = CliRunner().invoke(
        policy, ["rehearse", str(home / "other.yaml"), "--since", "999999999d", "--home", str(home)]
    )
    assert whole.exit_code == 0, whole.output


def test_rules_try_their_own_examples(tmp_path: Path) -> None:
    """A rule's own example would go wrong unnoticed, Ligand's too."""
    (tmp_path / "config").mkdir()
    own = ligand(tmp_path, "policy", "test")
    assert own.code == 0, own.text
    assert " 0 wrong" in own.text
    example = {"signal": "Q_USER_VOICE", "outcome": "no_match", "facts": VOICE}
    rule = {"id": "mine", "signals": ["Q_USER_VOICE"], "do": [DREAM], "examples": [example]}
    file = tmp_path / "mine.yaml"
    file.write_text(json.dumps({"version": 1, "rules": [rule]}))
    wrong = ligand(tmp_path, "policy", "test", str(file))
    assert wrong.code == 1
    assert "mine, example 1: fires, not no_match" in wrong.text


def test_config_check_judges_the_rules(tmp_path: Path) -> None:
    """A person would learn of a slip only when the engine does not start."""
    rule = {"id": "mine", "signals": ["Q_USER_VOICE"], "key": "event.nothing", "do": [DREAM]}
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "policies.yaml").write_text(json.dumps({"version": 1, "rules": [rule]}))
    wrong = ligand(tmp_path, "config", "check")
    assert wrong.code == 2
    assert "policies.yaml:1: rule mine, key: 'event.nothing'" in wrong.text
    assert "there is no 'nothing' in Q_USER_VOICE" in wrong.text


VOICE = {
    "text": "x",
    "confidence": 0.1,
    "language": "en",
    "audio_duration_s": 1,
    "latency_s": {"vad": 0, "stt": 0},
    "engine": "x",
}
