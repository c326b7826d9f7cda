"""Model servers: whether each that the model worker is told of is there and says what models it has.

Speaks to nobody but the servers that the configuration names, with one `GET …/models` each (the OpenAI-compatible
interface: https://platform.openai.com/docs/api-reference/models/list), and sends no credential.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import orjson

from services.runtime import config as configuration
from services.runtime.manifest import load_all
from services.runtime.yamlmarks import YamlError, parse_file
from signals.errors import LigandError
from signals.paths import Paths
from tools.ligand.checks.finding import Finding, mend, note, ok
from tools.ligand.instances import Instance, listed
from tools.text import clean, shorten

WORKER, CHECK = "model_worker", "model servers"
PATIENCE_S = 3.0
MOST_BYTES = 1 << 20
WANTS_CREDENTIAL = (401, 403)
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Server:
    """One of the servers in a file; `model` is what is wanted of it, if that was said. `usual` when nobody named it."""

    file: Path
    base_url: str
    model: str | None
    usual: bool

    @property
    def shown(self) -> str:
        """The address for people."""
        return clean(self.base_url)

    @property
    def models_url(self) -> str:
        """Where it lists its models, whether or not the base already ends with the version."""
        base = self.base_url.rstrip("/")
        return f"{base}/models" if base.endswith("/v1") else f"{base}/v1/models"


def findings(paths: Paths) -> Iterator[Finding]:
    """Each configured server, or that there is none."""
    servers = list(configured(paths))
    if not servers:
        todo = "Nothing, unless you run a model; see the configuration of the model worker."
        yield note(CHECK, "no model worker asks any server", todo)
    for server in servers:
        yield judged(server)


def configured(paths: Paths) -> Iterator[Server]:
    """The servers in the files of the model worker's instances, each address once."""
    try:
        manifests = load_all(paths.manifests)
        workers = [one for one in listed(manifests.values(), paths.config) if one.manifest.daemon == WORKER]
    except LigandError:
        return  # told under "configuration"
    seen = set()
    for worker in workers:
        for server in _servers(paths.config_of(worker.daemon), worker):
            if (server.base_url, server.model) not in seen:
                seen.add((server.base_url, server.model))
                yield server


def _servers(file: Path, worker: Instance) -> Iterator[Server]:
    try:
        found = configuration.load(file, worker.manifest.config, daemon=worker.daemon)
        usual = "servers" not in (parse_file(file).data or {} if file.exists() else {})
    except (LigandError, OSError, YamlError):
        return  # told under "configuration"
    for each in found["servers"]:
        yield Server(file, each["base_url"], None if each["model"] == "auto" else each["model"], usual)


def judged(server: Server) -> Finding:
    """What one server says."""
    change = f"correct base_url in {server.file}"
    try:
        models = _models(server)
    except urllib.error.HTTPError as error:
        with error:
            return _refusal(server, error.code, change)
    except (OSError, HTTPException) as error:
        why = clean(getattr(error, "reason", None) or error or type(error).__name__)
        if server.usual:
            todo = f"Nothing, unless you run a model: start it there, or list it under `servers` in {server.file}."
            return note(CHECK, f"no model server at the usual address {server.shown}: {why}", todo)
        return mend(CHECK, f"{server.shown} cannot be reached: {why}", f"Start that server, or {change}.")
    except ValueError as error:
        return mend(
            CHECK, f"{server.shown} answers, but not with a list of models: {clean(error)}", f"Please {change}."
        )
    return _of_models(server, models)


def _refusal(server: Server, status: int, change: str) -> Finding:
    if status in WANTS_CREDENTIAL:
        todo = f"If it is not there yet, name one under `credential` in {server.file}."
        return note(CHECK, f"{server.shown} answers and wants a credential ({status}); the doctor has none", todo)
    return mend(
        CHECK,
        f"{server.shown} answers {server.models_url.rpartition('/v1')[1]}/models with {status}",
        f"Please {change}.",
    )


def _of_models(server: Server, models: list[str]) -> Finding:
    some = ", ".join(shorten(clean(model), 60) for model in models[:SHOWN])
    said = f"{server.shown} answers with {len(models)} model{'s' * (len(models) != 1)}: {some or 'none'}"
    if not models:
        return mend(CHECK, said, "Load a model into that server.")
    if server.model is not None and server.model not in models:
        todo = f"Load it there, or correct `model` in {server.file}."
        return mend(CHECK, f"{said}; not {clean(server.model)}", todo)
    return ok(CHECK, said + (", …" if len(models) > SHOWN else ""))


def _models(server: Server) -> list[str]:
    """The ids of its models. Raises `OSError`, `HTTPException`, `ValueError`."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(server.models_url, timeout=PATIENCE_S) as answer:
        found = orjson.loads(answer.read(MOST_BYTES))
    data = found.get("data") if isinstance(found, dict) else None
    if not isinstance(data, list):
        raise ValueError("it has no `data`")
    return [str(each["id"]) for each in data if isinstance(each, dict) and "id" in each]
