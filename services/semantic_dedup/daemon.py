"""Hears findings, links those that belong together, and has contradictions looked into, seldom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from services.runtime import Daemon
from services.semantic_dedup import logic, ngrams
from services.semantic_dedup.embeddings import Server
from services.semantic_dedup.index import Index
from services.semantic_dedup.logic import Bounds, Compared, Finding
from signals.envelope import Signal, unix_seconds

KEPT = "again|"
MAX_KEPT = 500
daemon = Daemon("semantic_dedup")


class _Desk:
    """What holds while the daemon runs."""

    index: Index
    bounds: Bounds
    server: Server | None = None


desk = _Desk()


@daemon.on_start
async def prepare() -> None:
    """Read the findings of before."""
    desk.index = Index(daemon.state_dir / "findings.jsonl")
    await reload()


@daemon.on_reload
async def reload() -> None:
    """Take the configuration as it now is. Raises `ConfigError` for a credential that is not there."""
    desk.bounds = Bounds(**daemon.config["bounds"])
    wanted = daemon.config["embeddings"]
    desk.server = None
    if wanted["base_url"]:
        key = daemon.credential(wanted["credential"]) if wanted["credential"] else None
        desk.server = Server(wanted["base_url"], wanted["model"], wanted["near"], wanted["timeout_s"], key)
    _say()


def _say() -> None:
    words, trouble = f"{len(desk.index)} findings", desk.server.trouble if desk.server else ""
    if trouble:
        words += f"; the embedding server does not answer ({trouble}), n-grams take its place"
    daemon.status(words, degraded=bool(trouble))


@daemon.on("Q_INVESTIGATION_COMPLETE")
async def link(signal: Signal, emit: Any, put: Any) -> None:
    """Link one finding; what is told and what is remembered are one step with its acknowledgement."""
    new = logic.finding_of(signal.facts)
    compared, embedding = await _compared(new, desk.index.candidates(new))
    found = logic.links(new, compared, desk.index.integrates_with(new), desk.index.used_by(new))
    if found.duplicate:
        new = replace(new, of=found.duplicate[0].stands_for)
    if found:
        emit("Q_FINDING_LINKED", logic.facts_of(new, found, embedding))
    if found.contradicted:
        _ask(new, found, signal, emit, put)
    desk.index.add(new)
    _say()
    daemon.log.info("linked", finding=new.id, duplicate_of=new.of or None, contradicts=len(found.contradicted))


async def _compared(new: Finding, old: Sequence[Finding]) -> tuple[list[tuple[Finding, Compared]], str]:
    """Each candidate and how the new finding stands to it; and by which embedding that was told."""
    bounds = desk.bounds
    worth = [one for one in old if logic.agree(new, one, bounds)]  # for the others no nearness would decide anything
    values, name = ngrams.similarities(new.text, [one.text for one in worth]), ngrams.NAME
    if desk.server is not None and worth:
        told = await desk.server.similarities(new.text, [one.text for one in worth])
        if told is not None:
            values, name, bounds = told, desk.server.model, replace(bounds, near=desk.server.near)
    known = {one.id: value for one, value in zip(worth, values, strict=True)}
    return [(one, logic.compare(new, one, known.get(one.id, 0.0), bounds)) for one in old], name


def _ask(new: Finding, found: logic.Links, signal: Signal, emit: Any, put: Any) -> None:
    """Have a contradiction looked into, if its subject was not lately, and not too many today."""
    now = unix_seconds(signal.timestamp)
    asked = {key.removeprefix(KEPT): at for key, at in daemon.state.items() if key.startswith(KEPT)}
    if not logic.may_ask(new, asked, now, daemon.config["again_after_days"] * 86400, daemon.config["again_per_day"]):
        return
    emit("Q_CURIOSITY_INVESTIGATE", logic.question(new, found))
    put(KEPT + logic.key_of(new), now)
    if len(asked) >= MAX_KEPT:
        put(KEPT + min(asked, key=lambda key: float(asked[key])), None)
