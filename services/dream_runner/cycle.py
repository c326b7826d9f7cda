"""One cycle: each experiment of its plan in a process of its own, and what is told at the end."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from services.dream_runner import logic, records
from services.dream_runner.picture import draw
from services.dream_runner.planning import ACKNOWLEDGED, RAN, SURVIVORS, Plan, Wish, plan
from services.experiments.child import kill_group, tied
from services.experiments.promotions import beside
from signals.paths import Paths

MAX_ERRORS = 4000
MAX_DETAIL = 2000
MAX_LINE = 1 << 20
LATER = ("engine_missing", "no_time", "experiment_changed")
"""Reasons of a failure that the next cycle need not have."""
ENGINE = (sys.executable, "-m", "services.dream_runner.engine")
Tell = Callable[[Mapping[str, Any]], None]


@dataclass
class Outcome:
    """What ends a cycle: one signal, an acknowledgement for each promotion that was judged, and what is remembered."""

    signal: str
    facts: dict[str, Any]
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    puts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs cycles, one at a time. `state` is what the daemon remembers."""

    paths: Paths
    folder: Path
    state: Mapping[str, Any]
    config: Mapping[str, Any]
    tell: Tell

    async def run(self, trigger_id: str, came_at: float, wish: Wish) -> Outcome:
        """Run the cycle of a trigger, or go on with it, to its end. `came_at` is when the bus took it, Unix seconds."""
        cycle = records.cycle_id(trigger_id)
        folder = records.folder_of(self.folder, cycle)
        kept = records.read(folder / "plan.json")
        if kept is None:
            made = await asyncio.to_thread(
                plan, self.paths.config, beside(self.paths.intents), wish, self.state, self.config
            )
            if made.refused is not None:
                return self._refused(made, cycle, came_at, wish)
            kept = {"schema": 1, "cycle_id": cycle, "started": time.time(), "reason": wish.reason, "runs": made.runs}
            kept |= {"rejected": made.rejected, "failed": made.failed}
            records.write(folder / "plan.json", kept)
        outcome = await self._through(kept, folder)
        records.write(folder / "outcome.json", {"signal": outcome.signal, "facts": outcome.facts})
        records.prune(self.folder, cycle)
        return outcome

    # -- a cycle that does not begin -----------------------------------------------------------------

    def _refused(self, made: Plan, cycle: str, came_at: float, wish: Wish) -> Outcome:
        assert made.refused is not None
        last = self.state.get("last")
        judged = [_acknowledgement(one["id"], "rejected", one["reason"], cycle) for one in made.rejected]
        puts = {f"{ACKNOWLEDGED}{one['id']}": time.time() for one in made.rejected}
        if made.refused.reason == "nothing_due" and last is not None and came_at <= last["ended"]:
            return Outcome("Q_DREAM_COMPLETE", _folded(cycle, last["cycle_id"], wish, made), judged, puts)
        refused = {"reason": made.refused.reason, "detail": logic.tellable(made.refused.detail, MAX_DETAIL)}
        facts = {**refused, "cycle_id": cycle, "topic": wish.topic, "retryable": made.refused.retryable}
        return Outcome("Q_DREAM_FAILED", facts, judged, puts)

    # -- a cycle -------------------------------------------------------------------------------------

    async def _through(self, kept: Mapping[str, Any], folder: Path) -> Outcome:
        done: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
        failed: list[dict[str, str]] = list(kept["failed"])
        tried: list[Mapping[str, Any]] = []
        for run in kept["runs"]:
            record = records.read(records.record_of(folder, run["experiment"]))
            if record is None:
                gone_s = max(0.0, time.time() - kept["started"])  # the clock may have been set back
                left_s = self.config["cycle_s"] - gone_s
                trouble = await self._engine(kept["cycle_id"], run, folder, left_s)
                if trouble is not None:
                    failed.append({"experiment": run["experiment"], **trouble})
                    tried += [run] if trouble["reason"] not in ("engine_missing", "no_time") else []
                    continue
                record = records.read(records.record_of(folder, run["experiment"]))
            records.write_bytes(folder / f"{run['experiment']}.svg", draw(record).encode())
            done.append((run, record))
            tried.append(run)
        return self._told(kept, done, failed, tried)

    async def _engine(self, cycle: str, run: Mapping[str, Any], folder: Path, left_s: float) -> dict[str, str] | None:
        """Run one experiment in a process that ends with this one; what went wrong, None when its record is there."""
        if left_s <= 0:
            return {"reason": "no_time", "detail": "the cycle's time (cycle_s in dream_runner.yaml) was over before it"}
        task = {
            **{key: run[key] for key in ("file", "digest", "present", "seeds")},
            "config": str(self.paths.config),
            "cycle": cycle,
            "folder": str(folder),
            "seed": int(logic.fingerprint(cycle, {"experiment": run["experiment"]})[:8], 16) >> 1,
            "left_s": left_s,
            "cycle_s": self.config["cycle_s"],
        }
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *tied(ENGINE), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, limit=MAX_LINE
        )
        try:
            ended, errors = await asyncio.gather(
                self._hear(process, orjson.dumps(task), cycle, run["experiment"]), _last_of(process.stderr)
            )
            status = await process.wait()
        finally:
            if process.returncode is None:
                kill_group(process.pid)
                await process.wait()
        if ended is None:
            words = f"its process ended with status {status}: {errors}" if errors else f"its process ended: {status}"
            return {"reason": "engine_failed", "detail": words[-500:]}
        failed: dict[str, str] | None = ended.get("failed")
        return failed

    async def _hear(
        self, process: asyncio.subprocess.Process, task: bytes, cycle: str, experiment: str
    ) -> dict[str, Any] | None:
        """Pass on how far it is; its last word, None when there was none."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(task)
        process.stdin.close()
        last: dict[str, Any] | None = None
        async for line in process.stdout:
            said = orjson.loads(line)
            if "progress" in said:
                self.tell({"cycle_id": cycle, "experiment": experiment, **said["progress"]})
            else:
                last = said
        return last

    def _told(
        self,
        kept: Mapping[str, Any],
        done: list[tuple[Mapping[str, Any], Mapping[str, Any]]],
        failed: list[dict[str, str]],
        tried: list[Mapping[str, Any]],
    ) -> Outcome:
        now, cycle = time.time(), kept["cycle_id"]
        judged = [(one["id"], "rejected", one["reason"]) for one in kept["rejected"]]
        for run, record in done:
            for one in run["promotions"]:
                found = logic.verdict(f"promotion:{one['id']}", one["params"], record)
                judged += [(one["id"], *found)] if found else []
        acknowledged = [_acknowledgement(name, verdict, reason, cycle) for name, verdict, reason in judged]
        puts: dict[str, Any] = {f"{ACKNOWLEDGED}{name}": now for name, _, _ in judged}
        puts |= {f"{RAN}{run['experiment']}": {"at": now, "fingerprint": run["fingerprint"]} for run in tried}
        puts |= {f"{SURVIVORS}{record['experiment']}": record["survivors"] for _, record in done}
        puts["starts"] = [at for at in self.state.get("starts", ()) if logic.is_of_today(at, now)] + [kept["started"]]
        puts["last"] = {"cycle_id": cycle, "ended": now}
        if not done:
            return Outcome("Q_DREAM_FAILED", _failure(cycle, failed), acknowledged, puts)
        facts = {
            "cycle_id": cycle,
            "experiments": [logic.told(record) for _, record in done],
            "winners": [logic.winner(run, record) for run, record in done if record["winner"]],
            "promotions": [{"id": name, "verdict": way, "reason": why[:160]} for name, way, why in judged],
            "duration_s": round(max(0.0, now - kept["started"]), 3),
            "trigger_reason": kept["reason"],
            **({"failed": [{**one, "detail": one["detail"][:160]} for one in failed[:6]]} if failed else {}),
        }
        return Outcome("Q_DREAM_COMPLETE", facts, acknowledged, puts)


async def _last_of(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    found = b""
    while chunk := await stream.read(4096):
        found = (found + chunk)[-MAX_ERRORS:]
    return found.decode("utf-8", "replace").strip()


def _failure(cycle: str, failed: list[dict[str, str]]) -> dict[str, Any]:
    reasons = {one["reason"] for one in failed}
    words = "\n".join(f"{one['experiment']}: {one['detail']}" for one in failed)[:MAX_DETAIL]
    reason = reasons.pop() if len(reasons) == 1 else "experiment_failed"
    return {"reason": reason, "detail": words, "cycle_id": cycle, "retryable": reason in LATER}


def _acknowledgement(name: str, verdict: str, reason: str, cycle: str) -> dict[str, Any]:
    return {"promotion_id": name, "verdict": verdict, "reason": reason[:1024], "cycle_id": cycle}


def _folded(cycle: str, into: str, wish: Wish, made: Plan) -> dict[str, Any]:
    """The answer to a trigger that came while a cycle ran which has answered it."""
    promotions = [{"id": one["id"], "verdict": "rejected", "reason": one["reason"][:160]} for one in made.rejected]
    said = {"cycle_id": cycle, "folded_into": into, "experiments": [], "winners": [], "promotions": promotions}
    return {**said, "duration_s": 0, "trigger_reason": wish.reason}
