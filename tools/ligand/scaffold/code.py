"""The source of a new daemon and of its tests."""

from __future__ import annotations

import pprint
from textwrap import indent
from typing import Any

from tools.ligand.scaffold.plan import Plan

WIDTH = 96


def logic(plan: Plan) -> str:
    """`logic.py`: one pure function for each signal it emits."""
    head = (
        f'"""What {plan.name} decides. Pure: no bus, no clock, no files."""\n\nfrom __future__ import annotations\n\n'
    )
    if not plan.emits:
        return head + "# Decisions go here, as plain functions of facts.\n"
    return head + _imports(plan) + "\n\n" + functions(plan)


def _imports(plan: Plan) -> str:
    return (
        "from collections.abc import Mapping\nfrom typing import Any\n" if plan.consumes else "from typing import Any\n"
    )


def functions(plan: Plan) -> str:
    """The functions alone."""
    return "\n\n".join(_function(plan, signal) for signal in plan.emits)


def _function(plan: Plan, signal: str) -> str:
    takes = "facts: Mapping[str, Any]" if plan.consumes else ""
    return (
        f"def {called(signal)}({takes}) -> dict[str, Any]:\n"
        f'    """The facts of a {signal}; they must fit its contract."""\n'
        f"    return {_result(plan, signal)}\n"
    )


def _result(plan: Plan, signal: str) -> str:
    """A first answer that works: what was heard, where both speak of a text, else the contract's example."""
    if _echoes(plan, signal):
        return '{"text": f"heard: {facts[\'text\']}"}'
    return indent(pprint.pformat(plan.sample(signal), width=WIDTH, sort_dicts=False), "    ").strip()


def _echoes(plan: Plan, signal: str) -> bool:
    """Whether both what is heard and what is said is a text."""
    return signal in plan.fresh and bool(plan.consumes) and all(heard in plan.fresh for heard in plan.consumes)


def answer(plan: Plan, signal: str, heard: str) -> dict[str, Any]:
    """What the first version says to `heard`'s sample."""
    if _echoes(plan, signal):
        return {"text": f"heard: {plan.sample(heard)['text']}"}
    return plan.sample(signal)


def called(signal: str) -> str:
    """The name of the function that makes a signal's facts."""
    return signal.removeprefix("Q_").lower()


def handlers(plan: Plan, through: str) -> str:
    """The handlers; `through` is the prefix of the functions (`logic.` or nothing)."""
    if not plan.consumes:
        return _tick(plan, through)
    return "\n\n".join(_handler(plan, heard, through) for heard in plan.consumes)


def _handler(plan: Plan, heard: str, through: str) -> str:
    takes = "signal: Signal, emit: Any" if plan.emits else "signal: Signal"
    body = [f'    emit("{said}", {through}{called(said)}(signal.facts))' for said in plan.emits]
    body.append('    daemon.log.info("handled", cause=signal.id)')
    return (
        f'@daemon.on("{heard}")\nasync def on_{called(heard)}({takes}) -> None:\n'
        f'    """Handle one {heard}."""\n' + "\n".join(body) + "\n"
    )


def _tick(plan: Plan, through: str) -> str:
    body = [f'    await daemon.emit("{said}", {through}{called(said)}())' for said in plan.emits]
    return (
        '@daemon.every(60)\nasync def look() -> None:\n    """Look once; again a minute after it ends."""\n'
        + "\n".join(body)
        + "\n"
    )


def daemon(plan: Plan) -> str:
    """`daemon.py` of a room."""
    imports = ["from services.runtime import Daemon"]
    imports += [f"from services.{plan.name} import logic"] if plan.emits else []
    imports += ["from signals.envelope import Signal"] if plan.consumes else []
    imports.sort()
    typing = "from typing import Any\n\n" if plan.emits and plan.consumes else ""
    return (
        f'"""{plan.description}."""\n\nfrom __future__ import annotations\n\n{typing}'
        + "\n".join(imports)
        + f'\n\ndaemon = Daemon("{plan.name}")\n\n\n'
        + handlers(plan, "logic.")
    )


def script(plan: Plan) -> str:
    """The whole of a daemon in one file, for a person's own."""
    typing = ["from collections.abc import Mapping"] if plan.emits and plan.consumes else []
    typing += ["from typing import Any"] if plan.emits else []
    imports = ["from services.runtime import Daemon"]
    imports += ["from signals.envelope import Signal"] if plan.consumes else []
    parts = [
        f'"""{plan.description}."""\n',
        "from __future__ import annotations\n",
        *(["\n".join(typing) + "\n"] if typing else []),
        "\n".join(imports) + "\n",
        f'daemon = Daemon("{plan.name}")\n\n',
        *([functions(plan) + "\n"] if plan.emits else []),
        handlers(plan, "") + "\n",
        'if __name__ == "__main__":\n    daemon.run()\n',
    ]
    return "\n".join(parts)


def unit_test(plan: Plan) -> str:
    """Tests of `logic.py` against the contracts."""
    cases = [(heard, said) for heard in plan.consumes or ("",) for said in plan.emits]
    lines = [
        f'"""What {plan.name} decides, without a bus."""\n',
        "from __future__ import annotations\n",
        f"from services.{plan.name} import logic" if cases else "",
        "from signals.catalogue import Catalogue\n\nCATALOGUE = Catalogue.load()\n",
    ]
    for heard, said in cases:
        given = f'CATALOGUE["{heard}"].examples[0]' if heard else ""
        name = f"{called(heard)}_gives_{called(said)}" if heard else called(said)
        lines.append(
            f"\ndef test_{name}() -> None:\n"
            f'    """Facts that do not fit their contract would end the story in a dead letter."""\n'
            f'    CATALOGUE["{said}"].check(logic.{called(said)}({given}))\n'
        )
    if not cases:
        heard = plan.consumes[0]
        lines.append(
            f"\ndef test_the_signal_is_known() -> None:\n"
            f'    """A daemon that consumes what no contract describes refuses to start."""\n'
            f'    assert "{heard}" in CATALOGUE\n'
        )
    return "\n".join(line for line in lines if line)


def live_test(plan: Plan) -> str:
    """A test of the daemon on a real bus, in the clone."""
    return (
        f'"""{plan.name} on a real bus."""\n\nfrom __future__ import annotations\n\nfrom tools.trial import trial\n\n\n'
        f"def test_it_does_its_work() -> None:\n"
        f'    """What a person relies on: a {(plan.consumes or plan.emits)[0]} has its effect."""\n'
        + indent(_trial(plan, "None", "assert {found} == {wanted}"), "    ")
    )


def own_test(plan: Plan) -> str:
    """A test for a person's own daemon; needs nothing but Ligand itself."""
    return (
        f'"""Tries {plan.name} on a bus of its own, in a home that is thrown away: `python test_{plan.name}.py`."""\n\n'
        "from __future__ import annotations\n\nimport unittest\nfrom pathlib import Path\n\n"
        "from tools.trial import trial\n\n"
        "CONFIG = Path(__file__).resolve().parents[1]\n\n\n"
        f"class Test{plan.title}(unittest.TestCase):\n"
        f"    def test_it_does_its_work(self) -> None:\n"
        f'        """What a person relies on: a {(plan.consumes or plan.emits)[0]} has its effect."""\n'
        + indent(_trial(plan, "CONFIG", "self.assertEqual({found}, {wanted})"), "        ")
        + '\n\nif __name__ == "__main__":\n    unittest.main()\n'
    )


def _trial(plan: Plan, config: str, compare: str) -> str:
    lines = [f'with trial({config}, "{plan.name}") as bus:']
    if not plan.consumes:
        said = plan.emits[0]
        wanted = repr(answer(plan, said, ""))
        return (
            "\n".join(
                [
                    *lines,
                    f'    said = bus.wait_for("{said}")',
                    "    " + compare.format(found="said.facts", wanted=wanted),
                ]
            )
            + "\n"
        )
    for heard in plan.consumes:
        lines.append(f'    asked = bus.emit("{heard}", {plan.sample(heard)!r})')
        for said in plan.emits:
            wanted = repr(answer(plan, said, heard))
            lines.append(f'    answer = bus.wait_for("{said}", because=asked)')
            lines.append("    " + compare.format(found="answer.facts", wanted=wanted))
        if not plan.emits:
            lines.append(
                "    " + compare.format(found="[one.id for one in bus.signals(asked.signal)]", wanted="[asked.id]")
            )
    return "\n".join(lines) + "\n"
