"""Secrets of every shape: a recording holds none, and is played and judged well all the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson

from tests.support.commands import tap
from tests.support.constellation import constellation

PIN = {"type": "integer", "minimum": 1000, "x-secret": True}
SHAPES: dict[str, Any] = {
    "pin": PIN,
    "level": {"enum": ["red", "green"], "x-secret": True},
    "box": {
        "type": "object",
        "properties": {"inside": {"type": "string", "description": "What."}},
        "additionalProperties": False,
        "x-secret": True,
    },
    "codes": {"type": "array", "items": PIN},
    "doors": {"type": "object", "x-open": "any door", "additionalProperties": {"type": "boolean", "x-secret": True}},
    "spare": {"anyOf": [{"type": "null"}, PIN]},
    "long": {"type": "string", "minLength": 20, "x-secret": True},
    "either": {"oneOf": [PIN, {"type": "string", "maxLength": 40, "x-secret": True}]},
    "same": {"$ref": "#/properties/long", "minLength": 24},
    "both": {"allOf": [{"type": "string", "x-secret": True}, {"minLength": 20, "not": {"const": "***"}}]},
    "pair": {"type": "array", "uniqueItems": True, "items": PIN},
    "who": {"type": "string"},
}
FACTS = {
    "pin": 777001,
    "level": "green",
    "box": {"inside": "777002"},
    "codes": [777003, 777004],
    "doors": {"front": True},
    "spare": 777005,
    "long": "777006" * 4,
    "either": "777007",
    "same": "777008" * 4,
    "both": "777009" * 4,
    "pair": [777000, 777100],
    "who": "me",
}
SECRET = re.compile(r"(?<![.0-9a-f])777[01]0\d|front.{0,9}true", re.IGNORECASE)
"""A secret of those above, and no part of an id or of a time."""
MASKED = {
    "pin": "***",
    "level": "***",
    "box": "***",
    "codes": ["***", "***"],
    "doors": {"front": "***"},
    "spare": "***",
    "long": "***",
    "either": "***",
    "same": "***",
    "both": "***",
    "pair": ["***", "***"],
    "who": "me",
}


def test_secrets_of_every_shape_are_masked_played_and_valid(tmp_path: Path) -> None:
    """A secret number would be given away with a recording, or the recording could not be looked at again."""
    recording, kept = tmp_path / "recording", tmp_path / "again"
    with constellation(tmp_path / "home") as home:
        home.contract("Q_VAULT_OPENED", SHAPES, example=FACTS)
        home.bus()
        with home.emitter() as emitter:
            opened = emitter.signal("Q_VAULT_OPENED", FACTS)
            emitter.emit(opened)
        assert tap(home.home, "record", "-T", str(recording)).code == 0
        assert len(SECRET.findall(orjson.dumps(FACTS).decode())) == 12
        for shown in (recording.read_text(), tap(home.home, "show").text, tap(home.home, "trace", opened.id).text):
            assert SECRET.findall(shown) == []
        assert tap(home.home, "validate", str(recording)).code == 0
        played = tap(home.home, "play", str(recording), "--to", str(kept), "-o", "json")
        assert played.code == 0, played.err
        assert [each["facts"] for each in played.objects if each["id"] == opened.id] == [MASKED]
        again = tap(kept, "show", "Q_VAULT_OPENED", "-o", "json").objects
        assert [(each["id"], each["facts"]) for each in again] == [(opened.id, MASKED)]
        (line,) = [line for line in recording.read_bytes().splitlines() if b"Q_VAULT_OPENED" in line]
        assert tap(home.home, "validate", "-", given=line).code == 0
        spoiled = orjson.dumps(orjson.loads(line) | {"facts": {**MASKED, "who": 7}})
        assert tap(home.home, "validate", "-", given=spoiled).code == 1
        assert tap(home.home, "validate", "--signal", "Q_VAULT_OPENED", "-", given=orjson.dumps(MASKED)).code == 1
        wrong = tap(home.home, "play", "-", given=spoiled)
        assert (wrong.code, "$.facts.who: found 7, expected text" in wrong.err) == (1, True)
        live = tap(home.home, "play", "--live", "-", given=line)
        assert (live.code, "1 left out: only intents, advisories and sensors without masked" in live.err) == (1, True)
