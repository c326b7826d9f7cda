"""The monitor on a real bus: what it tells once, what it remembers, and that nothing holds it up."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from signals.errors import SchemaError
from tests.live.advisory_monitor.conftest import Watched

PROMOTIONS = {"interval_s": 0.1, "settle_s": 0.2}
BOUNDS = [
    f"{one}_{how}" for one in ("disk", "memory", "swap", "load", "temperature") for how in ("warning", "critical")
]
QUIET = {"interval_s": 0.1, "hold_s": 0, "clear_s": 0, **dict.fromkeys(BOUNDS)}
FULL = QUIET | {"memory_warning": 0}


def fake_git(folder: Path) -> Path:
    """A git that does not come back until the file `go` is there."""
    program = folder / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nwhile ! [ -e {folder}/go ]; do sleep 0.05; done\nexit 128\n")
    program.chmod(0o755)
    return program


def test_a_condition_is_told_once_over_kills_and_its_end_once(watched: Watched) -> None:
    """Each restart would tell of the same full disk again, and a mended one would never be mended."""
    home = watched.home
    watched.config(health=FULL, promotions=PROMOTIONS)
    for name in ("p-1", "p-2", "p-3"):
        watched.start()
        home.wait_for("Q_HEALTH_ALERT", check="memory")
        watched.promote(name)  # the monitor has looked again, more than once, before it tells of this
        home.wait_for("Q_PROMOTIONS_DETECTED", promotion_count=int(name[-1]))
        home.running[-1].kill()
    (alert,) = home.signals("Q_HEALTH_ALERT")
    assert (alert.facts["severity"], alert.facts["edge"]) == ("warning", "raised")
    running = watched.start()
    watched.config(health=QUIET, promotions=PROMOTIONS)
    running.signal(signal.SIGHUP)
    (cleared,) = home.wait_for("Q_HEALTH_CLEARED")
    assert (cleared.facts["check"], cleared.facts["since"]) == ("memory", alert.facts["since"])
    assert running.stop() == 0


def test_what_was_told_by_a_check_that_is_off_now_ends(watched: Watched) -> None:
    """A check that a person switched off would leave its alert standing for ever."""
    watched.config(health=FULL)
    running = watched.start()
    watched.home.wait_for("Q_HEALTH_ALERT")
    running.stop()
    watched.config(promotions=PROMOTIONS)
    watched.start()
    (cleared,) = watched.home.wait_for("Q_HEALTH_CLEARED")
    assert cleared.facts["check"] == "memory"


def test_a_check_that_fails_or_hangs_is_told_and_holds_up_no_other(watched: Watched) -> None:
    """One bad disk or repository would blind the monitor to everything else, in silence."""
    home, root = watched.home, watched.home.home / "root"
    root.mkdir()
    for number in range(5_001):
        (root / f"file{number}").touch()
    git = fake_git(home.home)
    watched.config(
        promotions=PROMOTIONS,
        modules={"roots": [str(root)], "interval_s": 0.1},
        repositories={"paths": [str(root)], "interval_s": 0.1, "deadline_s": 1.0},
    )
    running = home.daemon("advisory_monitor", PATH=str(git.parent) + ":/usr/bin:/bin").ready()
    (hangs,) = home.wait_for("Q_HEALTH_ALERT", check="monitor.repositories", value="hangs")
    (failed,) = home.wait_for("Q_HEALTH_ALERT", check="monitor.modules", value="failed")
    assert "more than 5,000 entries" in failed.facts["message"]
    watched.promote("p-1")
    home.wait_for("Q_PROMOTIONS_DETECTED")
    for file in root.iterdir():
        file.unlink()
    (home.home / "go").touch()
    home.wait_for("Q_HEALTH_CLEARED", check="monitor.modules")
    (recovered,) = home.wait_for("Q_HEALTH_CLEARED", check="monitor.repositories")
    assert recovered.facts["since"] == hangs.facts["since"]
    (unseen,) = home.wait_for("Q_HEALTH_ALERT", check="monitor.repositories", value="unseen")
    assert unseen.facts["subject"] == str(root)
    assert running.stop() == 0


def test_dead_letters_and_model_servers_are_told_with_their_cause(watched: Watched) -> None:
    """A person would see an alert about the bus and not what led to it."""
    home = watched.home
    quick = {"interval_s": 0.1, "hold_s": 0}
    watched.config(
        bus=quick | {"dead_letters_warning": 1, "dead_letters_margin": 0},
        models={"interval_s": 0.1, "hold_s": 0, "clear_s": 0},
    )
    watched.start()
    with home.emitter() as sensor:
        good = sensor.signal("Q_SPEAK", {"text": "hello", "urgency": "now"})
        with pytest.raises(SchemaError):
            sensor.emit(good._replace(facts={"text": "", "urgency": "now"}))
    (buried,) = home.wait_for("Q_DEAD_LETTER_ADDED")
    (alert,) = home.wait_for("Q_HEALTH_ALERT", check="dead_letters")
    assert alert.causation_id == buried.id
    server = {"role": "primary", "server": "http://127.0.0.1:9"}
    watched.emit("Q_MODEL_UNAVAILABLE", **server, reason="connection refused")
    (away,) = home.wait_for("Q_HEALTH_ALERT", check="model_server")
    assert "connection refused" in away.facts["message"]
    watched.emit("Q_MODEL_AVAILABLE", **server, models=["m"])
    home.wait_for("Q_HEALTH_CLEARED", check="model_server")
    other = server | {"server": "http://127.0.0.1:10"}
    watched.emit("Q_MODEL_UNAVAILABLE", **other, reason="connection refused")
    (away,) = home.wait_for("Q_HEALTH_ALERT", check="model_server", subject="primary http://127.0.0.1:10")
    worker = {"daemon": "model_worker@primary", "version": "1", "pid": 1}
    watched.emit("Q_DAEMON_STOPPING", **worker)  # nobody needs that server any more
    (over,) = home.wait_for("Q_HEALTH_CLEARED", check="model_server", subject=away.facts["subject"])
    assert "was stopped" in over.facts["message"]
    watched.emit("Q_DAEMON_READY", **worker)  # it remembers that the server is away, and does not say so again
    third = server | {"server": "http://127.0.0.1:11"}
    watched.emit("Q_MODEL_UNAVAILABLE", **third, reason="connection refused")
    (away,) = home.wait_for("Q_HEALTH_ALERT", check="model_server", subject="primary http://127.0.0.1:11")
    with home.journal() as journal:
        kept = [one for name, one in journal.state_of("advisory_monitor").items() if name.startswith("heard|models|")]
    assert {one["server"]: one.get("stopped") for one in kept if not one["up"]} == {
        other["server"]: False,
        third["server"]: None,
    }
    watched.emit("Q_MODEL_UNAVAILABLE", **third, reason="not listed any more", removed=True)
    home.wait_for("Q_HEALTH_CLEARED", check="model_server", subject=away.facts["subject"])
