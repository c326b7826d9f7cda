"""One instance's configuration as it is used, built once from the checked file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """One server. `slots` counts the requests that it serves at once, of all roles together."""

    base_url: str
    model: str = "auto"
    credential: str | None = None
    slots: int = 1
    context_tokens: int | None = None
    tokens_per_day: int | None = None
    structured: str = "auto"
    max_tokens_as: str = "max_tokens"
    extra_body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The server as all instances call it, however its address is written."""
        return normal(self.base_url)


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of one instance. Durations in seconds."""

    role: str
    servers: tuple[ServerSettings, ...]
    system_prompt: str = ""
    max_tokens: int = 2048
    temperature: float = 0.2
    deadline_s: float = 600.0
    connect_s: float = 5.0
    first_token_s: float = 120.0
    idle_s: float = 30.0
    probe_s: float = 60.0
    probe_timeout_s: float = 5.0
    rounds: int = 5
    backoff_s: float = 0.5
    failures: int = 3
    open_s: float = 30.0

    @classmethod
    def of(cls, role: str, config: Mapping[str, Any]) -> Settings:
        """From the checked configuration, defaults filled in."""
        return cls(
            role=role,
            servers=tuple(_server(entry) for entry in config["servers"]),
            system_prompt=config["system_prompt"],
            **config["limits"],
            **config["timeouts"],
            probe_s=config["probe"]["interval_s"],
            probe_timeout_s=config["probe"]["timeout_s"],
            **config["retries"],
            **config["breaker"],
        )

    @property
    def yields(self) -> bool:
        """Whether this is background work, which makes room for the person's."""
        return self.role != "primary"


def _server(entry: Mapping[str, Any]) -> ServerSettings:
    rest = {key: value for key, value in entry.items() if key != "max_concurrent"}
    return ServerSettings(slots=entry["max_concurrent"], **rest)


def normal(url: str) -> str:
    """An address in one way of writing: lower-case host, 127.0.0.1 for localhost, no slash at the end."""
    parts = urlsplit(url)
    host = parts.netloc.lower()
    name, colon, port = host.partition(":")
    host = f"127.0.0.1{colon}{port}" if name == "localhost" else host
    return urlunsplit((parts.scheme.lower(), host, parts.path.rstrip("/"), "", ""))
