"""`ligand policy`: why something was done, why not, what other rules would have done, and rules' own examples."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import orjson

from services.policy_engine import promoting
from services.policy_engine.history import kept
from services.policy_engine.memory import Memory
from services.policy_engine.model import Outcome, Rule
from services.policy_engine.rulebook import FILE, Rulebook, engine_of, rulebook
from services.policy_engine.schema import seconds as duration
from services.policy_engine.simulation import Act, Comparison, Simulation, compared, really, refused, tried
from services.runtime.commands import NOTHING, USAGE, Failure, form_option, home_option, say, say_json, told
from signals.envelope import rfc3339, unix_seconds
from signals.ids import uuid7
from signals.journal import Journal
from signals.lookup import meant
from signals.paths import Paths

SHOWN = 200


@click.group()
def policy() -> None:
    """What the rules decide: why, why not, what other rules would."""


@policy.command("list")
@form_option
@home_option
@told
def list_(*, form: str, home: Path | None) -> int:
    """List the rules, and how often each has fired.

    As far as decisions are kept; of a rule in shadow, how often it would have.
    """
    paths = Paths.resolve(home)
    fired: defaultdict[str, list[str]] = defaultdict(list)
    for one in _decisions(paths):
        if one["outcome"] in (Outcome.FIRED, Outcome.WOULD_FIRE):
            fired[one["rule"]].append(one["at"])
    rules = rulebook(paths).rules
    if form == "json":
        say_json(_listed(rule, fired[rule.id]) for rule in rules)
        return 0
    wide = max((len(rule.id) for rule in rules), default=0)
    for rule in rules:
        often = f"{len(fired[rule.id])} times, last {max(fired[rule.id])}" if fired[rule.id] else "never"
        does = ", ".join(sorted(rule.emits)) + (" if a model says so" if rule.choose else "")
        say(f"{rule.id:<{wide}}  {rule.mode:<7}  {', '.join(rule.signals)} → {does}", f"{'':<{wide}}  fired {often}")
    return 0


@policy.command()
@click.argument("signal")
@form_option
@home_option
@told
def why(signal: str, *, form: str, home: Path | None) -> int:
    """Say every decision about SIGNAL, or which one led to it.

    SIGNAL is its id, the beginning of it, its number, or Q_NAME for the newest of that name.
    """
    paths = Paths.resolve(home)
    wanted = _signal(paths, signal)["id"]
    found = [one for one in _decisions(paths) if wanted == one["signal_id"] or wanted in one["emitted"]]
    found = found or list(_from_journal(paths, wanted))
    if form == "json":
        say_json(found)
    for one in found if form == "short" else ():
        _say(one)
    if not found:
        raise Failure(f"No rule decided anything about {wanted}, or it is too long ago to be kept.")
    return 0


@policy.command("why-not")
@click.argument("rule")
@click.argument("signal")
@home_option
@told
def why_not(rule: str, signal: str, *, home: Path | None) -> int:
    """Say why RULE did nothing about SIGNAL.

    Which condition held it, and what would have changed that. SIGNAL as for `why`.
    """
    paths = Paths.resolve(home)
    envelope = _signal(paths, signal)
    book = rulebook(paths)
    chosen = _rule(book, rule)
    found = [one for one in _decisions(paths) if one["rule"] == rule and one["signal_id"] == envelope["id"]]
    if found:
        _say(found[-1])
        return 0
    if envelope["signal"] not in chosen.signals:
        say(f"{rule} is not about {envelope['signal']}, but about {', '.join(chosen.signals)}.")
        return 0
    say("No decision is kept. By the rules as they are now, with nothing remembered:")
    engine = engine_of([replace(chosen, mode=chosen.mode.replace("off", "shadow"))], book.world)
    for decision in engine.on_event(envelope, unix_seconds(envelope["received_at"]), Memory({})):
        _say({**decision.as_json(), "emitted": [], "at": envelope["received_at"]})
    if chosen.mode == "off":
        say("  and its mode is off")
    return 0


@policy.command()
@click.argument("rules", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--since", default="7d", show_default=True, help="How far back: 90m, 12h, 7d.")
@form_option
@home_option
@told
def rehearse(rules: Path, *, since: str, form: str, home: Path | None) -> int:
    """Say what RULES would have done in the journal's past.

    RULES stands in place of policies.yaml. The bus may be down.
    """
    paths = Paths.resolve(home)
    book = rulebook(paths, rules)
    now = time.time()
    try:
        start = max(0.0, now - duration(since))
    except ValueError as error:
        raise Failure(f"{since!r} is no length of time; say 90m, 12h or 7d.", USAGE) from error
    reach = max((rule.reach for rule in book.rules), default=0.0)
    enforced = [replace(rule, mode="enforce" if rule.mode != "off" else "off") for rule in book.rules]
    candidate = Simulation(engine_of(book.rules, book.world), book.world.catalogue)
    shadows = Simulation(engine_of(enforced, book.world), book.world.catalogue)
    with Journal(paths.journal) as journal:
        before = journal.seq_at(int(max(0.0, start - reach) * 1e6)) - 1
        would = _since(candidate, journal, before, start, now)
        shadow = _since(shadows, journal, before, start, now)
        happened = list(really(_walk(journal, journal.seq_at(int(start * 1e6)) - 1)))
        result = compared(happened, would, refused(journal.dead_refused(int(start * 1e6))))
    in_shadow = [act for act in shadow if act.id not in {one.id for one in would}]
    if form == "json":
        say_json([{**asdict(result), "shadow": in_shadow}])
    else:
        _compare(result, in_shadow, since)
    return 0


@policy.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@home_option
@told
def test(file: Path | None, *, home: Path | None) -> int:
    """Try the examples that rules carry. Exit code 1 when one does not come out as it says."""
    book = rulebook(Paths.resolve(home), file)
    count = wrong = 0
    for rule in book.rules:
        engine = engine_of([replace(rule, mode="enforce")], book.world)
        for nth, example in enumerate(rule.examples, start=1):
            count += 1
            came = tried(engine, example, _envelope(example), rule.id)
            if came != example["outcome"]:
                wrong += 1
                say(f"wrong  {rule.file}:{rule.line}: {rule.id}, example {nth}: {came}, not {example['outcome']}")
    without = [rule.id for rule in book.rules if not rule.examples]
    say(f"{count} examples of {len(book.rules)} rules, {wrong} wrong")
    if without:
        say(f"without examples: {', '.join(without)}")
    return NOTHING if wrong else 0


@policy.command()
@click.argument("rule")
@home_option
@told
def promote(rule: str, *, home: Path | None) -> int:
    """Let RULE go one step further: off, then shadow, then enforce. Comments in policies.yaml stay."""
    paths = Paths.resolve(home)
    mode = _rule(rulebook(paths), rule).mode
    further = {"off": "shadow", "shadow": "enforce"}.get(mode)
    if further is None:
        raise Failure(f"{rule} enforces already.")
    shadowed = sum(one["rule"] == rule and one["outcome"] == Outcome.WOULD_FIRE for one in _decisions(paths))
    promoting.set_mode(paths.config / FILE, rule, further, lambda candidate: rulebook(paths, candidate))
    say(f"{rule}: {mode} → {further} in {paths.config / FILE}")
    if mode == "shadow":
        say(f"In shadow it would have fired {shadowed} times, as far as its decisions are kept.")
    say("It holds after `systemctl reload ligand-policy-engine`, or SIGHUP to `ligand up`.")
    return 0


# -- what is shown -----------------------------------------------------------------------------------


def _say(one: Mapping[str, Any]) -> None:
    key = f" ({one['key']})" if one["key"] else ""
    say(f"{one['at']}  {one['rule']}{key}: {one['outcome']}  on {one['signal']} {one['signal_id']}")
    for sentence in one["because"]:
        say(f"  because  {sentence}")
    for sentence in one["needed"]:
        say(f"  needed   {sentence}")
    for (name, _), sent in zip(one["actions"], one["emitted"], strict=False):
        say(f"  emitted  {name} {sent}")
    if one.get("file"):
        say(f"  rule     {one['file']}:{one['line']}")


def _listed(rule: Rule, fired: Sequence[str]) -> dict[str, Any]:
    found = {"rule": rule.id, "mode": rule.mode, "signals": rule.signals, "emits": sorted(rule.emits)}
    return {**found, "fired": len(fired), "last": max(fired, default=None), "file": rule.file, "line": rule.line}


def _compare(result: Comparison, shadow: Sequence[Act], since: str) -> None:
    marked = {"  ": result.same, "+ ": result.gained, "- ": result.lost, "~ ": shadow, "! ": result.stopped}
    acts = [(mark, act) for mark, found in marked.items() for act in found]
    for mark, act in sorted(acts, key=lambda item: (item[1].at, item[1].id))[-SHOWN:]:
        say(f"{mark}{act.at}  {act.rule}: {act.signal}  on {act.trigger}")
    hidden = f" (the last {SHOWN} are shown)" if len(acts) > SHOWN else ""
    stopped = f", {len(result.stopped)} that the bus refused as a loop (!)" if result.stopped else ""
    say(
        f"in {since}: {len(result.same)} as it was, {len(result.gained)} gained (+), {len(result.lost)} lost (-), "
        f"{len(shadow)} only in shadow (~){stopped}{hidden}"
    )


# -- what is read ------------------------------------------------------------------------------------


def _rule(book: Rulebook, name: str) -> Rule:
    found = next((rule for rule in book.rules if rule.id == name), None)
    if found is None:
        raise Failure(f"There is no rule {name}; there are {', '.join(rule.id for rule in book.rules)}.", USAGE)
    return found


def _decisions(paths: Paths) -> Iterator[Mapping[str, Any]]:
    folder = paths.state_of("policy_engine")
    try:
        yield from kept(folder)
    except PermissionError as error:
        raise Failure(f"You may not read {folder}; ask as root, or see Q_POLICY_DECIDED with signal-tap.") from error


def _from_journal(paths: Paths, wanted: str) -> Iterator[Mapping[str, Any]]:
    """What Q_POLICY_DECIDED said of a signal, in the form of the history, where that is gone."""
    with Journal(paths.journal) as journal:
        for _, raw in journal.walk(0, ["Q_POLICY_DECIDED"]):
            facts = (envelope := orjson.loads(raw))["facts"]
            if wanted == facts["trigger_id"] or wanted in facts["emitted"]:
                yield {
                    "at": envelope["received_at"], "rule": facts["rule"], "key": "", "outcome": facts["outcome"],
                    "signal": facts["trigger_signal"], "signal_id": facts["trigger_id"], "because": facts["because"],
                    "needed": facts["would_have_needed"], "actions": [], "emitted": facts["emitted"],
                }  # fmt: skip


def _signal(paths: Paths, given: str) -> dict[str, Any]:
    with Journal(paths.journal) as journal:
        found = meant(journal, given)
    if len(found) > 1:
        raise Failure(f"{given!r} stands for several signals; give more of the id.", USAGE)
    parsed: dict[str, Any] = orjson.loads(found[0])
    return parsed


def _walk(journal: Journal, after: int) -> Iterator[dict[str, Any]]:
    for _, raw in journal.walk(after):
        yield orjson.loads(raw)


def _since(simulation: Simulation, journal: Journal, before: int, start: float, now: float) -> list[Act]:
    """What a simulation does from `start` on; what came before only fills its memory."""
    acts = [*simulation.run(_walk(journal, before)), *simulation.finish(now)]
    return [act for act in acts if unix_seconds(act.at) >= start]


def _envelope(example: Mapping[str, Any]) -> dict[str, Any]:
    now = rfc3339(time.time())
    return {
        "signal": example["signal"], "id": uuid7(), "timestamp": now, "received_at": now, "source": "person@example",
        "host": "example", "version": 1, "correlation_id": uuid7(), "causation_id": uuid7(), "hops": 0,
        "taint": example.get("taint", []), "facts": example["facts"],
    }  # fmt: skip
