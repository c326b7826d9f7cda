"""Statistics, pruning, export, backup and restore of a journal that is in use."""

from __future__ import annotations

import gzip
import json
import re
import threading
from pathlib import Path

import pytest

from signals.journal import Journal
from signals.paths import Paths
from tests.support.commands import ligand, tap, within
from tests.support.constellation import Constellation
from tools.ligand.backup import backup, verify

FAILING = Path(__file__).parents[2] / "support" / "failing.py"
ITEM = {"n": {"type": "integer"}, "pad": {"type": "string", "x-secret": True}}


@pytest.fixture
def items(own: Constellation) -> Constellation:
    """A bus with a daemon `link` that rejects some items."""
    for name in ("Q_ITEM_START", "Q_ITEM_DONE"):
        own.contract(name, ITEM, example={"n": 1, "pad": ""})
    own.manifest("link", consumes=["Q_ITEM_START"], emits=["Q_ITEM_DONE"])
    own.running[0].stop()
    own.bus()
    return own


def emit(home: Constellation, *pads: str) -> None:
    with home.emitter() as emitter:
        for n, pad in enumerate(pads):
            emitter.emit(emitter.signal("Q_ITEM_START", {"n": n, "pad": pad}))


def link(home: Constellation) -> None:
    home.script("link", FAILING, "link", "Q_ITEM_START", "Q_ITEM_DONE").ready()


def rows(paths: Paths) -> list[tuple[int, bytes]]:
    with Journal(paths.journal) as journal:
        return list(journal.walk())


def test_stats_with_and_without_a_bus(items: Constellation) -> None:
    """What a person looks at before they prune."""
    link(items)
    emit(items, "a", "bad", "b")
    items.wait_for("Q_ITEM_DONE", 2)
    (up,) = ligand(items.home, "journal", "stats", "-o", "json").objects
    assert (up["names"]["Q_ITEM_START"], up["dead_letters"]) == (3, {"rejected": 1})
    assert "1 rejected" in within("ligand", items.home, "journal", "stats", columns=80).text
    items.close()
    (down,) = ligand(items.home, "journal", "stats", "-o", "json").objects
    assert down["signals"] >= up["signals"]


def test_prune_keeps_what_a_consumer_needs(items: Constellation) -> None:
    """Pruning makes room; a daemon that has not run yet loses nothing by it."""
    emit(items, "a", "b")
    (first, _), *_ = [row for row in rows(items.paths) if b"Q_ITEM_START" in row[1]]
    would = ligand(items.home, "journal", "prune", "--keep-days", "0", "--dry-run")
    assert would.code == 0
    assert would.text.split()[0] == str(len(rows(items.paths)))
    done = ligand(items.home, "journal", "prune", "--keep-days", "0")
    assert done.code == 0, done.err
    gone = int(would.text.split()[0]) - 2
    assert re.match(rf"pruned {gone} signals; [\d.]+ (B|KiB) freed, [\d.]+ (KiB|MiB) in use\n", done.text)
    assert done.err.startswith("2 from before then stay: still needed by link (2).")
    assert rows(items.paths)[0][0] == first
    link(items)
    items.wait_for("Q_ITEM_DONE", 2)
    assert ligand(items.home, "journal", "prune", "--before", "-0s").code == 0
    assert items.signals("Q_ITEM_START") == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("prune",), 2, "--before TIME or --keep-days N"),
        (("prune", "--before", "yesternight"), 2, "no time"),
        (("prune", "--before", "2100-01-01T00:00:00Z"), 2, "future"),
        (("export", "/nonexistent/folder/file"), 2, "Choose another place"),
        (("backup", "/proc/nothing"), 2, "Choose another place"),
        (("restore", "/nonexistent", "-y"), 1, "Stop it first"),
        (("restore", "/nonexistent", "--check"), 2, "no backup"),
        (("restore", "/nonexistent"), 2, "no backup"),
    ],
)
def test_wrong_usage(alone: Constellation, arguments: tuple[str, ...], code: int, says: str) -> None:
    """Each says what to do instead."""
    done = ligand(alone.home, "journal", *arguments)
    assert done.code == code, done.err
    assert says in done.err
    assert "Traceback" not in done.err


def test_prune_needs_the_bus(own: Constellation) -> None:
    """Nobody but the bus writes the journal."""
    own.close()
    assert ligand(own.home, "journal", "prune", "--keep-days", "0").code == 3


def test_export_writes_whole_envelopes_and_no_secrets(items: Constellation, tmp_path: Path) -> None:
    """What leaves the machine holds every signal asked for, and nothing that a contract hides."""
    emit(items, "hunter2", "hunter3")
    out = ligand(items.home, "journal", "export", "-", "Q_ITEM_*")
    assert [line["facts"] for line in out.objects] == [{"n": 0, "pad": "***"}, {"n": 1, "pad": "***"}]
    packed = tmp_path / "out.jsonl.gz"
    done = ligand(items.home, "journal", "export", str(packed), "Q_ITEM_*")
    assert done.code == 0, done.err
    assert gzip.decompress(packed.read_bytes()) == out.out
    assert ligand(items.home, "journal", "export", str(packed)).code == 2
    assert ligand(items.home, "journal", "export", str(packed), "--force").code == 0
    assert ligand(items.home, "journal", "export", "-", "Q_NOTHING_SUCH").code == 1
    assert ligand(items.home, "journal", "export", "-", "-U", "-1d").code == 1


def test_a_backup_comes_back_as_it_was(items: Constellation, tmp_path: Path) -> None:
    """After a restore the journal holds what it held, dead letters can be replayed, and cursors go on from there."""
    link(items)
    emit(items, "a", "bad")
    items.wait_for("Q_ITEM_DONE")
    items.wait_for("Q_DEAD_LETTER_ADDED")
    items.running[-1].stop()
    emit(items, "waits")
    folder = tmp_path / "kept"
    done = ligand(items.home, "journal", "backup", str(folder), "-o", "json")
    assert done.code == 0, done.err
    kept = {seq: raw for seq, raw in rows(items.paths) if seq <= done.objects[0]["head"]}
    emit(items, "after the backup", "bad after")
    assert ligand(items.home, "journal", "backup", str(folder)).code == 2
    refused = ligand(items.home, "journal", "restore", str(folder), "--yes")
    assert refused.code == 1
    assert "Stop it first" in refused.err
    items.close()
    assert ligand(items.home, "journal", "restore", str(folder)).code == 2
    back = ligand(items.home, "journal", "restore", str(folder), "--yes")
    assert back.code == 0, back.err
    assert dict(rows(items.paths)) == kept
    assert [letter["reason"] for letter in items.dead()] == ["rejected"]
    aside = Path(back.lines[-1].removeprefix("what was there before: "))
    assert (aside / "journal.db").exists()
    items.bus()
    link(items)
    items.wait_for("Q_ITEM_DONE", 2)
    assert [signal.facts["pad"] for signal in items.signals("Q_ITEM_DONE")] == ["a", "waits"]
    assert tap(items.home, "dead", "replay", "1").code == 0


def test_a_backup_while_signals_come(items: Constellation, tmp_path: Path) -> None:
    """The copy is whole as of one instant, however busy the bus is meanwhile."""
    stop = threading.Event()

    def pour() -> None:
        with items.emitter() as emitter:
            while not stop.is_set():
                emitter.emit(*(emitter.signal("Q_ITEM_START", {"n": n, "pad": "x" * 500}) for n in range(50)))

    pouring = threading.Thread(target=pour)
    pouring.start()
    try:
        found = [backup(items.paths, tmp_path / "copy0")]
        while len(found) < 3 or found[-1].head == found[0].head:
            found.append(backup(items.paths, tmp_path / f"copy{len(found)}"))
    finally:
        stop.set()
        pouring.join()
    for one in found:
        assert verify(one.folder) == one
        with Journal(one.folder / "journal.db") as journal:
            assert [seq for seq, _ in journal.walk()] == list(range(1, one.head + 1))
    assert found[0].head < found[-1].head <= rows(items.paths)[-1][0]


def test_a_damaged_backup_is_refused_before_anything_is_touched(own: Constellation, tmp_path: Path) -> None:
    """A person would otherwise lose the journal that is there to one that cannot be read."""
    folder = tmp_path / "kept"
    assert ligand(own.home, "journal", "backup", str(folder)).code == 0
    assert ligand(own.home, "journal", "restore", str(folder), "--check").code == 0
    own.close()
    before = own.paths.journal.read_bytes()
    copy = folder / "journal.db"
    whole = copy.read_bytes()
    copy.write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
    done = ligand(own.home, "journal", "restore", str(folder), "--yes")
    assert done.code == 1
    assert "not what was backed up" in done.err
    assert own.paths.journal.read_bytes() == before
    about = json.loads((folder / "backup.json").read_bytes())
    (folder / "backup.json").write_text(json.dumps(about | {"sha256": {}}))
    assert "damaged" in ligand(own.home, "journal", "restore", str(folder), "--yes").err
    assert own.paths.journal.read_bytes() == before
