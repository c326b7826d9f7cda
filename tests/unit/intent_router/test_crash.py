"""A crash between any two steps of claim, emit and move: the same signals once, the file in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from services.intent_router.arrivals import Hint
from services.intent_router.logic import Outgoing
from signals.errors import BusUnreachableError, OversizeError, PressureError, QuotaError
from tests.unit.intent_router.rig import Recorder, Rig, intent


class Crash(BaseException):
    """Stands for SIGKILL: no handler of the code catches it."""


def crash(*_: Any, **__: Any) -> Any:
    raise Crash


def crash_after(step: Callable[..., Any]) -> Callable[..., Any]:
    def stepping(*args: Any, **kwargs: Any) -> Any:
        step(*args, **kwargs)
        raise Crash

    return stepping


def crash_once_sent(bus: Recorder) -> Callable[[Sequence[Sequence[Outgoing]]], Any]:
    async def sending(plans: Sequence[Sequence[Outgoing]]) -> None:
        await bus(plans)
        raise Crash

    return sending


STEPS: dict[str, Callable[[Rig], Any]] = {
    "before the claim": lambda rig: setattr(rig.folder, "claim", crash),
    "after the claim": lambda rig: setattr(rig.folder, "sync", crash),
    "after the sync": lambda rig: setattr(rig.folder, "sync", crash_after(rig.folder.sync)),
    "before the note": lambda rig: setattr(rig.answers.notes, "write", crash),
    "after the note": lambda rig: setattr(rig.answers.notes, "write", crash_after(rig.answers.notes.write)),
    "before the emit": lambda rig: setattr(rig.work, "_send", crash),
    "after the emit": lambda rig: setattr(rig.work, "_send", crash_once_sent(rig.bus)),
    "before the move": lambda rig: setattr(rig.folder, "finish", crash),
    "after the move": lambda rig: setattr(rig.folder, "finish", crash_after(rig.folder.finish)),
    "before the error file": lambda rig: setattr(rig.folder, "explain", crash),
    "after the error file": lambda rig: setattr(rig.folder, "explain", crash_after(rig.folder.explain)),
    "before the refusal's move": lambda rig: setattr(rig.folder, "reject", crash),
    "after the refusal's move": lambda rig: setattr(rig.folder, "reject", crash_after(rig.folder.reject)),
}
REFUSING = [step for step in STEPS if "error" in step or "refusal" in step]


def run_into_the_crash(rig: Rig, name: str) -> None:
    """One file by hand: the loop's own machinery would take a crash for an ordinary failure."""
    rig.arrivals.examine(name, Hint.CLOSED)

    async def scenario() -> None:
        await rig.work.handle(await rig.arrivals.take(1))

    with pytest.raises(Crash):
        asyncio.run(scenario())


def run_again(root: Path, bus: Recorder, resumed: int) -> Rig:
    rig = Rig(root)
    rig.bus.by_id = bus.by_id

    async def scenario() -> None:
        async with rig.running():
            await rig.changes.until(lambda: rig.work.counts.routed + rig.work.counts.refused >= resumed)

    asyncio.run(scenario())
    return rig


@pytest.mark.parametrize("step", [step for step in STEPS if step not in REFUSING])
def test_a_crash_while_routing_leaves_one_intent(tmp_path: Path, step: str) -> None:
    """A question would be lost, or asked and paid for twice."""
    rig = Rig(tmp_path / "intents")
    (rig.root / "a.json").write_text(intent("Why?"))
    STEPS[step](rig)
    run_into_the_crash(rig, "a.json")
    again = run_again(rig.root, rig.bus, resumed=0 if step == "after the move" else 1)
    assert again.bus.questions() == ["Why?"]
    assert len(again.bus.facts("Q_INTENT_READY")) == 1
    assert again.standing("done") == ["a.json"]
    assert again.standing("working") == again.standing("rejected") == []


@pytest.mark.parametrize(
    "step", [*REFUSING, "before the claim", "after the claim", "before the emit", "after the emit"]
)
def test_a_crash_while_refusing_leaves_one_refusal(tmp_path: Path, step: str) -> None:
    """The person would find the file without its explanation, or be told twice."""
    rig = Rig(tmp_path / "intents")
    (rig.root / "a.json").write_text("{broken")
    STEPS[step](rig)
    run_into_the_crash(rig, "a.json")
    again = run_again(rig.root, rig.bus, resumed=0 if step == "after the refusal's move" else 1)
    assert len(again.bus.facts("Q_INTENT_REJECTED")) == 1
    assert again.standing("rejected") == ["a.json", "a.json.error"]
    assert again.standing("working") == []


def test_routes_that_changed_between_crash_and_restart_do_not_ask_twice(tmp_path: Path) -> None:
    """The bus says that the id is taken; the file would be refused although it was routed."""
    rig = Rig(tmp_path / "intents")
    (rig.root / "a.json").write_text(intent("Why?"))
    STEPS["before the move"](rig)
    run_into_the_crash(rig, "a.json")
    (left,) = rig.folder.working.iterdir()
    left.write_text(intent("Something else?"))
    again = run_again(rig.root, rig.bus, resumed=1)
    assert again.bus.questions() == ["Why?"]
    assert again.standing("done") == ["a.json"]


def test_a_file_put_into_working_by_hand_is_routed_too(tmp_path: Path) -> None:
    """It would lie there unseen."""
    rig = Rig(tmp_path / "intents")
    (rig.folder.working / "a.json").write_text(intent("Why?"))
    again = run_again(rig.root, rig.bus, resumed=1)
    assert again.standing("done") == ["a.json"]


@pytest.mark.parametrize("error", [BusUnreachableError(), QuotaError(retry_after_s=0.01), PressureError()])
def test_a_bus_that_cannot_take_it_now_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A file would be refused because the bus restarts."""
    monkeypatch.setattr("services.intent_router.work.RETRY_S", 0.01)
    rig = Rig(tmp_path / "intents")
    refusals = [error, error]

    def refuse(plan: Sequence[Outgoing]) -> None:
        if refusals:
            raise refusals.pop()

    rig.bus.before = refuse

    async def scenario() -> None:
        async with rig.running():
            (rig.root / "a.json").write_text(intent("Why?"))
            await rig.routed(1)

    asyncio.run(scenario())
    assert rig.bus.questions() == ["Why?"]
    assert rig.held[-1] is None
    assert any("waiting for the bus" in str(fault) for fault in rig.held)


def test_what_the_bus_refuses_for_good_is_rejected_with_its_words(tmp_path: Path) -> None:
    """The file would be tried for ever, or vanish into done/."""
    rig = Rig(tmp_path / "intents")

    def refuse(plan: Sequence[Outgoing]) -> None:
        if plan[0].signal == "Q_INTENT_READY":
            raise OversizeError("The envelope has 70000 bytes.")

    rig.bus.before = refuse

    async def scenario() -> None:
        async with rig.running():
            (rig.root / "a.json").write_text(intent("Why?"))
            await rig.refused(1)

    asyncio.run(scenario())
    (facts,) = rig.bus.facts("Q_INTENT_REJECTED")
    assert facts["reason"] == "refused_oversize"
    assert "70000" in facts["detail"]


@pytest.mark.parametrize("told", [True, False])
def test_one_refused_file_holds_up_none_that_goes_with_it(tmp_path: Path, told: bool) -> None:
    """A program that drops one bad intent among good ones would lose the good ones, or have them asked twice."""
    rig = Rig(tmp_path / "intents")

    def refuse(plan: Sequence[Outgoing]) -> None:
        if plan[0].facts["file"] == "bad.json" and plan[0].signal == "Q_INTENT_READY":
            raise OversizeError("The envelope has 70000 bytes.", **({"nth": 2} if told else {}))

    rig.bus.before = refuse
    for name in ("a.json", "bad.json", "c.json"):
        (rig.root / name).write_text(intent(f"Why {name}?"))
        rig.arrivals.examine(name, Hint.CLOSED)

    async def scenario() -> None:
        await rig.work.handle(sorted(await rig.arrivals.take(3), key=lambda item: item.name))

    asyncio.run(scenario())
    assert rig.bus.questions() == ["Why a.json?", "Why c.json?"]
    assert rig.standing("done") == ["a.json", "c.json"]
    assert rig.standing("rejected") == ["bad.json", "bad.json.error"]
    assert (rig.work.counts.routed, rig.work.counts.refused) == (2, 1)


def test_a_file_emitted_by_an_earlier_run_holds_up_none_that_goes_with_it(tmp_path: Path) -> None:
    """After a crash and a change of routes the rest of its group would wait for ever."""
    rig = Rig(tmp_path / "intents")
    for name in ("a.json", "b.json"):
        (rig.root / name).write_text(intent(f"Why {name}?"))
        rig.arrivals.examine(name, Hint.CLOSED)

    async def scenario() -> None:
        items = sorted(await rig.arrivals.take(2), key=lambda item: item.name)
        prepared = rig.work.prepare(items)
        await rig.bus([[out._replace(facts=out.facts | {"file": "b4"}) for out in prepared[0].plan[:1]]])
        await rig.work.handle(
            [item._replace(name=each.claim.name, claimed=True) for item, each in zip(items, prepared, strict=True)]
        )

    asyncio.run(scenario())
    assert rig.bus.questions() == ["Why b.json?"]
    assert rig.standing("done") == ["a.json", "b.json"]
    assert len(rig.diary.all("emitted_before")) == 1


def test_a_full_disk_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The router would end, or leave the file in working/ until its next start."""
    monkeypatch.setattr("services.intent_router.work.RETRY_DISK_S", 0.01)
    rig = Rig(tmp_path / "intents")
    note = rig.answers.notes.write
    failures = [OSError(28, "No space left on device")]

    def full(notes: Any) -> None:
        if failures:
            raise failures.pop()
        note(notes)

    monkeypatch.setattr(rig.answers.notes, "write", full)

    async def scenario() -> None:
        async with rig.running():
            (rig.root / "a.json").write_text(intent("Why?"))
            await rig.routed(1)

    asyncio.run(scenario())
    assert rig.bus.questions() == ["Why?"]
