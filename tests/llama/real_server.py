"""A real llama.cpp server with a tiny model of random weights: `make test-llama`. No part of `make test`.

What is shown is that the worker gets along with what such a server really does; what the model says is nonsense.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from pathlib import Path

import pytest

from services.model_worker.settings import ServerSettings
from tests.unit.model_worker.conftest import Asker

PYTHON = Path(os.environ["LIGAND_LLAMA_PYTHON"])  # of the environment that tools/build-llama made
WRITER = Path(__file__).with_name("write_model.py")
CONTEXT = 2048
READY = "Uvicorn running"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("llama")
    model = folder / "random.gguf"
    subprocess.run([PYTHON, WRITER, model], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--host", "127.0.0.1", "--n_ctx", str(CONTEXT), "--n_threads", "1"]
    # by default a new request ends the one before it, which then looks like a broken answer
    command = [str(PYTHON), "-m", "llama_cpp.server", "--model", str(model), *options, "--interrupt_requests", "false"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert any(READY in line for line in process.stdout)
        yield ServerSettings(base_url=f"http://127.0.0.1:{port}/v1", context_tokens=None)
        process.terminate()
        process.stdout.read()


def test_it_answers_in_json_by_the_one_way_that_it_knows(server: ServerSettings) -> None:
    """OpenAI's form is refused there; its own is found, and the answer fits."""
    schema = {
        "type": "object",
        "properties": {"modules": {"type": "array", "items": {"enum": ["ear", "eye"]}, "minItems": 1, "maxItems": 2}},
        "required": ["modules"],
        "additionalProperties": False,
    }

    async def story() -> None:
        asking = Asker()
        pool = asking.pool(server)
        for _ in range(2):
            name, facts = await asking.ask(pool, response_schema=schema, max_tokens=100, stream=True)
            assert name == "Q_MODEL_RESPONSE", facts
            assert set(facts["parsed"]["modules"]) <= {"ear", "eye"}
            assert facts["usage"] == "estimated"
        assert pool.servers[0].shapes == {facts["model"]: "json_object_schema"}
        assert "".join(token["text"] for token in asking.tokens).count("modules") == 2
        await pool.close()

    asyncio.run(story())


def test_an_answer_that_runs_on_is_no_success(server: ServerSettings) -> None:
    """A model that never ends is cut off by its length, and that is said."""
    name, facts = Asker({"rounds": 1}).once(server, max_tokens=20)
    assert (name, facts["reason"]) == ("Q_MODEL_FAILED", "invalid_output")
    assert "cut off after 20 tokens" in facts["detail"]


def test_a_question_that_is_too_long_is_told_so(server: ServerSettings) -> None:
    """The asker learns that a shorter question would help."""
    name, facts = Asker({"rounds": 1}).once(server, prompt="x" * CONTEXT * 2, max_tokens=20)
    assert (name, facts["reason"], facts["retryable"]) == ("Q_MODEL_FAILED", "context_too_long", False)


def test_text_in_json_is_read_as_the_model_writes_it(server: ServerSettings) -> None:
    """Random bytes in a string, control characters among them, end as data or as an honest failure."""
    word = {"type": "string", "minLength": 1, "maxLength": 4}
    schema = {"type": "object", "properties": {"word": word}, "required": ["word"], "additionalProperties": False}
    for _ in range(3):
        name, facts = Asker({"rounds": 1}).once(server, response_schema=schema, max_tokens=60, temperature=1.5)
        if name == "Q_MODEL_RESPONSE":
            assert 1 <= len(facts["parsed"]["word"]) <= 4
        else:
            assert facts["reason"] == "invalid_output"
            assert facts["evidence"]["text"]
