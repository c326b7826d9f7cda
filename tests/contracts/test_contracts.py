"""Every packaged contract is sound, and stays what it was in past releases."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from signals.catalogue import PACKAGED, Catalogue, Contract, judge
from signals.errors import ContractError
from tools.contract_evolution import narrowings
from tools.snapshot_contracts import snapshot

PAST = Path(__file__).parent / "past"
CATALOGUE = Catalogue.load()
CONTRACTS = [pytest.param(c, id=f"{c.name}.{c.version}") for c in CATALOGUE.versions.values()]
SNAPSHOTS = sorted(PAST.glob("*/Q_*.json"))
ENVELOPE_ROOM = 60 * 1024
# A conversation or an answer has no natural bound below the envelope's; the bus refuses what is larger.
BOUNDED_BY_THE_BUS = {"Q_MODEL_REQUEST", "Q_MODEL_RESPONSE"}


def file_of(contract: Contract) -> Path:
    later = "" if contract.version == 1 else f".{contract.version}"
    return PACKAGED / f"{contract.name}{later}.json"


@pytest.mark.parametrize("contract", CONTRACTS)
class TestEachContract:
    def test_is_sound(self, contract: Contract) -> None:
        """An unsound contract lets through what handlers cannot read."""
        known = {name: other.schema for name, other in CATALOGUE.items()}
        judge(contract.schema, file_of(contract), known)

    def test_examples_fit_by_both_validators(self, contract: Contract) -> None:
        """A person who copies an example would be refused."""
        slow = Draft202012Validator(contract.schema)
        assert len(contract.examples) >= 2
        for facts in contract.examples:
            assert contract.is_valid(facts)
            assert slow.is_valid(facts)
            contract.check(facts)

    def test_counter_examples_are_refused_by_both_validators(self, contract: Contract) -> None:
        """Facts known to be wrong would reach a handler."""
        slow = Draft202012Validator(contract.schema)
        assert len(contract.counter_examples) >= 2
        for sample in contract.counter_examples:
            assert not contract.is_valid(sample.facts), sample.why
            assert not slow.is_valid(sample.facts), sample.why

    def test_counter_examples_are_wrong_in_one_place(self, contract: Contract) -> None:
        """A sample that is wrong in two places shows nothing about either of them."""
        for sample in contract.counter_examples:
            errors = Draft202012Validator(contract.schema).iter_errors(sample.facts)
            places = {tuple(error.absolute_path) for error in errors}
            assert len(places) == 1, (sample.why, places)

    def test_largest_facts_fit_an_envelope(self, contract: Contract) -> None:
        """Facts that the contract allows would be refused as oversize."""
        if contract.name not in BOUNDED_BY_THE_BUS:
            assert largest(contract.schema) <= ENVELOPE_ROOM

    def test_says_all_the_bus_must_know(self, contract: Contract) -> None:
        """The bus would guess how to deliver, or a person would miss why nobody hears a signal."""
        assert contract.title == contract.name
        assert contract.description.endswith(".")
        assert contract.kind != "error" or contract.terminal or contract.unconsumed
        if contract.delivery == "live":
            assert contract.unconsumed


def largest(schema: dict[str, Any]) -> int:
    """Bytes of the largest ASCII facts; infinite growth is an error in the contract."""
    if "enum" in schema:
        return max(len(json.dumps(value)) for value in schema["enum"])
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return max(_largest_of(kind, schema) for kind in types)


def _largest_of(kind: str, schema: dict[str, Any]) -> int:
    if kind == "string":
        return schema["maxLength"] + 2 if "maxLength" in schema else 66  # a fixed pattern: hash, id or time
    if kind == "array":
        return 2 + int(schema["maxItems"]) * (largest(schema["items"]) + 1)
    if kind == "object":
        fields = sum(len(n) + 4 + largest(s) for n, s in schema.get("properties", {}).items())
        more = schema.get("additionalProperties")
        if isinstance(more, dict):
            fields += schema["maxProperties"] * (schema["propertyNames"]["maxLength"] + 4 + largest(more))
        return 2 + fields
    return 24


def test_contracts_still_mean_what_they_meant() -> None:
    """Signals in the journal, and daemons of users, would break on an upgrade."""
    broken = {str(file): found for file in SNAPSHOTS if (found := still_means(file, PACKAGED))}
    assert broken == {}


def still_means(file: Path, contracts: Path) -> list[str]:
    """What in today's contracts breaks with one kept file."""
    now = contracts / file.name
    if not now.exists():
        return [f"{file.name}: removed"]
    old, new = json.loads(file.read_bytes()), json.loads(now.read_bytes())
    fits = Draft202012Validator(new).is_valid
    refused = [f"$.examples[{n}]: refused now" for n, facts in enumerate(old["examples"]) if not fits(facts)]
    return narrowings(old, new) + refused


class TestEvolution:
    """The checker itself: a checker that never fails guards nothing."""

    @staticmethod
    def changed(**properties: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        old = CATALOGUE["Q_CURIOSITY_INVESTIGATE"].schema
        new = copy.deepcopy(old)
        for name, change in properties.items():
            new["properties"][name] |= change
        return old, new

    def test_same_and_new_optional_field_pass(self) -> None:
        """Without this no contract could ever grow."""
        old, new = self.changed(question={"description": "other words", "maxLength": 20000})
        new["properties"]["budget_s"] = {"description": "Seconds to spend.", "type": "number"}
        assert narrowings(old, old) == []
        assert narrowings(old, new) == []

    @pytest.mark.parametrize(
        ("change", "place"),
        [
            ({"question": {"maxLength": 100}}, "$.properties.question.maxLength"),
            ({"question": {"minLength": 5}}, "$.properties.question.minLength"),
            ({"question": {"pattern": "^W"}}, "$.properties.question.pattern"),
            ({"question": {"type": "array"}}, "$.properties.question.type"),
            ({"question_id": {"enum": ["a"]}}, "$.properties.question_id.enum"),
            ({"priority": {"enum": ["critical", "high", "low"]}}, "$.properties.priority.enum"),
            ({"evidence": {"items": {"type": "string", "maxLength": 9}}}, "$.properties.evidence.items"),
            ({"evidence": {"uniqueItems": True}}, "$.properties.evidence.uniqueItems"),
        ],
    )
    def test_narrowing_is_found(self, change: dict[str, Any], place: str) -> None:
        """A tightened rule refuses signals that were valid when they were journaled."""
        found = narrowings(*self.changed(**change))
        assert found
        assert all(what.startswith(place) for what in found)

    def test_removed_and_newly_required_fields_are_found(self) -> None:
        """Readers of a removed field break, and so do emitters that do not know a required one."""
        old, new = self.changed()
        del new["properties"]["hypothesis"]
        new["required"].append("module_path")
        assert narrowings(old, new) == [
            "$.required: module_path was added",
            "$.properties.hypothesis: removed",
        ]

    def test_new_conditions_and_other_delivery_are_found(self) -> None:
        """A condition narrows without touching any property; a live signal is no longer kept."""
        old, new = self.changed()
        new["allOf"] = [{"required": ["hypothesis"]}]
        new["x-ligand"]["delivery"] = "live"
        assert narrowings(old, new) == [
            "$.x-ligand.delivery: changed from None to live",
            "$.allOf: changed",
        ]

    def test_snapshot_is_compared_with_examples_and_never_overwritten(self, tmp_path: Path) -> None:
        """A release's contracts that could be re-made would guard nothing."""
        now, past = tmp_path / "now", tmp_path / "past"
        now.mkdir()
        (now / "Q_SPEAK.json").write_bytes(file_of(CATALOGUE["Q_SPEAK"]).read_bytes())
        (kept,) = snapshot("0.1.0", now, past)
        assert still_means(kept, now) == []
        document = json.loads(kept.read_bytes())
        document["properties"]["text"]["maxLength"] = 30
        (now / "Q_SPEAK.json").write_text(json.dumps(document))
        found = still_means(kept, now)
        assert found[0].startswith("$.properties.text.maxLength")
        assert "$.examples[0]: refused now" in found
        (now / "Q_SPEAK.json").unlink()
        assert still_means(kept, now) == ["Q_SPEAK.json: removed"]
        with pytest.raises(ContractError, match="never changed"):
            snapshot("0.1.0", now, past)
        with pytest.raises(ContractError, match=r"give it as 1\.2\.3"):
            snapshot("next", now, past)
