"""The pictures in the documents are what the commands show."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.commands import run
from tests.support.constellation import ROOT

WORDS = {
    "top.svg": ("signal-tap top", "RATE (over 10.0 s)", "Q_MODULE_INTEGRATED", "CONSUMER", "LAST ERRORS", "no_model"),
    "trace.svg": ("signal-tap trace", "story ", "└── ▶ Q_INTENT_READY", "└── Q_MODULE_INTEGRATED", "+"),
    "status.svg": ("ligand status", "bus: pid", "intent_router", "ready", "LAG", "RESTARTS"),
}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.slow
def test_pictures_are_drawn_from_a_constellation_that_runs(tmp_path: Path) -> None:
    """`make pictures` after a change of the commands leaves no picture that is empty, private, or fetches fonts."""
    homes, drawn = tmp_path / "homes", tmp_path / "drawn"
    homes.mkdir()
    done = run("docs", None, "pictures", "--to", str(drawn), env={"TMPDIR": str(homes)})
    assert (done.code, done.err) == (0, "")
    assert sorted(file.name for file in drawn.iterdir()) == sorted(WORDS)
    for name, words in WORDS.items():
        check(drawn / name, words, str(tmp_path), socket.gethostname())
    assert list(homes.iterdir()) == []


def test_pictures_in_the_documents_are_whole_and_shown() -> None:
    """A reader of the README and of operations sees each of them."""
    readme, operations = (ROOT / "README.md").read_text(), (ROOT / "docs" / "operations.md").read_text()
    for name, words in WORDS.items():
        check(ROOT / "docs" / "pictures" / name, words)
        assert f"](docs/pictures/{name})" in readme or f"](pictures/{name})" in operations
    assert "](docs/pictures/top.svg)" in readme


def check(file: Path, words: tuple[str, ...], *private: str) -> None:
    """It parses, is coloured, holds the words, and nothing that it should not."""
    text = file.read_text()
    root = ElementTree.fromstring(text)
    lines: dict[str, str] = {}
    for each in root.iter(f"{SVG}text"):
        lines[each.get("y", "")] = lines.get(each.get("y", ""), "") + (each.text or "")
    shown = "\n".join(lines.values()).replace("\u00a0", " ")
    assert root.tag == f"{SVG}svg"
    assert [word for word in words if word not in shown] == []
    assert "\x1b" not in text
    assert len(set(re.findall(r"fill: (#\w+)", text))) >= 2
    strangers = re.findall(r"https?://(?!127\.0\.0\.1)[^\s\"]+", text.replace("http://www.w3.org/2000/svg", ""))
    assert strangers == ["https://www.textualize.io"]
    assert [word for word in (*private, "tmp") if re.search(rf"\b{re.escape(word)}\b", shown)] == []
