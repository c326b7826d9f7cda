"""Hears requests for a model and answers each with exactly one signal."""

from __future__ import annotations

from services.model_worker.presence import RENEW_S
from services.model_worker.worker import Worker
from services.runtime import Daemon

INSTANCES = ("primary", "research")


def build(instance: str) -> Daemon:
    """The daemon of one instance; its name is the role that it serves."""
    daemon = Daemon("model_worker", instance=instance)
    worker = Worker(daemon, instance)
    daemon.on_start(worker.open)
    daemon.on_reload(worker.open)
    daemon.on_stop(worker.close)
    daemon.every(0)(worker.watch)
    daemon.every(RENEW_S)(worker.renew)
    daemon.on("Q_MODEL_REQUEST")(worker.answer)
    daemon.on_live("Q_MODEL_BUSY")(worker.heard)
    return daemon
