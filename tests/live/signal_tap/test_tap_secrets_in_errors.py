"""A handler repeats a secret in what it raises: nobody who may not read the secret may read it there."""

from __future__ import annotations

from pathlib import Path

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
