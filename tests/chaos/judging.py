"""What must be true when all has come to rest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import yaml

from signals.checksums import connect
from signals.envelope import decode
from tests.chaos.run import Chaos
from tests.support.load import INTENT_ENDS, LINKS, STEPS
from tests.support.raw import attached


def faults(chaos: Chaos, *, counted: bool) -> list[str]:
    """All that is wrong; stops the constellation. `counted`: each link handled one at a time, so its count holds."""
    found = [*_chain(chaos), *_dead(chaos)]
    if chaos.work.asked:
        found += [*_intents(chaos), *_files(chaos)]
    found += _stopped(chaos, [name for name in chaos.alive if name != "bus"])
    if counted:  # several at once would count over each other: state is the daemon's, not the handler's
        found += _states(chaos)
    found += _stopped(chaos, ["bus"])
    return [*found, *_integrity(chaos)]


def _stopped(chaos: Chaos, names: list[str]) -> Iterator[str]:
    """What was still in hand is finished, so that a late double would be seen."""
    for name in names:
        if (code := chaos.alive[name].stop()) != 0:
            yield f"{name} ended with {code}:\n{chaos.alive[name].tail()}"


def _ends(ended: Counter[str], roots: list[str], what: str) -> Iterator[str]:
    for root in roots:
        if ended[root] != 1:
            yield f"{what} {root} has {ended[root]} ends"
    for strange in ended.keys() - set(roots):
        yield f"{what} {strange} ended, but nobody was told that it had begun"


def _chain(chaos: Chaos) -> Iterator[str]:
    ended = Counter(str(signal.correlation_id) for signal in chaos.home.signals(STEPS[-1]))
    yield from _ends(ended, chaos.work.roots, "the story")


def _dead(chaos: Chaos) -> Iterator[str]:
    for letter in chaos.home.dead():
        yield f"dead letter {letter['dead_letter_id']}, {letter['reason']}: {letter['error']}"


def _intents(chaos: Chaos) -> Iterator[str]:
    ready = chaos.home.signals("Q_INTENT_READY")
    asked = Counter(str(signal.facts["question_id"]) for signal in ready)
    yield from _ends(asked, chaos.work.asked, "the root of the intent")
    ended = Counter(str(signal.correlation_id) for signal in chaos.home.signals(*INTENT_ENDS))
    yield from _ends(ended, [signal.id for signal in ready], "the intent")


def _files(chaos: Chaos) -> Iterator[str]:
    """The registry, the record of investigations and the answers, against what was journaled."""
    paths = chaos.home.paths
    integrated = [str(signal.facts["capability_key"]) for signal in chaos.home.signals("Q_MODULE_INTEGRATED")]
    registry = yaml.safe_load((paths.state_of("capability_integrator") / "capabilities.yaml").read_text())
    if sorted(registry["capabilities"]) != sorted(integrated):
        yield f"capabilities.yaml has {len(registry['capabilities'])} entries, {len(integrated)} were told"
    lines = (paths.state_of("investigator") / "curiosity_investigations.jsonl").read_text().splitlines()
    kept = Counter(json.loads(line)["investigation_id"] for line in lines)
    yield from (f"investigation {each} is recorded {count} times" for each, count in kept.items() if count > 1)
    told = {str(signal.facts["investigation_id"]) for signal in chaos.home.signals("Q_INVESTIGATION_COMPLETE")}
    yield from (f"investigation {each} is told but not recorded" for each in told - kept.keys())
    answers = list((paths.intents / "done").glob("*.answer.json"))
    if len(answers) != len(chaos.work.asked):
        yield f"{len(answers)} answers for {len(chaos.work.asked)} intents"
    left = [*paths.intents.glob("*.json"), *(paths.intents / "working").iterdir()]
    yield from (f"{path} was left lying" for path in left)


def _states(chaos: Chaos) -> Iterator[str]:
    for name in LINKS:
        with attached(chaos.home.paths, name) as link:
            if link.state != {"count": len(chaos.work.roots)}:
                yield f"{name} counted {link.state} of {len(chaos.work.roots)}"


def _integrity(chaos: Chaos) -> Iterator[str]:
    path = chaos.home.paths.journal
    db = connect(path)
    try:
        for (said,) in db.execute("PRAGMA integrity_check"):
            if said != "ok":
                yield f"integrity check: {said}"
        for (raw,) in db.execute("SELECT envelope FROM signal"):
            decode(raw)
    finally:
        db.close()
