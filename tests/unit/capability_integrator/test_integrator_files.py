"""The registry's file: a person's text survives, no edit is lost, backups are kept."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from services.capability_integrator import files
from services.capability_integrator.document import Document

MINE = """\
---
# my machine
owner: 'ada'   # that is me

notes: |
  two
  lines
anchors: &base {a: 1}
uses: *base
capabilities:
  # the first
  zlib:
    enabled: true    # trusted
    my_own: [1, 2]
    capabilities:
      - compress  # fast
  abc.def: {enabled: false}
# the end
last: ~
"""


def entry_of(raw, key):
    """An entry that must be there."""
    entry = Document(raw).entry(key)
    assert entry is not None
    return entry


def test_a_persons_text_survives(hand, found, registry):
    """Comments, order, quotes, anchors and unknown keys are as they were; only the entry is new."""
    registry.write_text(MINE)
    hand(found())
    new = registry.read_text().splitlines()
    missing = [line for line in MINE.splitlines() if line not in new and line != "last: ~"]
    assert missing == []
    order = [new.index(line) for line in MINE.splitlines() if line in new]
    assert order == sorted(order)
    data = YAML(typ="safe").load(registry.read_text())
    old = YAML(typ="safe").load(MINE)
    del data["capabilities"]["json"]
    assert {key: data[key] for key in old} == old


ALIGNED = """\
version:   1          # aligned   by hand
capabilities:
  # the first
  zlib:   {enabled:  true,  path: ''}   # in one line
  abc.def:
    enabled:   false
    capabilities:
    - "as\\u0020written"
    - >-
      folded
      text

    # still of abc.def
  # of no entry in particular

# of what follows
notes:  [1,   2]
...
"""


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (ALIGNED, "  # of no entry in particular\n"),
        (ALIGNED.partition("\n\n# of what")[0], "  # of no entry in particular\n"),
        (MINE, "  abc.def: {enabled: false}\n"),
    ],
    ids=["middle", "end", "mine"],
)
def test_every_byte_of_a_person_stays_where_it_is(hand, found, registry, text, after):
    """A person's alignment, quotes and comments would be rewritten with each module that is found."""
    registry.write_text(text)
    hand(found())
    hand(found("email"), signal_id="s2")
    written = registry.read_text()
    begin, end = written.index("  json:\n"), written.index("evidence_sha256", written.index("  email:\n"))
    assert written[:begin] + written[written.find("\n", end) + 1 :] in (text, text + "\n")
    assert written[:begin].endswith(after)
    assert list(YAML(typ="safe").load(written)["capabilities"])[-2:] == ["json", "email"]


@pytest.mark.parametrize(
    "text",
    [
        "capabilities: {a: {enabled: true}}\n",
        "base: &b {enabled: true}\ncapabilities:\n  a:\n    <<: *b\n",
        "capabilities:\n  a: !mine\n    enabled: true\n",
        "capabilities:\n  a:\n    notes: |+\n      kept\n\n\n",
        "capabilities:\n  a:\n    notes: 'two\n lines'\n",
        "capabilities:\r\n  a:\r\n    enabled: true\r\n",
        "capabilities:\n  a:\n    enabled: true\n  ? b\n  : enabled: true\n",
        "deep: " + "[" * 60 + "]" * 60 + "\ncapabilities:\n  a: {}\n",
    ],
    ids=["flow", "merge", "tag", "keep", "outdented", "crlf", "question", "deep"],
)
def test_what_is_not_plain_is_registered_all_the_same(hand, found, registry, text):
    """An unusual way of writing YAML would lose an entry, or end in one that stands elsewhere."""
    registry.write_bytes(text.encode())
    assert hand(found()).signal == "Q_MODULE_INTEGRATED"
    for name in ("a", "b", "json") if "? b" in text else ("a", "json"):
        entry_of(registry.read_bytes(), name)


def test_a_text_that_nests_without_an_end_ends_nothing(hand, found, registry):
    """A crash in the parser would take the daemon with it, again at each delivery."""
    registry.write_text("capabilities: " + "[" * 50_000)
    assert hand(found()).facts["reason"] == "registry_invalid"


def test_a_registry_in_plain_yaml_is_not_read_by_the_slow_reader(hand, found, registry, monkeypatch):
    """Each module would cost a second of processor time once there are a few hundred."""
    hand(found())
    monkeypatch.setattr(Document, "_loaded", lambda self: pytest.fail("read slowly"))
    assert hand(found("email"), signal_id="s2").signal == "Q_MODULE_INTEGRATED"
    assert hand(found("email"), signal_id="s2").facts["enabled"] is False


@pytest.mark.parametrize("text", ["", "# only a comment\n", "# no newline", "\n\n", "capabilities:\n", "a: 1\n"])
def test_nearly_empty_files(hand, found, registry, text):
    """A file with nothing but comments keeps them."""
    registry.write_text(text)
    assert hand(found()).signal == "Q_MODULE_INTEGRATED"
    assert text.strip() in registry.read_text()
    assert Document(registry.read_bytes()).entry("json") is not None


@pytest.mark.parametrize(
    "text",
    [
        "capabilities:\n    a:\n        enabled: true\n        capabilities:\n        - x\n",
        "capabilities:\n  a:\n    capabilities:\n    - x\n",
        "capabilities:\n  a:\n    capabilities:\n      - x\n",
    ],
)
def test_indentation_is_kept(hand, found, registry, text):
    """A person's way of indenting is not rewritten, so that their diffs stay small."""
    registry.write_text(text)
    hand(found())
    assert registry.read_text().startswith(text)


def test_text_of_modules_cannot_break_the_file(hand, found, registry):
    """Docstrings of other people's modules are untrusted; they stay strings."""
    nasty = "a: b\n# c\n- d\n'\"{[&*!|>%@`\x00\u2028\ud7ff🦀 true null 2026-01-01"
    hand(found(summary=nasty, capabilities=[nasty[:100], "yes", "1", "~"]))
    entry = entry_of(registry.read_bytes(), "json")
    assert entry["summary"] == nasty
    assert list(entry["capabilities"]) == [nasty[:100], "yes", "1", "~"]
    assert list(YAML(typ="safe").load(registry.read_text())["capabilities"]) == ["json"]


@settings(max_examples=120, deadline=None)
@given(summary=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
@example("\x85")
@example("a\u2028b\r\n\x00")
def test_any_text_comes_back(summary):
    """Whatever a module says about itself is read back as it was."""
    entry = {"enabled": False, "summary": summary, "capabilities": [summary]}
    text = Document(b"").with_entry("a.b", entry)
    assert entry_of(text, "a.b")["summary"] == summary


def test_mode_is_kept(hand, found, registry):
    """A file that only its owner may read stays so."""
    registry.write_text("a: 1\n")
    registry.chmod(0o600)
    hand(found())
    assert stat.S_IMODE(registry.stat().st_mode) == 0o600


def test_backups_are_numbered_and_bounded(hand, found, registry):
    """Each change can be gone back; the oldest copies go."""
    texts = []
    for number in range(6):
        texts.append(registry.read_bytes() if registry.exists() else b"")
        hand(found(f"m{number}"), signal_id=f"s{number}")
    assert files.backups(registry) == [3, 4, 5]
    for number in (3, 4, 5):
        assert registry.with_name(f"capabilities.yaml.bak.{number}").read_bytes() == texts[number]
    names = {path.name for path in registry.parent.iterdir()}
    assert names == {"capabilities.yaml"} | {f"capabilities.yaml.bak.{n}" for n in (3, 4, 5)}


def test_edit_between_read_and_rename_survives(hand, found, registry, monkeypatch):
    """A person who saves at the very moment keeps their edit, and the module is registered too."""
    registry.write_text("mine: 1\n")
    real = files._written
    done: list[bool] = []

    def edited(path, data, ending="new"):
        fresh = real(path, data, ending)
        if not done:
            done.append(True)
            registry.write_text("mine: 2  # saved just now\n")
        return fresh

    monkeypatch.setattr(files, "_written", edited)
    assert hand(found()).signal == "Q_MODULE_INTEGRATED"
    assert "mine: 2  # saved just now" in registry.read_text()
    assert Document(registry.read_bytes()).entry("json")


@pytest.mark.parametrize("way", ["replace", "in_place"])
def test_edit_at_the_rename_survives(hand, found, registry, monkeypatch, way):
    """Even an editor that writes into the old file after the last comparison loses nothing."""
    registry.write_text("mine: 1\n")
    real = files._is_unchanged
    done: list[bool] = []

    def edited(path, backup, before):
        if way == "replace" and not done:
            done.append(True)
            other = registry.with_name("editor.tmp")
            other.write_text("mine: 3\n")
            os.rename(other, registry)
        same = real(path, backup, before)
        if way == "in_place" and not done:
            done.append(True)
            registry.write_text("mine: 3\n")
        return same

    monkeypatch.setattr(files, "_is_unchanged", edited)
    assert hand(found()).signal == "Q_MODULE_INTEGRATED"
    assert "mine: 3" in registry.read_text()
    assert Document(registry.read_bytes()).entry("json")


def test_file_that_appears_meanwhile(hand, found, registry, monkeypatch):
    """A registry that a person makes at the same moment is not replaced."""
    real = files._written
    done: list[bool] = []

    def edited(path, data, ending="new"):
        if not done:
            done.append(True)
            registry.write_text("mine: 1\n")
        return real(path, data, ending)

    monkeypatch.setattr(files, "_written", edited)
    hand(found())
    assert "mine: 1" in registry.read_text()


KILLED = """
import json, os, signal, sys
from pathlib import Path
from services.capability_integrator.registry import Integrator

folder, facts, where, nth = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], int(sys.argv[4])
real, calls = getattr(os, where), iter(range(1, 100))

def killing(*args, **kwargs):
    if next(calls) == nth:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)

setattr(os, where, killing)
config = {"registry": None, "min_confidence": 0.3, "keep_backups": 3, "roots": []}
Integrator.of(config, Path(folder)).integrate("s1", "2026-01-02T03:04:05.000006Z", facts)
"""


@pytest.mark.parametrize(
    ("where", "nth"),
    [("fchmod", 1), ("fsync", 1), ("link", 1), ("rename", 1), ("fsync", 2), ("unlink", 2), ("fsync", 9)],
)
def test_killed_at_any_step(hand, found, registry, where, nth):
    """Killed at any step, the file is the old or the new one, and the redelivery ends as if nothing was."""
    registry.write_text("mine: 1\n")
    arguments = [sys.executable, "-c", KILLED, str(registry.parent), json.dumps(found()), where, str(nth)]
    done = subprocess.run(arguments, check=False, timeout=60)
    assert done.returncode == (0 if nth == 9 else -signal.SIGKILL)
    assert registry.read_text() == "mine: 1\n" or Document(registry.read_bytes()).entry("json")
    assert hand(found()).signal == "Q_MODULE_INTEGRATED"
    hand(found("email"), signal_id="s2")
    assert files.backups(registry) == [1, 2]
    assert registry.with_name("capabilities.yaml.bak.1").read_text() == "mine: 1\n"
    names = ["capabilities.yaml", "capabilities.yaml.bak.1", "capabilities.yaml.bak.2"]
    assert sorted(path.name for path in registry.parent.iterdir()) == names


def test_without_hard_links(hand, found, registry, monkeypatch):
    """On a file system without hard links it works all the same."""

    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    hand(found())
    first = registry.read_bytes()
    assert hand(found("email"), signal_id="s2").signal == "Q_MODULE_INTEGRATED"
    assert registry.with_name("capabilities.yaml.bak.1").read_bytes() == first


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_random_bytes_never_crash(hand, found, registry, raw):
    """Whatever stands in the file, there is one outcome, and a file that is no registry stays."""
    registry.write_bytes(raw)
    outcome = hand(found())
    if outcome.signal == "Q_INTEGRATION_FAILED":
        assert registry.read_bytes() == raw
