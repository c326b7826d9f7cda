"""Reading the configuration again while at work: on SIGHUP, and when a signal says that it was changed."""

from __future__ import annotations

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from services.runtime import config as configuration
from services.runtime import logs
from services.runtime.manifest import Manifest
from services.runtime.notify import Notifier
from services.runtime.registered import Registered
from services.runtime.standing import Standing
from signals.envelope import Signal
from signals.errors import ConfigError, LigandError
from signals.paths import Paths

CHANGED = "Q_CONFIGURATION_CHANGED"
RELOADED = "Q_CONFIGURATION_RELOADED"
REFUSED = "Q_CONFIGURATION_REFUSED"
MAX_KEYS = 128
MAX_DETAIL = 2000


class Reloading(Registered, ABC):
    """The part of a daemon that takes a new configuration, or keeps the old one and says why."""

    name: str
    config: dict[str, Any]
    manifest: Manifest
    paths: Paths
    log: Any
    _notifier: Notifier

    def __init__(self) -> None:
        super().__init__()
        self._standing = Standing()
        self._reloading: set[asyncio.Task[None]] = set()
        self._one_reload: asyncio.Lock

    @abstractmethod
    def _load_config(self) -> dict[str, Any]:
        """The configuration as it now stands. Raises `LigandError`."""

    @abstractmethod
    async def _say(self, name: str, facts: Mapping[str, Any]) -> None:
        """Tell of the daemon itself."""

    def _hear_of_changes(self) -> None:
        """Handle the signal that says so, in the lane of each line of the manifest that means it by its name."""
        for line in self.manifest.consumes:
            if line.signal == CHANGED:
                self._handlers.add(CHANGED, line.lane, self._told_of_change)

    async def _told_of_change(self, signal: Signal, emit: Callable[..., Signal]) -> None:
        """Another daemon has changed this one's file: the answer tells whether the new one is in use."""
        if signal.facts["daemon"] != self.name:
            return
        emit(*await self._reloaded())

    def _want_reload(self) -> None:
        task = asyncio.create_task(self._reload())
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    async def _reload(self) -> None:
        """As SIGHUP has it; a failure is in the log, and the old configuration holds."""
        name, facts = await self._reloaded()
        if name == RELOADED:
            await self._say(name, facts)

    async def _reloaded(self) -> tuple[str, dict[str, Any]]:
        """Read the configuration again; what came of it, as a signal."""
        async with self._one_reload:
            self._notifier.reloading()
            try:
                changed = await self._take_config()
                self._standing.refused = ""
            except LigandError as error:
                self.log.error("reload_refused", error=error.message)
                return REFUSED, self._refusal(error)
            except Exception as error:  # the author's own reload may raise anything; the old one holds
                self.log.error("reload_refused", error=repr(error), exc_info=error)
                return REFUSED, self._refusal(error)
            finally:
                self._standing.reconsider()
                self._notifier.ready(self._standing.line)
            return RELOADED, {"daemon": self.name, "changed": changed[:MAX_KEYS], **self._read_from()}

    def _refusal(self, error: Exception) -> dict[str, Any]:
        said = error.message if isinstance(error, LigandError) else repr(error)
        reason = "bad_configuration" if isinstance(error, ConfigError) else "reload_failed"
        self._standing.refused = (
            f"the configuration of before holds still, since the new one was refused: {' '.join(said.split())[:400]}"
        )
        return {"daemon": self.name, "reason": reason, "detail": said[:MAX_DETAIL] or reason}

    def _read_from(self) -> dict[str, str]:
        path = self.paths.config_of(self.name)
        try:
            return {"file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        except OSError:  # there is none: defaults
            return {}

    async def _take_config(self) -> list[str]:
        """Go by the configuration as it now is; the keys that changed. Goes back when somebody objects."""
        old, fresh = self.config, self._load_config()
        self.config = fresh
        try:
            for reload in self._reloads:
                await reload()
        except BaseException:
            self.config = old
            raise
        changed = configuration.changed_keys(old, fresh)
        self.log = logs.configure(self.name, level=fresh["log_level"])
        self.log.info("reloaded", changed=changed)
        return changed
