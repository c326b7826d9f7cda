"""What a rules file may say, and what it is refused with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.policy_engine.expressions import Environment, ExpressionError
from services.policy_engine.loading import World, load
from services.policy_engine.memory import Memory
from services.policy_engine.promoting import set_mode
from services.policy_engine.rulebook import rulebook
from services.runtime.manifest import Manifest, find
from signals.catalogue import Catalogue
from signals.errors import ConfigError
from signals.paths import Paths

CATALOGUE = Catalogue.load()
ENVIRONMENT = Environment(CATALOGUE)
WORLD = World(CATALOGUE, Manifest.load(find("policy_engine", Path("none"))).may_emit, ENVIRONMENT)
DREAM: dict[str, Any] = {"emit": "Q_DREAM_TRIGGER", "facts": {"reason": "x", "topic": None, "promotion_count": 1}}
AGAIN: dict[str, Any] = {
    "emit": "Q_CURIOSITY_INVESTIGATE",
    "facts": {"question": "=event.facts.detail", "question_id": "x", "priority": "low", "evidence": []},
}
CHOICE: dict[str, Any] = {"question": "Dream?", "actions": [{"name": "dream", "about": "now", "do": [DREAM]}]}
GOOD: dict[str, Any] = {"id": "one", "signals": ["Q_PROMOTIONS_DETECTED"], "do": [DREAM]}


def written(home: Path, *rules: dict[str, Any], **more: Any) -> Path:
    file = home / "config" / "policies.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"version": 1, "rules": list(rules), **more}, sort_keys=False))
    return file


def judged(home: Path, *rules: dict[str, Any], **more: Any) -> Any:
    """The rules with Ligand's own, as the engine reads them."""
    written(home, *rules, **more)
    return rulebook(Paths.resolve(home))


def test_ligands_own_rules_load_and_a_persons_take_their_place(tmp_path: Path) -> None:
    """A person could not change a rule without editing the installation."""
    book = judged(tmp_path, GOOD | {"id": "answer-voice", "about": "mine"}, modes={"speak-answer": "off"})
    rules = {rule.id: rule for rule in book.rules}
    assert (rules["answer-voice"].about, rules["answer-voice"].mode) == ("mine", "shadow")
    assert rules["speak-answer"].mode == "off"
    assert rules["dream-on-promotions"].mode == "enforce"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cooldown": f"1{'0' * 400}d"}, "must be like 90s, 10m"),
        ({"limit": {"max": 1, "per": "0s"}}, "within no time"),
        ({"count": {"at_least": 2, "within": "0m"}}, "within no time"),
        ({"absent": {"signal": "Q_SPOKEN", "within": "0s"}}, "within no time"),
        ({"do": [{"emit": "Q_DREAM_TRIGGER", "facts": DREAM["facts"] | {"promotion_count": 10**20}}]}, "not what"),
        ({"choose": CHOICE | {"deadline": "2h"}}, "at most 3600 s"),
        ({"choose": CHOICE | {"question": "\U0001f9e0" * 3000}}, "more than 10000 bytes"),
        ({"signals": ["Q_PROMOTION_DETECTED"]}, "no contract describes Q_PROMOTION_DETECTED"),
        ({"signals": ["Q_HEARTBEAT"]}, "is live"),
        ({"signals": ["Q_POLICY_DECIDED"]}, "engine's own word"),
        ({"when": [{"a": "event.facts.promotion_cuont > 1"}]}, "there is no 'promotion_cuont'"),
        ({"when": [{"a": "event.facts.promotion_count > 'x'"}]}, "no matching overload"),
        ({"when": [{"a": "event.facts.oldest_promotion_age_hours > 1"}]}, "decimal point"),
        ({"when": [{"a": "event.facts.promotion_count"}]}, "a condition is true or false"),
        ({"when": [{"a": "event.facts.promotion_count >"}]}, "Syntax error"),
        ({"when": [{"a": "1 == 1" + " && true" * 400}]}, "longer than"),
        ({"key": "event.facts.path"}, "there is no 'path'"),
        ({"hold": "8d"}, "7 days"),
        ({"hold": "soon"}, "soon"),
        ({"hold": "1s", "absent": {"signal": "Q_SPOKEN", "within": "1s"}}, "cannot both"),
        ({"absent": {"signal": "Q_SPOKEN", "within": "1s", "where": "other.facts.txt == ''"}}, "there is no 'txt'"),
        ({"do": [DREAM | {"emit": "Q_DREAM_FAILED"}]}, "may not emit Q_DREAM_FAILED"),
        ({"do": [{"emit": "Q_DREAM_TRIGGER"}]}, "needs the facts reason, topic, promotion_count"),
        ({"do": [DREAM | {"facts": DREAM["facts"] | {"why": 1}}]}, "has no fact why"),
        ({"do": [DREAM | {"facts": DREAM["facts"] | {"promotion_count": -1}}]}, "is not what Q_DREAM_TRIGGER wants"),
        ({"do": [DREAM | {"facts": DREAM["facts"] | {"promotion_count": "=event.id"}}]}, "is a string"),
        ({"do": None}, "do"),
        ({"choose": {"question": "?", "actions": [{"name": "a", "about": "b", "do": [DREAM]}]}}, "either"),
        ({"examples": [{"signal": "Q_PROMOTIONS_DETECTED", "facts": {}, "outcome": "fires"}]}, "facts"),
    ],
)
def test_what_cannot_work_is_refused_with_its_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    """A slip would show when the rule is needed, at night."""
    with pytest.raises(ConfigError) as refused:
        load(written(tmp_path, GOOD, GOOD | {"id": "two"} | change), WORLD)
    assert said in refused.value.message
    line = int(refused.value.fields["line"])
    text = (tmp_path / "config" / "policies.yaml").read_text().split("\n")
    assert line > next(nth for nth, row in enumerate(text) if "id: two" in row)


def test_every_rule_with_a_fault_is_named_at_once(tmp_path: Path) -> None:
    """A person would mend one rule, try again, and be told of the next."""
    lacks = GOOD | {"do": [{"emit": "Q_CURIOSITY_INVESTIGATE", "facts": {"question": "Why?"}}]}
    with pytest.raises(ConfigError) as refused:
        load(written(tmp_path, lacks, GOOD | {"id": "good"}, GOOD | {"id": "two", "signals": ["Q_NONE"]}), WORLD)
    first, second = refused.value.fields["problems"]
    assert "rule one, do.0.facts: Q_CURIOSITY_INVESTIGATE needs the facts question_id, priority, evidence" in first
    assert "rule two, signals.0: no contract describes Q_NONE" in second
    assert f"{first}\n  {second}" in refused.value.message


def test_a_rule_on_a_contract_that_came_later_asks_for_a_restart(tmp_path: Path) -> None:
    """A running engine would say that a contract is not there, and the check that all is well."""
    contract = json.loads(json.dumps(CATALOGUE["Q_SPEAK"].schema).replace("Q_SPEAK", "Q_LATER"))
    paths = Paths.resolve(tmp_path)
    folder = tmp_path / "config" / "contracts.d"
    folder.mkdir(parents=True)
    (folder / "Q_LATER.json").write_text(json.dumps(contract))
    written(tmp_path, GOOD | {"signals": ["Q_LATER"]})
    rulebook(paths)
    with pytest.raises(ConfigError, match=r"no contract describes Q_LATER.* restart policy_engine"):
        rulebook(paths, catalogue=CATALOGUE)


def test_optional_facts_are_asked_for_before_they_are_read(tmp_path: Path) -> None:
    """A rule would fail on every signal that leaves the fact out."""
    failed = {"id": "one", "signals": ["Q_INVESTIGATION_FAILED"], "cooldown": "1h"}
    asked = AGAIN | {"facts": AGAIN["facts"] | {"question": "=event.facts.question"}}
    with pytest.raises(ConfigError, match=r"has\(event.facts.question\)"):
        judged(tmp_path, failed | {"do": [asked]})
    judged(tmp_path, failed | {"when": [{"known": "has(event.facts.question)"}], "do": [asked]})


@pytest.mark.parametrize(("brake", "refused"), [({}, True), ({"cooldown": "1h"}, False), ({"limit": "x"}, False)])
def test_a_circle_without_a_brake_is_refused(tmp_path: Path, brake: dict[str, Any], refused: bool) -> None:
    """A failure that asks again at once fails again at once, for ever; the circle goes through another daemon."""
    brake = {"limit": {"max": 3, "per": "1h"}} if "limit" in brake else brake
    rule = {"id": "again", "signals": ["Q_INVESTIGATION_FAILED"], "cooldown": "0s", "do": [AGAIN]} | brake
    if not refused:
        assert judged(tmp_path, rule)
        return
    with pytest.raises(ConfigError, match="Q_CURIOSITY_INVESTIGATE → Q_INVESTIGATION_FAILED"):
        judged(tmp_path, rule)


def test_a_rule_that_stands_twice_and_a_mode_for_none_are_refused(tmp_path: Path) -> None:
    """One of two rules of the same name would silently not hold."""
    with pytest.raises(ConfigError, match="stands twice"):
        judged(tmp_path, GOOD, GOOD)
    with pytest.raises(ConfigError, match="there is no rule gone"):
        judged(tmp_path, GOOD, modes={"gone": "off"})


IDS = "event.facts.promotion_ids"


@pytest.mark.parametrize(
    "text",
    [
        f"{IDS}.all(a, size(a + a) > 0)",
        f"{IDS}.exists(a, a.matches('x+'))",
        f"{IDS}.map(a, [a] + {IDS}).size() > 1",
        f"{IDS}.map(a, {{'x': a + a}}).size() > 1",
    ],
)
def test_a_loop_that_makes_large_things_is_refused(text: str) -> None:
    """Ten thousand long texts would fill the memory before the steps are used up."""
    with pytest.raises(ExpressionError, match="run away"):
        ENVIRONMENT.compile(text, ["Q_PROMOTIONS_DETECTED"])


PATH = "event.facts.promotions_path"


@pytest.mark.parametrize(
    "text",
    [
        f"{PATH}.replace('a', {PATH}).size() > 0",
        f"{PATH}.replace('', 'abcdefgh').replace('', 'abcdefgh').size() > 0",
        f"{PATH}.split('').join({PATH}).size() > 0",
        f"[{'strings.quote(' * 7}{PATH}{')' * 7}].size() > 0",
        f"{{'x': '{'abcde' * 20}'.replace('a', '{'b' * 65}')}}.size() > 0",
    ],
)
def test_what_makes_a_text_large_is_refused(text: str) -> None:
    """Two replacements make terabytes of one path; the engine would be killed five times over it."""
    with pytest.raises(ExpressionError, match="64 times as long"):
        ENVIRONMENT.compile(text, ["Q_PROMOTIONS_DETECTED"])
    ENVIRONMENT.compile(
        f"{PATH}.replace('/', ' / ').replace('_', '-') == '%s'.format([{PATH}])", ["Q_PROMOTIONS_DETECTED"]
    )


@pytest.mark.parametrize(
    ("text", "count", "length", "holds"),
    [
        (f"{IDS}.map(a, a).size() > 1", 501, 1, False),
        (f"{IDS}.filter(a, {PATH}.contains(a)).size() > 1", 500, 4096, True),
        (f"{IDS}.all(a, {PATH}.contains(a))", 2, 4097, False),
        (f"{IDS}.exists(a, {PATH}.lowerAscii() != a)", 2, 4097, False),
        (f"{IDS}.all(a, a != '') && {PATH}.contains('x')", 501, 4097, True),
    ],
)
def test_a_loop_that_makes_lists_or_reads_texts_takes_no_long_ones(
    text: str, count: int, length: int, holds: bool
) -> None:
    """A list of some thousand, which anybody may send, would take gigabytes, or half a minute of the engine."""
    facts = {"promotion_ids": ["x"] * count, "promotions_path": "x" * length}
    loop = ENVIRONMENT.compile(text, ["Q_PROMOTIONS_DETECTED"])
    if holds:
        assert loop.value({"event": {"facts": facts}}) is True
        return
    with pytest.raises(ExpressionError, match="its loop would take too much"):
        loop.value({"event": {"facts": facts}})


def test_a_bomb_ends_after_its_steps() -> None:
    """One expression would hold the engine for ever."""
    text = f"{IDS}.all(a, {IDS}.all(b, {IDS}.all(c, {IDS}.all(d, a != '' || b != c || d != ''))))"
    bomb = ENVIRONMENT.compile(text, ["Q_PROMOTIONS_DETECTED"])
    with pytest.raises(ExpressionError, match="10,000 steps"):
        bomb.value({"event": {"facts": {"promotion_ids": ["x"] * 256}}})
    assert bomb.value({"event": {"facts": {"promotion_ids": ["x"] * 5}}}) is True


def test_a_whole_number_where_the_contract_says_number_can_be_counted_with() -> None:
    """JSON writes 5 for 5.0; a condition would fail on round values only."""
    envelope = {"signal": "Q_HEALTH_CLEARED", "id": "x", "facts": {"lasted_s": 5}}
    text = "has(event.facts.lasted_s) && event.facts.lasted_s + 0.5 > 5.0"
    longer = ENVIRONMENT.compile(text, ["Q_HEALTH_CLEARED"])
    assert longer.value({"event": ENVIRONMENT.scope(envelope)}) is True


def test_every_contract_can_be_written_rules_about() -> None:
    """A contract whose shape CEL cannot take would stop the engine at its start."""
    for name, contract in CATALOGUE.items():
        for facts in contract.examples:
            scope = {"event": ENVIRONMENT.scope({"signal": name, "id": "x", "facts": facts})}
            for fact in contract.schema.get("required", ()):
                ENVIRONMENT.compile(f"event.facts.{fact}", [name]).value(scope)


def _odd_contract(home: Path) -> None:
    """A contract of a person's, with all the names that JSON allows and a protobuf message does not."""
    text = {"type": "string", "description": "d"}
    inner = {"type": "object", "description": "d", "additionalProperties": False, "properties": {"b": {**text}}}
    outer = {**inner, "properties": {"b": {**inner, "properties": {"c": {**text}}}}}
    names = ("my-fact", "9lives", "a.b", "", "schlüssel", "a b", "class", "in", "_", "aB", "a_b_c")
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Q_ODD_THING",
        "description": "d",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **{name: {**text} for name in names},
            "a": outer,
            "a_b": inner,
            "pair": {"type": "array", "description": "d", "prefixItems": [{"type": "string"}], "items": False},
            "referred": {"$ref": "#/$defs/short", "description": "d"},
        },
        "$defs": {"short": {"type": "string", "maxLength": 3}},
        "examples": [{}],
        "x-ligand": {
            "kind": "intent",
            "version": 1,
            "unconsumed": "d",
            "counter_examples": [{"facts": {"x": 1}, "why": "d"}],
        },
    }
    for folder, name, found in (
        ("contracts.d", "Q_ODD_THING.json", document),
        ("daemons.d", "policy_engine.yaml", {"overlay": "policy_engine", "emits": ["Q_ODD_THING"]}),
    ):
        (home / "config" / folder).mkdir(parents=True)
        (home / "config" / folder / name).write_text(json.dumps(found))


def test_no_contract_of_a_persons_keeps_the_engine_from_its_rules(tmp_path: Path) -> None:
    """One fact called `my-fact` in somebody's contract would end every rule of everybody in a traceback."""
    _odd_contract(tmp_path)
    odd: dict[str, Any] = {"emit": "Q_ODD_THING", "facts": {"my-fact": "x", "pair": ["x"], "referred": "abc"}}
    heard: dict[str, Any] = {"signals": ["Q_ODD_THING"], "when": [{"a": "has(event.facts.a) && event.facts.aB == 'x'"}]}
    with pytest.raises(ConfigError, match="not every Q_ODD_THING has"):
        judged(tmp_path, GOOD | heard)
    heard["when"][0]["a"] = "has(event.facts.aB) && event.facts.aB == 'x'"
    book = judged(tmp_path, GOOD | heard, GOOD | {"id": "two", "do": [odd], "cooldown": "1h"})
    event = {"signal": "Q_ODD_THING", "id": "x", "facts": {"aB": "x", "pair": ["x"], "my-fact": "y"}}
    (decision,) = book.engine.on_event(event, 1.0, Memory({}))
    assert decision.outcome == "would_fire"
    odd["facts"]["referred"] = "longer"
    with pytest.raises(ConfigError, match="'longer' is not what Q_ODD_THING wants of referred"):
        judged(tmp_path, GOOD | {"do": [odd]})


def test_rules_that_are_a_pipe_or_a_link_to_nothing_are_refused(tmp_path: Path) -> None:
    """The engine and `ligand policy test` would wait for ever for a writer, or a person's rules vanish unsaid."""
    file = tmp_path / "config" / "policies.yaml"
    file.parent.mkdir()
    os.mkfifo(file)
    with pytest.raises(ConfigError, match="it is a pipe"):
        rulebook(Paths.resolve(tmp_path))
    file.unlink()
    file.symlink_to("elsewhere.yaml")
    with pytest.raises(ConfigError, match="No such file"):
        rulebook(Paths.resolve(tmp_path))


def test_promoting_leaves_a_link_a_link(tmp_path: Path) -> None:
    """Rules that a person keeps elsewhere and links to would be promoted in a copy, and their own never again read."""
    judged(tmp_path, GOOD)
    file, own = tmp_path / "config" / "policies.yaml", tmp_path / "own.yaml"
    file.rename(own)
    file.symlink_to(own)
    set_mode(file, "one", "enforce", lambda candidate: rulebook(Paths.resolve(tmp_path), candidate))
    assert file.is_symlink()
    assert yaml.safe_load(own.read_text())["rules"][0]["mode"] == "enforce"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "version: 1\nmodes:\n  one: enforce\n"),
        ("version: 1\nrules:\n- id: one\n  about: x\n", "version: 1\nrules:\n- id: one\n  mode: enforce\n  about: x\n"),
        (
            "rules:\r\n  -   id: one # x\r\n      mode:  'off' #\r\n",
            "rules:\r\n  -   id: one # x\r\n      mode:  enforce #\r\n",
        ),
        ('{"rules": [{"id": "one", "about": "x"}]}', '{"rules": [{"id": "one", mode: enforce, "about": "x"}]}'),
        ("modes: {two: off}", "modes: {one: enforce, two: off}"),
        ("modes: {one: off}\nrules:\n- id: one\n", "modes: {one: enforce}\nrules:\n- id: one\n"),
        ("{version: 1, rules: []}", "{version: 1, modes: {one: enforce}, rules: []}"),
        ("rules:\n- mode: &usual off\n  id: one\n", None),
        ("modes: {}\n", None),
        ("version: 1\n...\n", None),
    ],
)
def test_promoting_changes_one_word_however_the_file_is_written(tmp_path: Path, before: str, after: str | None) -> None:
    """A person's file would come back in other lines and indents, or saying something else."""
    file = tmp_path / "policies.yaml"
    file.write_bytes(before.encode())
    if after is None:
        with pytest.raises(ConfigError, match="mode of one by hand"):
            set_mode(file, "one", "enforce", lambda path: path)
    else:
        set_mode(file, "one", "enforce", lambda path: path)
    assert file.read_bytes().decode() == (before if after is None else after)


def test_promoting_keeps_comments_and_changes_nothing_else(tmp_path: Path) -> None:
    """A person's notes would be lost, or a broken file written."""
    file = tmp_path / "policies.yaml"
    file.write_text("# mine\nversion: 1\nrules:\n  - id: one  # first\n    mode: shadow\n")
    set_mode(file, "one", "enforce", lambda path: path)
    assert file.read_text() == "# mine\nversion: 1\nrules:\n  - id: one  # first\n    mode: enforce\n"
    set_mode(file, "other", "shadow", lambda path: path)
    assert "modes:\n  other: shadow\n" in file.read_text()

    def refuse(path: Path) -> None:
        raise ConfigError("no")

    before = file.read_text()
    with pytest.raises(ConfigError):
        set_mode(file, "one", "off", refuse)
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]
