"""Circles of rules: a rule whose signal leads, through other rules or daemons, to itself needs a brake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from services.policy_engine.loading import DAEMON, NOT_FOR_RULES, refusal
from services.policy_engine.model import Rule
from services.runtime.manifest import Manifest
from signals.catalogue import Catalogue


def refuse_loops(rules: Sequence[Rule], manifests: Iterable[Manifest], catalogue: Catalogue) -> None:
    """Raise `ConfigError` for a circle in which no rule has a cooldown or a limit.

    Through a daemon a signal leads to everything it may emit: its manifest says no more. Such a circle may be one
    that never closes; a cooldown costs little.
    """
    leads = _daemons(manifests, catalogue)
    unbraked = [rule for rule in rules if rule.mode != "off" and not rule.cooldown and not rule.limit]
    for rule in unbraked:
        if circle := _circle(rule, unbraked, leads):
            raise refusal(
                rule.file,
                rule.line,
                f"rule {rule.id}: goes in a circle without a brake ({' → '.join(circle)}); give a rule in it a "
                "cooldown or a limit",
            )


def _circle(start: Rule, rules: Sequence[Rule], leads: Mapping[str, frozenset[str]]) -> list[str]:
    """The shortest way from what `start` emits back to what it hears; empty when there is none."""
    ways = [[signal] for signal in sorted(start.emits)]
    seen = set(start.emits)
    while ways:
        way = ways.pop(0)
        if way[-1] in start.signals:
            return [way[-1], *way] if len(way) == 1 else way
        further = set(leads.get(way[-1], ()))
        further |= {signal for rule in rules if way[-1] in rule.signals for signal in rule.emits}
        ways += [[*way, signal] for signal in sorted(further - seen)]
        seen |= further
    return []


def _daemons(manifests: Iterable[Manifest], catalogue: Catalogue) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for manifest in manifests:
        if manifest.daemon == DAEMON:
            continue
        said = {*manifest.emits, *manifest.asks} - NOT_FOR_RULES
        for line in manifest.consumes:
            for name in catalogue:
                if fnmatchcase(name, line.signal) and line.takes(catalogue[name]):
                    found.setdefault(name, set()).update(said)
    for name, contract in catalogue.items():
        if contract.expects:
            found.setdefault(name, set()).add(contract.expects.timeout)
    return {name: frozenset(said) for name, said in found.items()}
