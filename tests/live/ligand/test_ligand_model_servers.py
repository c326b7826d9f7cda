"""The doctor and the model servers that the configuration names: real servers, real silence."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.commands import ligand
from tests.support.constellation import Constellation
from tests.support.ports import held

MODELS = json.dumps({"object": "list", "data": [{"id": "tiny"}, {"id": "\x1b[2Jlarge"}]})


@contextmanager
def serving(status: int, body: str) -> Iterator[str]:
    """A server that answers `/v1/models` so; its base address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/v1/models" else 404)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def judged(home: Path, *servers: dict[str, str]) -> list[dict[str, str]]:
    """What the doctor says of model servers."""
    found = Constellation(home)
    for instance in ("primary", "research") if servers else ():
        found.config(f"model_worker@{instance}", {"servers": list(servers)})
    done = ligand(home, "doctor", "-o", "json")
    assert "\x1b" not in done.text
    return [each for each in done.objects if each["check"] == "model servers"]


def test_without_a_model_server_it_is_said_and_no_fault(tmp_path: Path) -> None:
    """A bare machine works without a model; a person should know what asks for one, and where."""
    with socket.socket() as usual:
        if usual.connect_ex(("127.0.0.1", 11434)) == 0:
            pytest.skip("a model server runs on this machine")
    (found,) = judged(tmp_path)
    assert (found["state"], "no model server at the usual address" in found["found"]) == ("note", True)
    assert "servers" in found["todo"]
    assert "model_worker@primary.yaml" in found["todo"]


def test_without_a_model_worker_it_is_said(tmp_path: Path) -> None:
    """Who disabled it is not told to start a server."""
    Constellation(tmp_path).config("bus", {"disable": ["model_worker"]})
    (found,) = judged(tmp_path)
    assert (found["state"], "no model worker" in found["found"]) == ("note", True)


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
def test_a_server_that_answers_is_well(tmp_path: Path, ending: str) -> None:
    """However its address is written, with the version or without."""
    with serving(200, MODELS) as address:
        (found,) = judged(tmp_path, {"base_url": address + ending, "model": "tiny"})
    assert (found["state"], "2 models: tiny, \\x1b[2Jlarge" in found["found"]) == ("ok", True)


@pytest.mark.parametrize(
    ("answer", "model", "state", "says"),
    [
        ((200, MODELS), "huge", "mend", "not huge"),
        ((200, '{"data": []}'), "", "mend", "0 models"),
        ((200, "<html>"), "", "mend", "not with a list of models"),
        ((200, "[]"), "", "mend", "not with a list of models"),
        ((404, ""), "", "mend", "404"),
        ((503, ""), "", "mend", "503"),
        ((401, ""), "", "note", "wants a credential"),
    ],
)
def test_what_else_a_server_says(tmp_path: Path, answer: tuple[int, str], model: str, state: str, says: str) -> None:
    """Each says what is there instead, and what to do."""
    with serving(*answer) as address:
        (found,) = judged(tmp_path, {"base_url": address} | ({"model": model} if model else {}))
    assert found["state"] == state
    assert says in found["found"]
    assert "model_worker@primary.yaml" in found["todo"] or "Load" in found["todo"]


def test_a_server_that_is_not_there_is_to_be_started(tmp_path: Path) -> None:
    """The first of a list may be down while the second answers; each is told for itself."""
    with held() as port, serving(200, MODELS) as address:
        first, second = judged(tmp_path, {"base_url": f"http://127.0.0.1:{port}/v1"}, {"base_url": address})
    assert (first["state"], second["state"]) == ("mend", "ok")
    assert "Start that server" in first["todo"]


def test_a_file_that_cannot_be_read_does_not_end_the_doctor(tmp_path: Path) -> None:
    """The configuration's own check tells of it."""
    config = Constellation(tmp_path).paths.config
    config.mkdir()
    for text in ("servers: [", "servers: 5\n", "servers: [1, {model: x}]\n", "- x\n"):
        (config / "model_worker@primary.yaml").write_text(text)
        (found,) = judged(tmp_path)
        assert found["state"] == "note"
