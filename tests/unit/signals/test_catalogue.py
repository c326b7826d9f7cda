"""The catalogue: what it loads, refuses and explains."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from signals.catalogue import Catalogue, Contract, judge
from signals.errors import ContractError, SchemaError, UnknownSignalError

CATALOGUE = Catalogue.load()
ASK = CATALOGUE["Q_CURIOSITY_INVESTIGATE"]
FACTS = ASK.examples[0]

Change = Callable[[dict[str, Any]], object]


def document(name: str = "Q_TEA_READY", version: int = 1, **properties: Any) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "description": "The tea is ready.",
        "type": "object",
        "properties": {"cups": {"description": "How many.", "type": "integer"}} | properties,
        "required": ["cups"],
        "additionalProperties": False,
        "examples": [{"cups": 2}],
        "x-ligand": {
            "kind": "advisory",
            "version": version,
            "counter_examples": [{"facts": {"cups": "two"}, "why": "cups are counted"}],
        },
    }


def write(folder: Path, contract: dict[str, Any], name: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / (name or f"{contract['title']}.json")
    file.write_text(json.dumps(contract))
    return file


def with_contract(contract: dict[str, Any], folder: Path) -> Contract:
    write(folder, contract)
    return Catalogue.load([folder])[contract["title"]]


class TestCheck:
    @pytest.mark.parametrize(
        ("change", "path", "expected"),
        [
            ({"priority": "urgent"}, "$.facts.priority", "one of critical, high, normal, low"),
            ({"priority": None}, "$.facts.priority", "one of critical, high, normal, low"),
            ({"evidence": "x"}, "$.facts.evidence", "a list"),
            ({"evidence": ["a", 1]}, "$.facts.evidence[1]", "text"),
            ({"evidence": ["a"] * 25}, "$.facts.evidence", "a list of at most 24 items"),
            ({"question": "x" * 16385}, "$.facts.question", "text of 1 to 16384 characters"),
            ({"modul_path": "json"}, "$.facts.modul_path", "perhaps module_path"),
            ({"question": b"x"}, "$.facts.question", "what JSON can hold"),
            ({"evidence": [{1: 2}]}, "$.facts.evidence[0]", "what JSON can hold"),
        ],
    )
    def test_says_where_and_what_was_expected(self, change: Any, path: str, expected: str) -> None:
        """A person would have to read the schema to mend their facts."""
        assert not ASK.is_valid(FACTS | change)
        with pytest.raises(SchemaError) as caught:
            ASK.check(FACTS | change)
        assert (caught.value.path, caught.value.expected) == (path, expected)
        assert ASK.name in caught.value.message
        assert path in caught.value.message

    def test_names_the_missing_field(self) -> None:
        """The place of a missing field is the field, not the object around it."""
        with pytest.raises(SchemaError, match=r"\$\.facts\.question: found nothing, expected text"):
            ASK.check({name: value for name, value in FACTS.items() if name != "question"})

    def test_says_which_of_several_fields_are_wanted(self) -> None:
        """Rules between fields would be explained as 'expected an object'."""
        ask = CATALOGUE["Q_MODEL_REQUEST"]
        one = {"messages": [{"role": "user", "content": "Hi"}]}
        neither = {name: value for name, value in ask.examples[0].items() if name != "prompt"}
        for facts in (ask.examples[0] | one, neither):
            with pytest.raises(SchemaError, match="expected exactly one of the fields messages, prompt"):
                ask.check(facts)
        done = CATALOGUE["Q_INVESTIGATION_COMPLETE"]
        nameless = {name: value for name, value in done.examples[0].items() if name != "module_name"}
        with pytest.raises(SchemaError, match=r"module_name: found nothing, .* as the other fields ask"):
            done.check(nameless)

    def test_shortens_what_was_found_and_counts_the_rest(self) -> None:
        """A log line would be as long as the signal that was refused."""
        with pytest.raises(SchemaError) as caught:
            ASK.check(FACTS | {"priority": "x" * 5000, "evidence": 7})
        assert len(caught.value.message) < 300
        assert "(and 1 more)" in caught.value.message

    def test_names_all_that_is_missing_and_ten_at_most(self) -> None:
        """A person would learn of one missing fact with each try."""
        beat = CATALOGUE["Q_HEARTBEAT"]
        with pytest.raises(SchemaError) as caught:
            beat.check({"daemon": "link"})
        assert all(f"$.facts.{name}" in caught.value.message for name in {*beat.schema["required"]} - {"daemon"})
        assert "more" not in caught.value.message
        with pytest.raises(SchemaError, match="confidence, and 2 further"):
            CATALOGUE["Q_INVESTIGATION_COMPLETE"].check({})

    @pytest.mark.parametrize("facts", [None, 7, [], "text"])
    def test_refuses_facts_that_are_no_object(self, facts: Any) -> None:
        """A signal whose facts are a list would reach handlers that take fields."""
        assert not ASK.is_valid(facts)
        with pytest.raises(SchemaError) as caught:
            ASK.check(facts)
        assert (caught.value.path, caught.value.expected) == ("$.facts", "an object")

    def test_refuses_facts_that_contain_themselves(self) -> None:
        """Such facts would hang or crash the checker of a long-lived daemon."""
        circle: dict[str, Any] = {}
        circle["evidence"] = [circle]
        assert not ASK.is_valid(circle)
        with pytest.raises(SchemaError):
            ASK.check(circle)

    def test_explains_what_only_the_compiled_check_refuses(self) -> None:
        """A hash read from a file with its line break would be refused without a reason."""
        contract = CATALOGUE["Q_INTENT_READY"]
        facts = contract.examples[0] | {"sha256": "0" * 64 + "\n"}
        assert not contract.is_valid(facts)
        with pytest.raises(SchemaError, match=r"\$\.facts\.sha256: .* text that matches"):
            contract.check(facts)

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), 2**70])
    def test_numbers_that_json_lacks_never_crash_the_check(self, number: float) -> None:
        """One bad number would end a daemon; the codec, not the contract, refuses it."""
        contract = CATALOGUE["Q_SPOKEN"]
        facts = contract.examples[0] | {"duration_s": number}
        if not contract.is_valid(facts):
            with pytest.raises(SchemaError):
                contract.check(facts)

    def test_does_not_show_a_secret(self, tmp_path: Path) -> None:
        """A password that does not fit would stand in the log and in the dead letters."""
        secret = {"description": "The key.", "type": "string", "maxLength": 4, "x-secret": True}
        users = {
            "description": "Who.",
            "type": "array",
            "items": {"type": "object", "properties": {"key": secret}, "additionalProperties": False},
        }
        contract = with_contract(document(key=secret, users=users), tmp_path)
        assert contract.secrets == (("key",), ("users", "*", "key"))
        for facts in ({"cups": 1, "key": "hunter2"}, {"cups": 1, "users": [{"key": "hunter2"}]}):
            with pytest.raises(SchemaError) as caught:
                contract.check(facts)
            assert "hunter2" not in caught.value.message
            assert "not shown" in caught.value.message


class TestPrune:
    def test_drops_unknown_fields_at_any_depth_and_says_which(self) -> None:
        """After a rollback the daemons would refuse every signal of the newer version."""
        contract = CATALOGUE["Q_INVESTIGATION_COMPLETE"]
        facts = contract.examples[0]
        newer = facts | {"cost": 3, "evidence": [facts["evidence"][0] | {"lines": {"from": 1}}]}
        assert contract.prune(newer) == (facts, ("$.facts.cost", "$.facts.evidence[0].lines"))
        assert "cost" in newer

    def test_leaves_fitting_facts_as_they_are(self) -> None:
        """Copies on the delivery path would cost every signal."""
        pruned, dropped = ASK.prune(FACTS)
        assert pruned is FACTS
        assert dropped == ()

    def test_does_not_hide_other_faults(self) -> None:
        """A signal that is wrong would be delivered because it was also newer."""
        pruned, dropped = ASK.prune(FACTS | {"priority": "urgent", "new": 1})
        assert dropped == ("$.facts.new",)
        assert not ASK.is_valid(pruned)


class TestLookUp:
    def test_unknown_signal_hints_at_the_near_name(self) -> None:
        """A typing error in a handler would take long to find."""
        with pytest.raises(UnknownSignalError, match=r"did you mean Q_SPEAK\?"):
            CATALOGUE["Q_SPEEK"]
        with pytest.raises(UnknownSignalError, match=r"contracts\.d"):
            CATALOGUE["Q_TEA_READY"]
        assert "Q_SPEEK" not in CATALOGUE
        assert CATALOGUE.get("Q_SPEEK") is None

    def test_contract_says_what_must_answer(self) -> None:
        """The bus would keep no deadline."""
        assert ASK.expects is not None
        assert ASK.expects.deadline_s(FACTS) == 600
        assert ASK.expects.timeout == "Q_INVESTIGATION_TIMEOUT"
        assert ASK.expects.copy == ("question_id",)
        model = CATALOGUE["Q_MODEL_REQUEST"]
        assert model.expects is not None
        assert model.expects.within_fact == "deadline_s"
        assert model.expects.deadline_s(model.examples[0]) == 60

    def test_later_major_version_stands_beside_the_first(self, tmp_path: Path) -> None:
        """A breaking change would make the journal of a month unreadable."""
        write(tmp_path, document())
        strong = {"description": "How strong.", "type": "integer"}
        write(tmp_path, document(version=2, strength=strong), "Q_TEA_READY.2.json")
        catalogue = Catalogue.load([tmp_path])
        assert catalogue["Q_TEA_READY"].version == 2
        assert catalogue.version("Q_TEA_READY", 1).version == 1
        assert not catalogue.version("Q_TEA_READY", 1).is_valid({"cups": 1, "strength": 2})
        with pytest.raises(UnknownSignalError, match="known: 1, 2"):
            catalogue.version("Q_TEA_READY", 3)
        with pytest.raises(UnknownSignalError, match="no contract"):
            catalogue.version("Q_TEA_COLD", 1)


class TestUsersContracts:
    def test_are_added_and_missing_folders_are_fine(self, tmp_path: Path) -> None:
        """A person could not add a signal of their own."""
        contract = with_contract(document(), tmp_path / "contracts.d")
        assert contract.is_valid({"cups": 3})
        assert len(Catalogue.load([tmp_path / "none"])) == len(CATALOGUE)

    def test_in_a_folder_that_is_none_are_not_passed_over(self, tmp_path: Path) -> None:
        """A person's contracts would be missing without a word."""
        file = tmp_path / "contracts.d"
        file.write_text("")
        with pytest.raises(ContractError, match=r"contracts\.d: cannot be read: Not a directory"):
            Catalogue.load([file])

    @pytest.mark.parametrize("name", ["Q_SPEAK.json", "Q_SPEAK.2.json"])
    def test_may_not_redefine_a_packaged_signal(self, tmp_path: Path, name: str) -> None:
        """Every daemon would mean something else by its signal."""
        file = write(tmp_path, document("Q_SPEAK", 2 if ".2." in name else 1), name)
        with pytest.raises(ContractError, match="give yours another name") as caught:
            Catalogue.load([tmp_path])
        assert str(file) in caught.value.message

    def test_may_not_be_defined_twice(self, tmp_path: Path) -> None:
        """Which of the two counts would depend on the order of folders."""
        for folder in ("a", "b"):
            write(tmp_path / folder, document())
        with pytest.raises(ContractError, match="defined twice"):
            Catalogue.load([tmp_path / "a", tmp_path / "b"])

    @pytest.mark.parametrize("text", ["{", "[]", "{}", "\xff", '{"x-ligand": []}'])
    def test_that_are_no_contract_are_named(self, tmp_path: Path, text: str) -> None:
        """A daemon would end with a traceback that does not say which file to mend."""
        file = tmp_path / "Q_TEA_READY.json"
        file.write_bytes(text.encode("latin-1"))
        with pytest.raises(ContractError) as caught:
            Catalogue.load([tmp_path])
        assert str(file) in caught.value.message


def own(**changes: Any) -> Change:
    return lambda contract: contract["x-ligand"].update(changes)


def top(**changes: Any) -> Change:
    return lambda contract: contract.update(changes)


def prop(part: Any) -> Change:
    return lambda contract: contract["properties"].update(extra=part)


def expects(**changes: Any) -> Change:
    plain = {"answers": ["Q_SPOKEN"], "within_s": 5, "timeout": "Q_TEA_TIMEOUT", "copy": ["cups"]}
    return own(expects=plain | changes)


BAD: list[tuple[Change, str]] = [
    (top(title="Tea_ready"), r"\$\.title: signals are named like"),
    (top(title="Q_TEA_COLD"), r"\$\.title: the file of this title and version is named Q_TEA_COLD\.json"),
    (own(version=2), r"is named Q_TEA_READY\.2\.json"),
    (top(description=""), r"\$\.description"),
    (top(**{"$schema": "http://json-schema.org/draft-07/schema#"}), r"\$\.\$schema"),
    (top(type="array"), r"\$\.type"),
    (top(required="cups"), r"\$\.required: is not valid JSON Schema 2020-12"),
    (top(additionalProperties=True), r"at \$: close it"),
    (top(examples=[]), r"\$\.examples: give at least one"),
    (top(examples=[{}]), r"\$\.examples\[0\]: does not fit"),
    (own(kind="opinion"), r"\$\.x-ligand\.kind: is one of intent"),
    (own(version=0), r"\$\.x-ligand\.version"),
    (own(delivery="fast"), r"\$\.x-ligand\.delivery"),
    (own(delivery="live", terminal=True), r"\$\.x-ligand\.delivery: a live signal is not kept"),
    (own(terminal="yes"), r"\$\.x-ligand\.terminal"),
    (own(unconsumed=""), r"\$\.x-ligand\.unconsumed"),
    (own(story_limit=True), r"\$\.x-ligand\.story_limit"),
    (own(colour="red"), r"\$\.x-ligand\.colour: is not known"),
    (own(counter_examples=[]), r"counter_examples: give facts"),
    (own(counter_examples=[{"facts": {}}]), r"counter_examples\[0\]: is an object of facts and why"),
    (own(counter_examples=[{"facts": {"cups": 1}, "why": "x"}]), r"counter_examples\[0\]: fits"),
    (prop({"type": "string"}), r"\$\.properties\.extra\.description"),
    (prop({"description": "Any."}), r"\$\.properties\.extra: give it a type"),
    (prop({"description": "Open.", "type": "object"}), r"\$\.properties\.extra: close it"),
    (prop({"description": "Any.", "type": "array"}), r"\$\.properties\.extra\.items: give it a type"),
    (
        prop({"description": "Bad.", "type": "string", "pattern": "("}),
        r"properties\.extra\.pattern: is not valid",
    ),
    (prop({"description": "Out.", "$ref": "https://example.org/x"}), r"extra\.\$ref: a contract may only"),
    (prop({"description": "Out.", "$ref": "file:///etc/passwd"}), r"extra\.\$ref: a contract may only"),
    (prop({"description": "Gone.", "$ref": "#/$defs/none"}), r"cannot be compiled"),
    (prop({"$id": "urn:x", "description": "Id.", "type": "string"}), r"extra\.\$id"),
    (expects(answers=[]), r"expects\.answers"),
    (expects(timeout=None), r"expects\.timeout"),
    (expects(within_s=0), r"expects\.within_s"),
    (expects(within_s={"fact": "minutes"}), r"minutes is not a required property"),
    (expects(queued_at_most_s=-1), r"expects\.queued_at_most_s"),
    (expects(copy=["pots"]), r"expects\.copy: pots is not among the properties"),
    (expects(retry=3), r"expects\.retry: is not known"),
    (expects(), r"expects: Q_TEA_TIMEOUT has no contract"),
    (expects(timeout="Q_INVESTIGATION_TIMEOUT"), r"Q_INVESTIGATION_TIMEOUT has no property cups"),
    (expects(timeout="Q_INVESTIGATION_TIMEOUT", copy=[]), r"also requires question_id"),
]


class TestJudge:
    def test_takes_a_sound_contract(self) -> None:
        """Nobody could add a contract."""
        judge(document(), "a test")
        judge(document(extra={"description": "Any.", "x-open": "free-form"}), Path("Q_TEA_READY.json"))

    @pytest.mark.parametrize(("change", "message"), BAD, ids=[message for _, message in BAD])
    def test_refuses(self, change: Change, message: str) -> None:
        """An unsound contract would be found only when a signal is lost by it."""
        contract = document()
        change(contract)
        known = {name: other.schema for name, other in CATALOGUE.items()}
        with pytest.raises(ContractError, match=message) as caught:
            judge(contract, Path("/etc/ligand/contracts.d/Q_TEA_READY.json"), known)
        assert caught.value.message.startswith("/etc/ligand/contracts.d/Q_TEA_READY.json: at $")

    def test_refuses_what_is_no_object(self) -> None:
        """A list in a contract file would end in a traceback."""
        with pytest.raises(ContractError, match="one JSON object"):
            judge([], "a test")

    def test_refuses_rules_on_which_the_validators_differ(self) -> None:
        """A signal would be refused without anybody being able to say why."""
        contract = document(kind={"description": "Its kind.", "type": "string", "pattern": "^[a-z]+$"})
        contract["examples"].append({"cups": 1, "kind": "green\n"})
        with pytest.raises(ContractError, match="validators differ"):
            judge(contract, "a test")


@pytest.fixture
def web() -> Iterator[tuple[str, list[str]]]:
    """A server that would give any schema, and the list of what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"type": "string"}')

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def contract_of(schema: dict[str, Any]) -> Contract:
    """A contract that was never judged."""
    return Contract(
        name="Q_TEA_READY",
        title="Q_TEA_READY",
        description="",
        kind="advisory",
        version=1,
        delivery="durable",
        terminal=False,
        expects=None,
        unconsumed=None,
        story_limit=1000,
        schema=schema,
        examples=(),
        counter_examples=(),
        secrets=(),
    )


class TestReferences:
    def test_nothing_is_fetched_from_the_web(self, web: tuple[str, list[str]], tmp_path: Path) -> None:
        """A contract could phone home, or change its meaning with a web page."""
        address, asked = web
        outside = {"description": "Outside.", "$ref": f"{address}/x"}
        write(tmp_path, document(extra=outside))
        with pytest.raises(ContractError, match="may only refer to itself"):
            Catalogue.load([tmp_path])
        for schema in (document(extra=outside), document() | {"$id": address, "$ref": "x"}):
            with pytest.raises(ContractError, match="cannot be compiled"):
                contract_of(schema).is_valid({"cups": 1, "extra": "x"})
        contract_of(document() | {"$schema": f"{address}/meta"}).is_valid({"cups": 1})
        assert asked == []

    def test_nothing_is_read_from_files(self, tmp_path: Path) -> None:
        """A contract could look into any file that the daemon may read."""
        target = tmp_path / "any.json"
        target.write_text('{"type": "string"}')
        outside = {"description": "Outside.", "$ref": target.as_uri()}
        with pytest.raises(ContractError, match="may only refer to itself"):
            with_contract(document(extra=outside), tmp_path / "contracts.d")
        with pytest.raises(ContractError, match="cannot be compiled"):
            contract_of(document(extra=outside)).is_valid({"cups": 1, "extra": "x"})

    def test_a_contract_may_refer_to_itself(self, tmp_path: Path) -> None:
        """Shared parts would have to be written twice."""
        contract = document(extra={"description": "A pot.", "$ref": "#/$defs/pot"})
        contract["$defs"] = {"pot": {"type": "string", "maxLength": 3}}
        loaded = with_contract(contract, tmp_path)
        assert loaded.is_valid({"cups": 1, "extra": "big"})
        assert not loaded.is_valid({"cups": 1, "extra": "small"})


class TestLaziness:
    def test_loading_imports_and_compiles_nothing_that_it_does_not_need(self) -> None:
        """Every daemon would start later and be larger for an explanation it may never give."""
        code = (
            "import sys; from signals.catalogue import Catalogue; c = Catalogue.load(); "
            "assert c['Q_SPEAK']._compiled is None; assert c['Q_SPEAK'].is_valid({'text': 'x'}); "
            "assert c['Q_SPEAK']._compiled is not None; assert c['Q_SPOKEN']._compiled is None; "
            "sys.exit('jsonschema' in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_a_contract_is_compiled_once(self) -> None:
        """Each check would cost a hundred times as much."""
        ASK.is_valid({})
        first = ASK._compiled
        ASK.is_valid(FACTS)
        assert ASK._compiled is first


@pytest.mark.parametrize("version", [[1], {"a": 1}, "1", None])
def test_a_users_contract_is_judged_before_anything_is_made_of_it(tmp_path: Path, version: Any) -> None:
    """A slip in one file of contracts.d must be named, not end every program of Ligand in a traceback."""
    contract = document()
    contract["x-ligand"]["version"] = version
    (tmp_path / "Q_TEA_READY.json").write_text(json.dumps(contract))
    with pytest.raises(ContractError, match=r"x-ligand\.version: is a whole number"):
        Catalogue.load([tmp_path])
