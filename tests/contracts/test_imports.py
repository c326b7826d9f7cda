"""Who may import whom, read from the source of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.contracts.planting import plant

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("signals", "services", "tools")
# What a daemon may import of services beside itself; the frame knows nothing of what daemons share.
LIBRARIES = ("services.runtime", "services.experiments")
# What `logic.py` may not reach, however many modules lie between.
UNREACHABLE = {"apsw", "asyncio", "inotify_simple", "sdnotify", "sqlite3", "zmq"}
# What it may not import itself: the clock, processes, sockets, and the ways to the bus.
IMPURE = UNREACHABLE | {
    "signal",
    "socket",
    "subprocess",
    "threading",
    "time",
    "services.runtime",
    "signals.client",
}
IMPURE_CALLS = {"now", "utcnow", "today", "read_text", "read_bytes", "write_text", "write_bytes"}


def module_name(root: Path, file: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(root: Path) -> dict[str, Path]:
    """Every module of the three packages: dotted name -> file."""
    files = (file for room in ROOMS for file in sorted((root / room).rglob("*.py")))
    return {module_name(root, file): file for file in files}


def dynamic(node: ast.Call) -> str | None:
    """The module that `import_module("x")` or `__import__("x")` names, if it is written out."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called not in ("import_module", "__import__", "run_module") or not node.args:
        return None
    first = node.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    base = parts[: len(parts) - node.level + is_package]
    return ".".join([*base, *([node.module] if node.module else [])])


@cache
def imports(file: Path, module: str) -> tuple[tuple[int, str], ...]:
    """(line, dotted name) of all that `file` imports, inside functions too; read once, however many rules ask.

    `from a import b` gives `a.b`: whether b is a module or a name in a, the rules judge it alike.
    """
    return tuple(_imports(file, module))


def _imports(file: Path, module: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, module, file.name == "__init__.py")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and (named := dynamic(node)):
            yield node.lineno, named


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def allowed_rooms(module: str) -> tuple[str, ...]:
    """The packages of this project that `module` may import from."""
    parts = module.split(".")
    if parts[0] == "signals":
        return ("signals",)
    if parts[0] == "tools":
        return ("signals", "services.runtime", "tools")
    if len(parts) == 1:
        return ()
    own = f"services.{parts[1]}"
    return ("signals", "services.runtime", own) if own in LIBRARIES else ("signals", *LIBRARIES, own)


def strangers(root: Path) -> Iterator[str]:
    """Imports that cross a wall."""
    for module, file in sources(root).items():
        for line, name in imports(file, module):
            ours = name.split(".")[0] in (*ROOMS, "tests")
            if ours and not any(within(name, room) for room in allowed_rooms(module)):
                yield f"{file.relative_to(root)}:{line}: {module} may not import {name}"


def owners(name: str, known: dict[str, Path]) -> list[str]:
    """The modules that importing `name` loads: the packages above it and itself."""
    parts = name.split(".")
    return [found for end in range(1, len(parts) + 1) if (found := ".".join(parts[:end])) in known]


def reached(module: str, known: dict[str, Path]) -> dict[str, str]:
    """All names imported by `module` or by what it imports -> the module that does it."""
    found: dict[str, str] = {}
    seen, todo = {module}, [module]
    while todo:
        current = todo.pop()
        for _, name in imports(known[current], current):
            found.setdefault(name, current)
            new = [owner for owner in owners(name, known) if owner not in seen]
            seen.update(new)
            todo.extend(new)
    return found


def calls(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.lineno, node.func.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            yield node.lineno, "open"


def impure(root: Path) -> Iterator[str]:
    """Ways from a daemon's `logic.py` to the bus, the clock, files or an event loop."""
    known = sources(root)
    for module, file in known.items():
        if not (module.startswith("services.") and file.name == "logic.py"):
            continue
        where = file.relative_to(root)
        for line, name in imports(file, module):
            if any(within(name, taboo) for taboo in IMPURE):
                yield f"{where}:{line}: logic.py may not import {name}"
        for name, through in reached(module, known).items():
            if through != module and name.split(".")[0] in UNREACHABLE:
                yield f"{where}: logic.py reaches {name} through {through}"
        for line, called in calls(file):
            if called in IMPURE_CALLS | {"open"}:
                yield f"{where}:{line}: logic.py may not call {called}()"


def circles(root: Path) -> Iterator[str]:
    """A circle of modules that import each other, if there is one; an import inside a function counts too."""
    known = sources(root)
    graph = {
        module: {owners(name, known)[-1] for _, name in imports(file, module) if owners(name, known)} - {module}
        for module, file in known.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = list(reversed(error.args[1]))  # graphlib goes from what is imported to who imports it
        yield f"{known[circle[0]].relative_to(root)}: a circle of imports: {' -> '.join(circle)}"


def faults(root: Path) -> list[str]:
    return [*strangers(root), *impure(root), *circles(root)]


def test_nothing_crosses_a_wall_or_runs_in_a_circle() -> None:
    """A daemon that imports another falls with it; logic that reaches the bus cannot be tested alone; of modules in a
    circle none can be understood before the others.
    """
    assert faults(ROOT) == []


GOOD = {
    "signals/__init__.py": "",
    "signals/errors.py": "import json\n",
    "signals/client.py": "import zmq\nfrom . import errors\n",
    "services/__init__.py": "",
    "services/runtime/__init__.py": "import asyncio\nfrom signals.client import Client\n",
    "services/experiments/__init__.py": "",
    "services/experiments/space.py": "from services.runtime import config\nimport signals.errors\n",
    "services/greeter/__init__.py": "",
    "services/greeter/__main__.py": "from services.greeter.daemon import daemon\n",
    "services/greeter/daemon.py": "from services.runtime import Daemon\nfrom .logic import greet\n",
    "services/greeter/logic.py": "from signals.errors import SchemaError\nfrom datetime import datetime\n",
    "services/other/__init__.py": "",
    "services/other/daemon.py": "import services.runtime\nfrom services.experiments import space\n",
    "tools/__init__.py": "",
    "tools/tap.py": "from services.runtime.manifest import Manifest\nimport signals.client\n",
}


def test_the_checker_accepts_what_the_rules_allow(tmp_path: Path) -> None:
    """A rule that forbids too much would be switched off, and then guards nothing."""
    assert faults(plant(tmp_path, GOOD)) == []


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "signals/envelope.py",
            "import services.runtime",
            "signals.envelope may not import services.runtime",
        ),
        ("signals/envelope.py", "def f():\n    from tools import tap", "may not import tools.tap"),
        (
            "services/greeter/daemon.py",
            "from services.other.daemon import x",
            "may not import services.other.daemon.x",
        ),
        ("services/greeter/daemon.py", "from services import other", "may not import services.other"),
        ("services/greeter/daemon.py", "from ..other import daemon", "may not import services.other.daemon"),
        ("services/greeter/daemon.py", "from tools.tap import x", "may not import tools.tap.x"),
        ("services/greeter/daemon.py", "import tests.helpers", "may not import tests.helpers"),
        ("services/runtime/frame.py", "import services.greeter", "may not import services.greeter"),
        (
            "services/runtime/frame.py",
            "import services.experiments",
            "services.runtime.frame may not import services.experiments",
        ),
        (
            "services/experiments/trying.py",
            "from services.greeter.logic import x",
            "services.experiments.trying may not import services.greeter.logic.x",
        ),
        ("services/experiments/trying.py", "import tools.tap", "may not import tools.tap"),
        ("tools/map.py", "from services.experiments import space", "may not import services.experiments.space"),
        ("services/__init__.py", "import services.greeter", "may not import services.greeter"),
        ("tools/map.py", "from services.greeter import logic", "may not import services.greeter.logic"),
        ("tools/map.py", "import_module('services.greeter')", "may not import services.greeter"),
        ("services/greeter/logic.py", "import zmq", "logic.py may not import zmq"),
        ("services/greeter/logic.py", "from time import monotonic", "logic.py may not import time.monotonic"),
        (
            "services/greeter/logic.py",
            "import asyncio.subprocess",
            "logic.py may not import asyncio.subprocess",
        ),
        ("services/greeter/logic.py", "import signals.client", "logic.py may not import signals.client"),
        (
            "services/greeter/logic.py",
            "from services.runtime import Reject",
            "may not import services.runtime.Reject",
        ),
        (
            "services/greeter/logic.py",
            "from .helper import x",
            "logic.py reaches zmq through services.greeter.helper",
        ),
        ("services/greeter/logic.py", "x = datetime.now(UTC)", "logic.py may not call now()"),
        ("services/greeter/logic.py", "x = open('y')", "logic.py may not call open()"),
        ("services/greeter/logic.py", "x = Path('y').read_text()", "logic.py may not call read_text()"),
    ],
)
def test_the_checker_names_each_crossing(tmp_path: Path, file: str, text: str, said: str) -> None:
    """A checker that cannot fail would let the architecture rot unseen."""
    helper = {"services/greeter/helper.py": "import zmq\n"}
    root = plant(tmp_path, GOOD | helper | {file: text + "\n"})
    assert [fault for fault in faults(root) if said in fault], faults(root)
    assert all(fault.startswith(file) for fault in faults(root))


def test_the_checker_names_a_circle(tmp_path: Path) -> None:
    """Which modules stand in it, since one of them has to be cut."""
    ring = {
        "services/greeter/helper.py": "def f():\n    from .daemon import x\n",
        "services/greeter/daemon.py": "from services.greeter import helper\n",
    }
    (found,) = faults(plant(tmp_path, GOOD | ring))
    assert found.endswith(
        (
            "services.greeter.daemon -> services.greeter.helper -> services.greeter.daemon",
            "services.greeter.helper -> services.greeter.daemon -> services.greeter.helper",
        )
    )
