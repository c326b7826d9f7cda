"""Following one intent, telling a story, and who talks to whom: without a bus."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from services.runtime.manifest import Manifest
from signals.catalogue import Catalogue
from tests.support.commands import environment, run_on_terminal
from tests.support.constellation import ROOT
from tools import talk
from tools.ligand.following import Story, gist, outcome
from tools.ligand.telling import Teller

CATALOGUE = Catalogue.load()
PROGRESS = "from tools.progress import progress\nwith progress('copying', 10) as advance:\n    advance(5)\n"


def signal(name: str, nth: int, cause: int | None = None, **fields: Any) -> dict[str, Any]:
    """An envelope of a story whose root is number 1."""
    found = {
        "signal": name,
        "id": f"id-{nth}",
        "seq": nth,
        "source": fields.pop("source", "somebody"),
        "received_at": f"2026-03-01T08:00:0{nth}.000000Z",
        "correlation_id": "id-1",
        "facts": fields.pop("facts", {}),
        **fields,
    }
    return found | ({"causation_id": f"id-{cause}"} if cause else {})


def ready(*routed: str) -> dict[str, Any]:
    facts = {"file": "mine.json", "intent_type": "question", "priority": "low", "routed_to": list(routed)}
    return signal("Q_INTENT_READY", 1, facts=facts, source="intent_router")


def story(*envelopes: dict[str, Any]) -> Story:
    found = Story("mine.json", CATALOGUE)
    for envelope in envelopes:
        found.take(envelope)
    return found


class TestFollowing:
    def test_it_begins_with_the_file_that_was_dropped(self) -> None:
        """Another person's question would end the waiting."""
        found = Story("mine.json", CATALOGUE)
        assert not found.take(signal("Q_INTENT_READY", 1, facts={"file": "other.json"}))
        assert found.take(ready("Q_CURIOSITY_INVESTIGATE"))
        assert not found.take(signal("Q_SPEAK", 2) | {"correlation_id": "another"})

    def test_it_is_over_when_every_branch_is(self) -> None:
        """An intent that was routed to two is not done when one of them is."""
        found = story(
            ready("Q_CURIOSITY_INVESTIGATE", "Q_CURIOSITY_INVESTIGATE"),
            signal("Q_CURIOSITY_INVESTIGATE", 2, 1),
            signal("Q_CURIOSITY_INVESTIGATE", 3, 1),
            signal("Q_INVESTIGATION_COMPLETE", 4, 2),
            signal("Q_MODULE_INTEGRATED", 5, 4),
        )
        assert not found.is_over
        found.take(signal("Q_INVESTIGATION_FAILED", 6, 3))
        assert found.is_over
        assert found.exit_code() == 1

    @pytest.mark.parametrize(
        ("end", "code"),
        [
            ("Q_MODULE_INTEGRATED", 0),
            ("Q_INTEGRATION_SKIPPED", 0),
            ("Q_INVESTIGATION_FAILED", 1),
            ("Q_INVESTIGATION_TIMEOUT", 27),
        ],
    )
    def test_the_end_decides(self, end: str, code: int) -> None:
        """A script goes by the exit code alone."""
        found = story(ready("Q_CURIOSITY_INVESTIGATE"), signal("Q_CURIOSITY_INVESTIGATE", 2, 1), signal(end, 3, 2))
        assert (found.is_over, found.exit_code()) == (True, code)

    def test_a_dead_letter_after_the_end_changes_nothing(self) -> None:
        """A watcher that failed on the ending did not undo the work."""
        found = story(ready("Q_X"), signal("Q_CURIOSITY_INVESTIGATE", 2, 1), signal("Q_MODULE_INTEGRATED", 3, 2))
        found.take_dead([{"dead_letter_id": 1, "status": "dead", "signal": {"id": "id-3"}}])
        assert found.exit_code() == 0

    def test_words(self) -> None:
        """What a person reads in place of a signal's name."""
        assert [outcome(name) for name in ("Q_X_TIMEOUT", "Q_X_COMPLETE", "Q_X_SKIPPED")] == [
            "timed out",
            "done",
            "skipped",
        ]
        assert gist({"reason": "phantom", "detail": "not there", "summary": "x"}) == "phantom: not there"
        assert gist({"n": 1}) == ""


def told(*signals: dict[str, Any], dead: tuple[dict[str, Any], ...] = (), waits: tuple[str, ...] = ()) -> list[str]:
    return list(Teller(CATALOGUE, signals, dead, lambda _: waits).sentences())


class TestTelling:
    def test_a_time_out_names_what_nobody_answered(self) -> None:
        """Silence has a cause too."""
        sentences = told(
            signal("Q_CURIOSITY_INVESTIGATE", 1, source="person@ada", facts={"question": "Why?"}),
            signal("Q_INVESTIGATION_TIMEOUT", 2, 1, source="bus"),
        )
        assert sentences[0].endswith("ada emitted Q_CURIOSITY_INVESTIGATE (#1): Why?")
        assert sentences[1].startswith(
            "Nobody answered Q_CURIOSITY_INVESTIGATE in time, so after 1.0 s the bus emitted"
        )
        assert sentences[-1] == "So it ended after 1.0 s: timed out."

    def test_a_proposal_is_a_persons_to_decide_on(self) -> None:
        """`nothing more is expected` alone would hide that somebody is asked."""
        facts = {"deployment_id": "0123456789abcdef", "mode": "ask"}
        sentences = told(signal("Q_DREAM_COMPLETE", 1), signal("Q_DEPLOYMENT_PROPOSED", 2, 1, facts=facts))
        assert sentences[-1] == "A person decides on it: `ligand deploy show 0123456789abcdef`."
        facts["mode"] = "report"
        assert (
            "decides" not in told(signal("Q_DREAM_COMPLETE", 1), signal("Q_DEPLOYMENT_PROPOSED", 2, 1, facts=facts))[-1]
        )

    def test_what_waits_and_what_was_given_up(self) -> None:
        """A person learns whose turn it is, and what to type when it is theirs."""
        one = signal("Q_SPEAK", 1, facts={"text": "hi"}, taint=["web"])
        letter = {
            "dead_letter_id": 4,
            "status": "dead",
            "reason": "rejected",
            "error": "no voice.",
            "consumer": "voice",
        }
        sentences = told(one, dead=({**letter, "attempts": 2, "signal": one},))
        assert "voice gave up on it after 2 attempts (rejected): no voice. Another chance" in sentences[1]
        assert sentences[-2:] == ["There it stopped.", "Untrusted content came in from: web."]
        replayed = told(one, dead=({**letter, "status": "replayed", "signal": one},))
        assert "That dead letter was replayed." in replayed[1]
        waiting = told(one, waits=("waits for voice, which has not handled it yet",))
        assert waiting[1] == "It is not over: Q_SPEAK (#1) waits for voice, which has not handled it yet."
        assert told(one)[1] == "Everyone who was to hear of it has; nothing more is expected."

    def test_what_was_too_late_for_anybody(self) -> None:
        """A text that was never spoken would be told as one that everybody has heard of."""
        until = "2026-03-01T08:00:09.000000Z"
        late = told(signal("Q_SPEAK", 1, facts={"text": "hi"}, expires_at=until))
        assert late[1].startswith("Q_SPEAK (#1) counts until ")
        assert late[1].endswith(":00:09: who has not taken it up by then is not given it.")
        assert len(late) == 2
        spoken = told(signal("Q_SPEAK", 1, expires_at=until), signal("Q_SPOKEN", 2, 1))
        assert not any("counts until" in one for one in spoken)

    def test_what_is_no_longer_kept(self) -> None:
        """Retention took the beginning, or all of it; that is said rather than guessed."""
        assert told() == ["Nothing of this story is kept any more."]
        assert "its cause is no longer kept" in told(signal("Q_SPEAK", 3, 2))[0]


class TestTalk:
    def test_answers_reach_whoever_asks(self) -> None:
        """An asker consumes no answers, and hears them all the same."""
        asker = Manifest.parse({"daemon": "asker", "description": "x", "asks": ["Q_MODEL_REQUEST"]})
        model = Manifest.parse(
            {"daemon": "model", "description": "x", "consumes": ["Q_MODEL_REQUEST"], "emits": ["Q_MODEL_RESPONSE"]}
        )
        found = talk.world({"asker": asker, "model": model}, CATALOGUE).talks
        assert talk.Talk("model", "Q_MODEL_RESPONSE", "asker", "answer") in found
        assert talk.Talk("asker", "Q_MODEL_REQUEST", "model", "consumes") in found

    def test_live_signals_are_dashed(self) -> None:
        """What may be missed looks different from what may not."""
        hearer = Manifest.parse({"daemon": "hearer", "description": "x", "listens": ["Q_ATTENTION_SCORE"]})
        eye = Manifest.parse({"daemon": "eye", "description": "x", "emits": ["Q_ATTENTION_SCORE"]})
        found = talk.world({"hearer": hearer, "eye": eye}, CATALOGUE).talks
        assert 'eye -.->|"Q_ATTENTION_SCORE"| hearer' in talk.mermaid(found)
        assert "style=dashed" in talk.dot(found)


def test_a_bar_only_on_a_terminal(tmp_path: Any) -> None:
    """A log file would fill with the bar's control characters."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRESS], cwd=ROOT, env=environment(None), capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    (tmp_path / "home").mkdir()
    assert run_on_terminal("ligand", tmp_path / "home", "doctor").text.count("looking") >= 1
