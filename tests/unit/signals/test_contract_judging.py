"""Contracts that are no contracts, and those that would reach beyond themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from signals.catalogue import Catalogue, Contract, judge
from signals.errors import ContractError
from tests.unit.signals.contracts import CATALOGUE, document, with_contract, write

Change = Callable[[dict[str, Any]], object]


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
