"""A handler repeats a secret in what it raises: nobody who may not read the secret may read it there."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from signals.checksums import connect
from signals.errors import ConflictError
from tests.support.commands import ligand, tap
from tests.support.constellation import Constellation

SPILLING = """
import sys
from services.runtime import Daemon, Reject

daemon = Daemon("spiller")
tried = []

@daemon.on("Q_KEY_ADDED")
async def spill(signal, emit):
    if tried:
        raise Reject("bad token " + signal.facts["token"])
    tried.append(signal)
    raise ValueError(signal.facts["token"])

daemon.run()
"""
SECRET = "hunter'2\\sesame"


def test_a_secret_in_an_error_is_hidden_in_every_place(home: Constellation, tmp_path: Path) -> None:
    """A password in a log or a dead letter is a password that was given away."""
    script = tmp_path / "spiller.py"
    script.write_text(SPILLING)
    home.manifest("spiller", consumes=["Q_KEY_ADDED"])
    home.running[0].stop()
    home.bus()
    daemon = home.script("spiller", script).ready()
    with home.emitter() as emitter:
        (seq,) = emitter.emit(emitter.signal("Q_KEY_ADDED", {"token": SECRET, "who": "me"}))
    home.wait_for("Q_DEAD_LETTER_ADDED")
    shown = [tap(home.home, *words).text for words in (("dead", "list"), ("dead", "show", "1"), ("trace", str(seq)))]
    shown += [tap(home.home, "trace", str(seq), *form).text for form in (("--dot",), ("-o", "json"))]
    shown.append(ligand(home.home, "why", str(seq)).text)
    log = daemon.log.read_text()
    assert "Traceback" in log
    for text in (*shown, log, home.paths.dead_letters.read_text().partition('"signal"')[0]):
        assert "***" in text
        assert "sesame" not in text


def test_what_an_older_version_told_of_a_dead_letter_is_hidden_too(home: Constellation, tmp_path: Path) -> None:
    """The journal of a month still holds errors from before daemons hid secrets; an upgrade must hide those as well."""
    with home.emitter() as emitter:
        bad = emitter.signal("Q_KEY_ADDED", {"token": SECRET, "who": "me"})
        emitter.emit(bad)
        with pytest.raises(ConflictError):
            emitter.emit(bad._replace(facts={**bad.facts, "who": "you"}))
    (told,) = home.wait_for("Q_DEAD_LETTER_ADDED")
    home.running[0].stop()
    journal = connect(home.paths.journal, writable=True)
    (raw,) = next(journal.execute("SELECT envelope FROM signal WHERE seq = ?", (told.seq,)))
    envelope = orjson.loads(raw)
    envelope["facts"]["error"] = f"bad token {SECRET} of me"
    journal.execute("UPDATE signal SET envelope = ? WHERE seq = ?", (orjson.dumps(envelope), told.seq))
    recording, seq = tmp_path / "kept", str(told.seq)
    for said in ("bad token *** of me", '"***"'):
        shown = [tap(home.home, "get", seq, "-o", form).text for form in ("json", "cat", "json-pretty")]
        assert tap(home.home, "record", "-T", str(recording), "Q_DEAD_LETTER_ADDED").code == 0
        shown += [ligand(home.home, "journal", "export", "-").text, recording.read_text()]
        recording.unlink()
        for text in (*shown, tap(home.home, "trace", seq, "--full").text, ligand(home.home, "why", seq).text):
            assert "sesame" not in text
        assert [text for text in shown if said not in text] == []
        assert tap(home.home, "show", "-g", "sesame").code == 1
        journal.execute("DELETE FROM dead")  # past its retention: nobody knows any more what was secret
    journal.close()
