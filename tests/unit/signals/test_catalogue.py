"""The catalogue: what it loads, refuses and explains."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from signals.catalogue import Catalogue
from signals.errors import ContractError, SchemaError, UnknownSignalError
from tests.unit.signals.contracts import ASK, CATALOGUE, FACTS, document, with_contract, write


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
