"""Secrets and journald's protocol."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import pytest

from services.runtime import credentials
from services.runtime.journald import Journal, encode
from signals.errors import ConfigError
from signals.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.resolve(tmp_path)


def test_under_systemd_a_secret_comes_from_the_units_own_folder(paths, tmp_path):
    """What LoadCredential= hands over is what the daemon gets."""
    (tmp_path / "token").write_text("top secret\r\n")
    environ = {"STATE_DIRECTORY": "/x", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert credentials.read("token", "speaker", paths, environ) == "top secret"
    for without in (environ, {"STATE_DIRECTORY": "/x"}):
        with pytest.raises(ConfigError, match="LoadCredential=other"):
            credentials.read("other", "speaker", paths, without)


def test_in_the_foreground_a_secret_that_others_can_read_is_refused(paths):
    """A secret with the permissions of a usual file is none."""
    file = paths.config / "credentials" / "token"
    file.parent.mkdir(parents=True)
    file.write_text("x\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        credentials.read("token", "speaker", paths, {})
    file.chmod(0o600)
    assert credentials.read("token", "speaker", paths, {}) == "x"
    with pytest.raises(ConfigError, match="Put the secret into"):
        credentials.read("other", "speaker", paths, {})


@pytest.mark.parametrize("name", ["../token", "", "a/b", ".hidden"])
def test_a_name_is_no_path(paths, name):
    """A name from elsewhere cannot reach another file."""
    with pytest.raises(ConfigError, match="no name of a credential"):
        credentials.read(name, "speaker", paths, {})


def test_a_field_with_lines_is_sent_with_its_length():
    """A traceback cannot bring in fields of its own."""
    assert encode({"A": "x", "B": "y\nC=z"}) == b"A=x\nB\n\x05\0\0\0\0\0\0\0y\nC=z\n"


def test_lines_reach_the_journal_with_their_fields_long_ones_too(tmp_path):
    """`journalctl CORRELATION_ID=...` finds them."""
    path, instead = tmp_path / "socket", io.StringIO()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(str(path))
        journal = Journal(instead, path)
        event = {"daemon": "model_worker@a", "action": "x", "correlation_id": "story", "seq": 7, "signal": None}
        journal.write('<4>{"a":1}', event)
        said = journald.recv(4096).decode().splitlines()
        assert said == [
            'MESSAGE={"a":1}', "PRIORITY=4", "SYSLOG_IDENTIFIER=ligand-model-worker@a", "DAEMON=model_worker@a",
            "ACTION=x", "CORRELATION_ID=story", "SEQ=7",
        ]  # fmt: skip
        journal.write("<6>" + "l" * 1_000_000, event)
        data, descriptors, _, _ = socket.recv_fds(journald, 10, 1)
        assert data == b""
        with open(descriptors[0], "rb") as file:
            assert os.pread(file.fileno(), 20, 0) == b"MESSAGE=" + b"l" * 12
        assert instead.getvalue() == ""
    journal.write("<6>{}", event)
    assert instead.getvalue() == "<6>{}\n"
    journal.close()
