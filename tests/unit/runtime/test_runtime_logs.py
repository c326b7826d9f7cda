"""Log lines that a program can search and a person can read."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from services.runtime import logs


@dataclass
class Held:
    signal: str = "Q_SPEAK"
    id: str = "id-1"
    correlation_id: str | None = "story-1"
    seq: int | None = 7
    facts: dict[str, Any] = field(default_factory=lambda: {"text": "private words"})


@pytest.fixture(autouse=True)
def _tidy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root, show = logging.getLogger(), warnings.showwarning
    before, level = list(root.handlers), root.level
    monkeypatch.setattr(logs, "_secret_names", set())
    yield
    logging.captureWarnings(False)
    warnings.showwarning = show
    root.handlers[:], root.level = before, level


def journal(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line.split(">", 1)[1]) for line in out.getvalue().splitlines()]


def test_a_journal_line_is_json_with_a_priority_and_no_time() -> None:
    """`journalctl -p warning -o json` finds what matters; journald knows the time."""
    out = io.StringIO()
    logs.configure("router", stream=out, journald=True).warning("rejected", file="a\nb", size=3)
    assert out.getvalue() == ('<4>{"level":"warning","daemon":"router","action":"rejected","file":"a\\nb","size":3}\n')


def test_a_text_line_has_time_level_daemon_action_and_fields() -> None:
    """A person at a terminal sees at once who says what."""
    out = io.StringIO()
    logs.configure("router", stream=out).info("claimed", file="my file", n=1, quote='a"b')
    stamp, rest = out.getvalue().split(" ", 1)
    assert stamp.endswith("Z")
    assert len(stamp) == len("2026-01-01T00:00:00.000000Z")
    assert rest == 'info    router claimed file="my file" n=1 quote="a\\"b"\n'


def test_every_line_names_the_signal_in_hand() -> None:
    """All lines of a story can be found by its correlation id."""
    out = io.StringIO()
    log = logs.configure("router", stream=out, journald=True)
    token = logs.current_signal.set(Held())
    log.info("handled")
    logs.current_signal.reset(token)
    log.info("idle")
    inside, outside = journal(out)
    assert inside["correlation_id"] == "story-1"
    assert (inside["signal"], inside["signal_id"], inside["seq"]) == ("Q_SPEAK", "id-1", 7)
    assert "signal" not in outside


def test_facts_and_secrets_are_not_written() -> None:
    """What a contract calls secret does not end in a log file."""
    out = io.StringIO()
    log = logs.configure("router", stream=out, journald=True, secrets=["token"])
    log.info("a", token="s3", deep={"token": "s3"}, many=[{"token": "s3"}], got=Held(), facts={"text": "s3"})
    assert "s3" not in out.getvalue()
    assert "private" not in out.getvalue()
    assert journal(out)[0]["got"] == "Q_SPEAK id-1"


@pytest.mark.parametrize("journald", [True, False])
def test_an_exception_is_a_field_with_its_traceback(journald: bool) -> None:
    """The cause of a failure stands beside it."""
    out = io.StringIO()
    log = logs.configure("router", stream=out, journald=journald)
    try:
        raise ValueError("odd \x1b[2J value")
    except ValueError:
        log.exception("failed")
    assert "\x1b" not in out.getvalue()
    if journald:
        assert "ValueError: odd" in journal(out)[0]["exception"]
    else:
        assert all(line.startswith("    ") for line in out.getvalue().splitlines()[1:])


def test_library_logs_and_warnings_take_the_same_way() -> None:
    """A warning of a library is not lost beside the structured lines."""
    out = io.StringIO()
    logs.configure("router", stream=out, journald=True)
    logging.getLogger("lib").error("it %s", "broke")
    logging.getLogger("lib").debug("noise")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    first, second = journal(out)
    assert (first["action"], first["logger"], first["message"]) == ("library_log", "lib", "it broke")
    assert second["action"] == "warning"
    assert "old thing" in second["message"]


def test_setting_up_again_changes_the_level_for_loggers_already_made() -> None:
    """A reload with `log_level: debug` takes effect, and no line comes twice."""
    out = io.StringIO()
    log = logs.configure("router", stream=out, journald=True, level="warning")
    log.info("hidden")
    logs.configure("router", stream=out, journald=True, level="debug")
    log.debug("shown")
    logging.getLogger("lib").debug("once")
    assert [line["action"] for line in journal(out)] == ["shown", "library_log"]


@pytest.mark.parametrize("value", ["\ud800", 2**80, {1: b"x"}, float("nan"), object(), Path("/x")])
@pytest.mark.parametrize("journald", [True, False])
def test_any_value_gives_one_line(value: object, journald: bool) -> None:
    """A strange value never costs the line, let alone the daemon."""
    out = io.StringIO()
    logs.configure("router", stream=out, journald=journald).info("odd", value=value)
    assert out.getvalue().count("\n") == 1
    if journald:
        assert journal(out)[0]["daemon"] == "router"


@pytest.mark.parametrize("matches", [True, False])
def test_journald_is_known_by_the_stream_itself(tmp_path: Path, matches: bool) -> None:
    """A JOURNAL_STREAM inherited from a parent does not turn a terminal's lines into JSON."""
    file = tmp_path / "err"
    with file.open("w") as stream:
        status = os.fstat(stream.fileno())
        there = f"{status.st_dev}:{status.st_ino if matches else status.st_ino + 1}"
        code = "from services.runtime import logs; logs.configure('x').info('hello', name='wörld')"
        env = {**os.environ, "JOURNAL_STREAM": there}
        subprocess.run([sys.executable, "-c", code], stderr=stream, env=env, check=True)
    assert file.read_text().startswith("<6>{") is matches


def test_logging_leaves_rich_alone() -> None:
    """A daemon that logs does not carry a terminal library, and a tool that wants it still gets it."""
    code = "import sys; from services.runtime import logs; logs.configure('x').info('a');"
    code += "assert 'rich' not in sys.modules; import rich.console"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_module_does_not_import_structlog() -> None:
    """Tools that only share the module start quickly."""
    code = "import sys, services.runtime.logs; sys.exit('structlog' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
