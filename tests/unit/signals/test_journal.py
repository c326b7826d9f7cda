"""Reading the journal without writing it. If this fails, people cannot look back, least of all when the bus is down."""

import subprocess
import sys
import tempfile
from pathlib import Path

import orjson
import pytest

from services.bus.records import Admitted
from services.bus.store import Store
from signals.catalogue import Catalogue
from signals.errors import ConfigError, LigandError
from signals.ids import uuid7
from signals.journal import Journal
from tests.support.required import root

NAMES = ("Q_USER_VOICE", "Q_SPEAK")


def journaled(store: Store, count: int) -> list[str]:
    """`count` signals in stories of two; returns the ids."""
    catalogue = Catalogue.load()
    ids: list[str] = []
    for seq in range(1, count + 1):
        signal_id, root = uuid7(), seq % 2 == 1
        correlation = signal_id if root else ids[-1]
        name = NAMES[not root]
        envelope: dict[str, object] = {
            "seq": seq,
            "signal": name,
            "id": signal_id,
            "correlation_id": correlation,
            "facts": {},
        }
        store.insert(
            Admitted(
                name=name,
                id=signal_id,
                source="test",
                contract=catalogue[name],
                facts={},
                correlation_id=correlation,
                causation_id=None if root else correlation,
                hops=0 if root else 1,
                taint=(),
                digest=b"",
                received_us=seq * 1_000_000,
                seq=seq,
                raw=orjson.dumps(envelope),
            )
        )
        ids.append(signal_id)
    store.commit()
    return ids


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


def test_pages_names_and_stories_are_found(path):
    """Every way to choose gives just what was journaled, in order."""
    store = Store(path)
    ids = journaled(store, 20)
    with Journal(path) as journal:
        assert [seq for seq, _ in journal.page(0, 5)] == [1, 2, 3, 4, 5]
        assert [seq for seq, _ in journal.page(0, 3, ["Q_SPEAK"])] == [2, 4, 6]
        assert [seq for seq, _ in journal.page_before(21, 2)] == [20, 19]
        assert [seq for seq, _ in journal.walk(0, None, 7)] == list(range(1, 21))
        assert len(journal.story(ids[0])) == 2
        assert orjson.loads(journal.get(3)[0])["id"] == ids[2] == orjson.loads(journal.get(ids[2])[0])["id"]
        assert ids[4] in journal.with_prefix(ids[4][:20], 100)
        assert journal.names() == {"Q_USER_VOICE": 10, "Q_SPEAK": 10}
        assert (journal.first(), journal.head()) == (1, 20)
    store.close()


@pytest.mark.parametrize(("at_s", "seq"), [(0, 1), (1, 1), (1.5, 2), (20, 20), (21, 21)])
def test_a_time_leads_to_its_place(path, at_s, seq):
    """`--since` begins at the first signal received then, also where some were pruned."""
    store = Store(path)
    journaled(store, 20)
    with Journal(path) as journal:
        assert journal.seq_at(int(at_s * 1e6)) == seq
    store.close()


def test_a_reader_never_sees_what_is_not_committed_and_holds_nobody_up(path):
    """What a person sees is on disk; a reader left open does not block the bus."""
    store = Store(path)
    journaled(store, 2)
    with Journal(path) as journal:
        walk = journal.walk(0, None, 1)
        next(walk)
        store.put_meta("key", 1)
        assert journal.head() == 2
        store.commit()
        store.close()
        assert [seq for seq, _ in walk] == [2]


AS_NOBODY = """
import os, sys
from pathlib import Path
from signals.checksums import connect
from signals.journal import Journal
connect(Path(sys.argv[1])).close()  # what is loaded is loaded while it can be read
os.setresuid(65534, 65534, 65534)
print(Journal(Path(sys.argv[1])).head())
"""


def test_a_reader_without_write_permission_works_after_the_bus_has_stopped():
    """People who may only read the journal can do so with the bus down."""
    root("becoming another user")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        path = Path(folder) / "journal.db"
        store = Store(path)
        journaled(store, 4)
        store.close()
        Path(folder).chmod(0o755)
        for file in Path(folder).iterdir():
            file.chmod(0o644)
        command = [sys.executable, "-c", AS_NOBODY, str(path)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        assert found.stdout.strip() == "4", found.stderr


def test_what_cannot_be_read_is_told(tmp_path, path):
    """No journal, no journal of ours, no such id: each in words."""
    with pytest.raises(ConfigError, match="no journal"):
        Journal(tmp_path / "none.db")
    (tmp_path / "other.db").write_bytes(b"not a database, but long enough to be looked at" * 20)
    with pytest.raises(ConfigError, match="not a database"):
        Journal(tmp_path / "other.db")
    Store(path).close()
    with Journal(path) as journal, pytest.raises(LigandError, match="neither"):
        journal.get("nonsense")


def test_gaps_counts_and_the_latest_of_a_name(path):
    """What a tap says of gaps and rates rests on these."""
    store = Store(path)
    journaled(store, 10)
    store.commit()
    store.close()
    with Journal(path) as journal:
        head = journal.head()
        assert list(journal.gaps()) == []
        assert sum(journal.counts(name) for name in NAMES) == head
        assert journal.counts(NAMES[0], head) == 0
        latest = journal.latest(NAMES[1])
        assert latest is not None
        assert orjson.loads(latest)["signal"] == NAMES[1]
        assert journal.latest("Q_NOT_THERE") is None
        assert journal.dead_number(1) is None
        assert list(journal.dead_refused(0)) == []
