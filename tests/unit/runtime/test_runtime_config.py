"""A person's configuration is understood, or refused with the line to mend."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.config import changed_keys, load
from services.runtime.manifest import load_all
from services.runtime.yamlmarks import YamlError, parse
from signals.catalogue import Catalogue
from signals.errors import ConfigError, ContractError, ManifestError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "interval_s": {"type": "number", "minimum": 1, "default": 30},
        "enabled": {"type": "boolean", "default": True},
        "mode": {"enum": ["fast", "slow"], "default": "fast"},
        "quiet_from": {"type": "string", "default": "22:00"},
        "limits": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"files": {"type": "integer", "default": 5}, "bytes": {"type": "integer"}},
        },
        "roots": {
            "type": "array",
            "default": [],
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["path"],
                "properties": {"path": {"type": "string"}, "deep": {"type": "boolean", "default": False}},
            },
        },
    },
}


def read(tmp_path: Path, text: str | bytes, schema: dict[str, Any] = SCHEMA) -> dict[str, Any]:
    file = tmp_path / "investigator.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(file, schema, daemon="investigator")


def refused(tmp_path: Path, text: str | bytes, schema: dict[str, Any] = SCHEMA) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, schema)
    return caught.value


def test_a_missing_or_empty_file_means_defaults(tmp_path: Path) -> None:
    """A fresh machine has no configuration files and must start."""
    expected = {
        "interval_s": 30, "enabled": True, "mode": "fast", "quiet_from": "22:00",
        "limits": {"files": 5}, "roots": [], "log_level": "info",
    }  # fmt: skip
    assert load(None, SCHEMA, daemon="x") == expected
    assert load(tmp_path / "absent.yaml", SCHEMA, daemon="x") == expected
    assert read(tmp_path, "# nothing yet\n") == expected


def test_defaults_are_filled_inside_sections_and_list_items(tmp_path: Path) -> None:
    """A person who sets one key of a section keeps the defaults of the others."""
    found = read(tmp_path, "limits: {bytes: 9}\nroots: [{path: /a}]\n")
    assert found["limits"] == {"bytes": 9, "files": 5}
    assert found["roots"] == [{"path": "/a", "deep": False}]


def test_a_default_is_not_shared_between_two_loads() -> None:
    """A daemon that changes its config in memory must not change the manifest's defaults."""
    load(None, SCHEMA, daemon="x")["roots"].append("changed")
    assert load(None, SCHEMA, daemon="x")["roots"] == []


def test_an_optional_section_with_a_required_key_stays_away() -> None:
    """Otherwise a section nobody wrote would be refused as incomplete."""
    section = {
        "type": "object",
        "required": ["url"],
        "properties": {"url": {"type": "string"}, "tries": {"type": "integer", "default": 3}},
    }
    assert load(None, {"properties": {"model": section}}, daemon="x") == {"log_level": "info"}


def test_an_unknown_key_names_file_line_key_and_the_near_miss(tmp_path: Path) -> None:
    """A typing mistake is found at once instead of being ignored."""
    error = refused(tmp_path, "mode: slow\nlimits:\n  fiels: 3\n")
    assert (error.fields["line"], error.fields["key"]) == (3, "limits.fiels")
    assert f"{tmp_path}/investigator.yaml:3: limits.fiels: unknown key (did you mean 'files'?)" in str(error)
    assert "allowed: bytes, files" in str(error)


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("mode: fats\n", 1, "mode", "one of fast, slow, not the text 'fats' (did you mean 'fast'?)"),
        ("\ninterval_s: 0\n", 2, "interval_s", "must be at least 1, not 0"),
        ("enabled: yes\n", 1, "enabled", "write true or false"),
        ("enabled: 1\n", 1, "enabled", "must be true or false, not 1"),
        ("roots:\n  - path: /a\n  - deep: true\n", 3, "roots[1].path", "is missing"),
        ("roots:\n  - path: 7\n", 2, "roots[0].path", "must be text, not 7"),
        ("quiet_from: 2026\n", 1, "quiet_from", "must be text, not 2026"),
        ("- a\n", 1, "(the whole file)", "must be a mapping"),
        ("interval_s: .nan\n", 1, "interval_s", "must be a number"),
    ],
)
def test_a_wrong_value_says_where_and_what_is_allowed(
    tmp_path: Path, text: str, line: int, key: str, words: str
) -> None:
    """A person can mend the file from the message alone."""
    error = refused(tmp_path, text)
    assert (error.fields["line"], error.fields["key"]) == (line, key)
    assert words in str(error)


def test_what_a_missing_file_would_have_to_say_has_no_line(tmp_path: Path) -> None:
    """A person would look for the first line of a file that is not there."""
    needs = {"properties": {"folder": {"type": "string"}}, "required": ["folder"]}
    path = tmp_path / "keeper.yaml"
    with pytest.raises(ConfigError) as refused:
        load(path, needs, daemon="keeper")
    assert str(refused.value) == (
        f"keeper: {path}, which is not there: folder: is missing and has no default; give it text"
    )
    assert refused.value.fields["lines"] == [0]
    path.write_text("")
    with pytest.raises(ConfigError, match=r"keeper\.yaml:1: folder: is missing"):
        load(path, needs, daemon="keeper")


def test_all_problems_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    """One start shows every mistake, not one a start."""
    problems = refused(tmp_path, "mode: x\nenabled: 3\nnope: 1\n").fields["problems"]
    assert [one.split(":")[1] for one in problems] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("mode: slow\nmode: fast\n", 2, "stands twice, first on line 1"),
        ("limits: {files: 1, files: 2}\n", 1, "stands twice"),
        ("a: [1,\n", 2, ""),
        ("a: b: c\n", 1, ""),
        ("--- {}\n--- {}\n", 2, ""),
        ("1: x\n", 1, "a key must be text, not 1"),
        ("? [a]\n: x\n", 1, "a key must be text"),
        ("mode: !!python/object/apply:os.system ['true']\n", 1, "tag"),
        ("mode: !!binary aGk=\n", 1, "tag"),
        ("a: &a [*a]\n", 1, ""),
        ("x: " + "[" * 3000, 1, "deeper than 64"),
        ("\n".join(" " * n + "a:" for n in range(700)), 66, "deeper than 64"),
        ('mode: "\\ud800"\n', 1, ""),
        (b"mode: \xff\xfe\n", 1, ""),
        (b"mode: a\x00b\n", 1, ""),
        ("# " + "x" * 300_000, 1, "larger than"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_line(
    tmp_path: Path, text: str | bytes, line: int, words: str
) -> None:
    """Broken, ambiguous or executable YAML ends in a clear refusal, never in a crash."""
    error = refused(tmp_path, text)
    assert error.fields["line"] == line
    assert words in str(error)


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    """A few hundred bytes cannot fill the memory."""
    rows = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    rows += [f"{k}: &{k} [{','.join([f'*{p}'] * 9)}]" for p, k in zip("abcdefgh", "bcdefghi", strict=True)]
    assert "values" in str(refused(tmp_path, "\n".join(rows)))


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """A folder or a forbidden file in the config's place is not taken for defaults."""
    with pytest.raises(ConfigError, match=str(tmp_path)):
        load(tmp_path, SCHEMA, daemon="x")


def test_a_pipe_in_place_of_a_file_is_refused_at_once(tmp_path: Path) -> None:
    """A daemon, or `ligand config check`, would wait for ever for somebody to write into it."""
    os.mkfifo(tmp_path / "daemon.yaml")
    with pytest.raises(ConfigError, match=r"daemon\.yaml: it is a pipe"):
        load(tmp_path / "daemon.yaml", SCHEMA, daemon="daemon")
    with pytest.raises(ManifestError, match="it is a pipe"):
        load_all(tmp_path)
    os.mkfifo(tmp_path / "Q_MINE.json")
    with pytest.raises(ContractError, match="it is a pipe"):
        Catalogue.load([tmp_path])


def test_a_file_without_an_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    """A file of a terabyte, even one of holes, would take all memory before it was called too large."""
    file = tmp_path / "daemon.yaml"
    file.touch()
    os.truncate(file, 1 << 40)
    with pytest.raises(ConfigError, match="larger than 256 KiB"):
        load(file, SCHEMA, daemon="daemon")


def test_a_link_to_nothing_is_not_taken_for_defaults(tmp_path: Path) -> None:
    """Settings that a person keeps elsewhere and links to would silently stop to hold once that is not mounted."""
    (tmp_path / "daemon.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(ConfigError, match=r"daemon\.yaml: No such file"):
        load(tmp_path / "daemon.yaml", SCHEMA, daemon="daemon")


def test_yaml_1_2_texts_stay_texts() -> None:
    """`22:00` is a time of day, not 1320; `on` and `no` are words."""
    text = b"a: 22:00\nb: on\nc: 2026-01-01\nd: 017\ne: 0o17\nf: 1e3\ng: ~\nh: True\ni: 0x1f\nj: -4\n"
    assert parse(text).data == {
        "a": "22:00", "b": "on", "c": "2026-01-01", "d": "017", "e": 15, "f": 1000.0,
        "g": None, "h": True, "i": 31, "j": -4,
    }  # fmt: skip


def test_nothing_is_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in the file is what counts."""
    monkeypatch.setenv("SECRET", "leaked")
    assert read(tmp_path, "quiet_from: ${SECRET}\n")["quiet_from"] == "${SECRET}"


def test_a_schema_that_points_outside_is_refused(tmp_path: Path) -> None:
    """A manifest cannot make the daemon fetch something."""
    with pytest.raises(ManifestError):
        load(None, {"properties": {"a": {"$ref": "https://example.org/x.json"}}}, daemon="x")


def test_a_valid_file_does_not_import_the_slow_validator() -> None:
    """Starting a daemon stays quick as long as its configuration is right."""
    code = "import sys; from services.runtime.config import load; load(None, {}, daemon='x'); "
    code += "sys.exit('jsonschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_part_of_the_frame_does_not_load_all_of_it() -> None:
    """`ligand status` and the like start sooner without what a running daemon alone needs; that has it all."""
    code = "import sys; from services.runtime import config; assert 'asyncio' not in sys.modules, 'asyncio'; "
    code += "from services.runtime import Daemon, Reject, Unavailable; from services.runtime import turn; "
    code += "assert Reject is turn.Reject and Daemon.__module__ == 'services.runtime.daemon'"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(ImportError, match="Nonsense"):
        exec("from services.runtime import Nonsense")


def test_changed_keys_are_dotted_and_exact() -> None:
    """A reload tells which settings changed; true is not 1."""
    old = {"a": 1, "b": {"c": 1, "d": [1]}, "e": True}
    assert changed_keys(old, {"a": 1, "b": {"c": 2, "d": [1, 2]}, "e": 1, "f": 0}) == ["b.c", "b.d", "e", "f"]
    assert changed_keys(old, old) == []


TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not math.isnan(x)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_quoted_yaml_reads_back_as_it_was(value: dict[str, Any]) -> None:
    """Nothing a person writes is changed on the way in."""
    assert parse(json.dumps(value).encode()).data == value


@given(st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(raw: bytes) -> None:
    """No file content crashes a daemon at its start."""
    with contextlib.suppress(YamlError):
        parse(raw)


def test_the_loader_leaves_pyyaml_itself_alone() -> None:
    """Another library in the process still gets YAML 1.1."""
    assert yaml.safe_load("a: on") == {"a": True}
