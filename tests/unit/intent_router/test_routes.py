"""The routes file: what a user's own routes do, and where a mistake in them is pointed at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.intent_router import routes
from services.intent_router.intent import Intent
from services.intent_router.logic import Ref, Route, plan
from services.intent_router.refusal import IntentRefused
from signals.errors import ConfigError
from tests.unit.intent_router.rig import CATALOGUE, EMITS

USERS = """\
routes:
  - name: announce
    type: say.*
    signal: Q_SPEAK
    facts:
      text: $data.words.first
      urgency: $data.urgency?
"""


def load(folder: Path, text: str, emits: tuple[str, ...] = (*EMITS, "Q_SPEAK")) -> tuple[Route, ...]:
    (folder / routes.USERS).write_text(text)
    return routes.load(folder, emits, CATALOGUE)


def intent(intent_type: str, **data: Any) -> Intent:
    return Intent("claim", intent_type, "claim", "f", "0" * 64, 1, data=data)


def test_a_users_route_is_added_to_the_packaged_ones(tmp_path: Path) -> None:
    """A user's own intents would be refused as unknown."""
    found = load(tmp_path, USERS)
    _, say = plan(intent("say.hello", words={"first": "Hello"}), found)
    assert (say.signal, say.facts) == ("Q_SPEAK", {"text": "Hello"})
    CATALOGUE["Q_SPEAK"].check(say.facts)
    assert any(route.takes("discover.module.json") for route in found)


def test_a_users_route_takes_the_place_of_the_one_it_names(tmp_path: Path) -> None:
    """A user who changes what a question becomes would get both."""
    found = load(tmp_path, USERS.replace("name: announce", "name: question").replace("say.*", "question"))
    assert [route.signal for route in found if route.takes("question")] == ["Q_SPEAK"]


def test_without_a_users_file_there_are_the_packaged_routes(tmp_path: Path) -> None:
    """A fresh installation has no such file."""
    assert {route.name for route in routes.load(tmp_path, EMITS, CATALOGUE)} == {
        "discover-module", "reinvestigate", "question", "curiosity",
    }  # fmt: skip


def test_a_missing_field_refuses_the_intent_and_names_it(tmp_path: Path) -> None:
    """The contract's own complaint would speak of a fact the person never wrote."""
    with pytest.raises(IntentRefused) as caught:
        plan(intent("say.hello", words={}), load(tmp_path, USERS))
    assert caught.value.where.key == "data.words.first"


def test_two_dollars_begin_a_text_with_one(tmp_path: Path) -> None:
    """A fact that really begins with a dollar sign could not be written."""
    found = load(tmp_path, USERS.replace("$data.words.first", "$$5 left"))
    assert plan(intent("say.x"), found)[1].facts["text"] == "$5 left"


def test_references_are_parsed_not_run() -> None:
    """A routes file that could run code would be a way into the machine."""
    question = next(route for route in routes.read(routes.PACKAGED, EMITS, CATALOGUE) if route.name == "question")
    assert question.facts["module_path"] == Ref(("module_path",), optional=True)


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("signal: Q_SPEAK", "signal: Q_SPEKA"), 4, "did you mean Q_SPEAK"),
        (("signal: Q_SPEAK", "signal: Q_HEARTBEAT"), 4, "may not emit Q_HEARTBEAT"),
        (("signal: Q_SPEAK", "signal: Q_INTENT_READY"), 4, "may not emit"),
        (("urgency:", "urgncy:"), 7, "did you mean urgency"),
        (("$data.words.first", "$data.words.first?"), 6, "take the ? away"),
        (("      text: $data.words.first\n", ""), 5, "requires the fact 'text'"),
        (("$data.words.first", "$qestion"), 6, "did you mean $question"),
        (("$data.words.first", "$question.x"), 6, "no field $question.x"),
        (("$data.words.first", "$(rm -rf)"), 6, "not a reference"),
        (("type: say.*", "types: say.*"), 3, "not known here"),
        (("type: say.*", "type: []"), 3, "not an intent type"),
        (("    signal: Q_SPEAK\n", ""), 2, "names no signal"),
        (("name: announce", "name: announce\n    name: again"), 3, "stands twice"),
        (("name: announce", "name: [announce"), None, "intent_routes.yaml"),
    ],
)
def test_a_mistake_in_the_routes_is_refused_at_its_line(
    tmp_path: Path, change: tuple[str, str], line: int | None, words: str
) -> None:
    """It would otherwise come to light when the first intent of that type is lost."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, USERS.replace(*change))
    assert words in str(caught.value)
    assert line is None or f"intent_routes.yaml:{line}:" in str(caught.value)


def test_a_signal_that_the_manifest_does_not_allow_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """The bus would refuse every such intent later, one by one."""
    with pytest.raises(ConfigError, match=r"daemons\.d/intent_router\.yaml"):
        load(tmp_path, USERS, EMITS)
