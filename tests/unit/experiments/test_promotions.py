"""Promotions as files: whatever lies there, each is read or refused, and none keeps the others from being tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.experiments.promotions import PromotionError, identifier, read

GOOD = {"schema": 1, "id": "p", "created_at": "2026-01-01T00:00:00Z", "experiment": "near", "params": {"x": 0.3}}
HALF = "\ud800"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is not JSON"),
        ("[" * 60_000, "it is not JSON"),
        ("[1]", "is not of type"),
        ("{}", "is a required property"),
        (json.dumps(GOOD | {"params": {}}), "params: "),
        (json.dumps(GOOD | {"params": {"x": float("nan")}}), "params.x: "),
        (json.dumps(GOOD | {"params": {"x": 1e300}}), "params.x: "),
        (json.dumps(GOOD | {"params": {"x": "\0"}}), "params.x: "),
        (json.dumps(GOOD | {"params": {"x": [1]}}), "params.x: "),
        (json.dumps(GOOD | {"params": {"x": HALF}}), "it is not JSON"),
        (json.dumps(GOOD | {"experiment": HALF}), "it is not JSON"),
        (json.dumps(GOOD | {"experiment": "../near"}), "experiment: "),
        (json.dumps(GOOD | {"surplus": 1}), "surplus"),
        (json.dumps(GOOD | {"id": "q"}), "it calls itself 'q', its file 'p'"),
        (json.dumps(GOOD)[:-1] + ', "id": "p"}', "stands twice"),
        (" " * 70_000, "larger than 64 KiB"),
    ],
    ids=range(16),
)
def test_what_is_no_promotion_says_why(tmp_path: Path, text: str, said: str) -> None:
    """Any other error would end the cycle, and every later one, for as long as the file lies there."""
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(PromotionError) as refused:
        read(path)
    assert said in str(refused.value)
    str(refused.value).encode()


def test_a_promotion_is_read_and_has_the_name_of_its_file(tmp_path: Path) -> None:
    """What a program or a person proposes is tried as it was proposed."""
    path = tmp_path / "p.json"
    path.write_text(json.dumps(GOOD | {"rationale": "seen twice", "from": "me"}))
    found = read(path)
    assert (found.id, found.experiment, found.params) == ("p", "near", {"x": 0.3})
    assert len(identifier("n" * 300)) == len(identifier("\udcff" * 300)) == 128
    assert identifier("n" * 300) != identifier("n" * 299)
