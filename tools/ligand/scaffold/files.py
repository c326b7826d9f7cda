"""Which files a new daemon needs, and what stands in them: in a clone, or among a person's own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from signals.errors import ConfigError
from signals.paths import Paths
from tools.ligand.scaffold import code
from tools.ligand.scaffold.contracts import contract
from tools.ligand.scaffold.plan import Plan

Files = dict[Path, str]
PATTERN = "investigator"
"""The daemon whose unit a new one is modelled on."""


def manifest(plan: Plan) -> str:
    """`manifest.yaml`."""
    lines = [f"daemon: {plan.name}", f"description: {plan.description}"]
    for key, names in (("consumes", plan.consumes), ("emits", plan.emits)):
        lines += [f"{key}:", *(f"  - {name}" for name in names)] if names else []
    lines += ["# what it can be told in its configuration file, as a JSON Schema with defaults"]
    lines += ["config:", "  type: object", "  additionalProperties: false", "  properties: {}"]
    lines += ["# what it may use: shares of one core at work and idle, proportional memory, log lines a second;"]
    lines += ["# and the least and most that it emits, a minute, of what it emits by the clock"]
    lines += ["budget:", "  cpu: 0.2", "  idle_cpu: 0.03", "  memory_mib: 120", "  log_lines_per_s: 3"]
    lines += ["  per_minute:", "    Q_HEARTBEAT: {min: 8, max: 18}"]
    return "\n".join(lines) + "\n"


# -- in a clone --------------------------------------------------------------------------------------


def in_clone(plan: Plan, root: Path) -> Files:
    """The files to write and to change in a clone. Raises `ConfigError` where the clone is not as expected."""
    room = root / "services" / plan.name
    files: Files = {
        room / "__init__.py": f'"""{plan.description}."""\n',
        room / "__main__.py": (
            f'"""Run {plan.name} until it is told to stop."""\n\nfrom services.{plan.name}.daemon import daemon\n\n'
            "daemon.run()\n"
        ),
        room / "manifest.yaml": manifest(plan) + "unit:\n  exposure: 0.7\n  memory_max: 256M\n  network: false\n",
        room / "daemon.py": code.daemon(plan),
        room / "logic.py": code.logic(plan),
        root / "systemd" / f"ligand-{plan.dashed}.service": _system_unit(plan, root),
        root / "tests" / "unit" / plan.name / f"test_{plan.name}.py": code.unit_test(plan),
        root / "tests" / "live" / plan.name / f"test_{plan.name}_on_a_bus.py": code.live_test(plan),
    }
    files |= {root / "signals" / "contracts" / f"{name}.json": contract(plan, name) for name in sorted(plan.fresh)}
    return files | dict(_changed(plan, root))


def _system_unit(plan: Plan, root: Path) -> str:
    pattern = _read(root / "systemd" / f"ligand-{PATTERN}.service")
    text = re.sub(r"^Description=.*$", f"Description=Ligand: {plan.name}", pattern, count=1, flags=re.MULTILINE)
    text = text.replace(f"services.{PATTERN}", f"services.{plan.name}").replace(
        f"ligand/{PATTERN}", f"ligand/{plan.name}"
    )
    text = text.replace(f"ligand-{PATTERN}", f"ligand-{plan.dashed}")
    return text.replace("ProtectHome=read-only", "ProtectHome=yes")


def _changed(plan: Plan, root: Path) -> Iterator[tuple[Path, str]]:
    users = root / "systemd" / "ligand.sysusers.conf"
    text, name = _read(users), f"ligand-{plan.dashed}"
    words = f'"Ligand {plan.name.replace("_", " ")}"'
    text = _after_last(
        text, r"^u +ligand-\S+ .*$", f"u      {name:<29} -  {words:<38} /var/lib/ligand/{plan.name}", users
    )
    yield users, _after_last(text, r"^m +ligand-\S+ +ligand$", f"m      {name:<29} ligand", users)
    page = root / "docs" / "architecture.md"
    heard = ", ".join(f"`{signal}`" for signal in plan.consumes) or "the clock"
    said = ", ".join(f"`{signal}`" for signal in plan.emits) or "–"
    row = f"| `{plan.name}` | {heard} | {plan.description[0].lower()}{plan.description[1:]} | {said} |"
    yield page, _after_last(_read(page), r"^\| `\w+` \|.*\|.*\|.*\|$", row, page)


def _after_last(text: str, pattern: str, line: str, file: Path) -> str:
    found = list(re.finditer(pattern, text, re.MULTILINE))
    if not found:
        raise ConfigError(
            f"{file} has no line like {pattern}, after which the new daemon's would stand. Mend it first."
        )
    end = found[-1].end()
    return f"{text[:end]}\n{line}{text[end:]}"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"Cannot read {file}: {error.strerror}. Is this a whole clone of Ligand?") from error


# -- a person's own ----------------------------------------------------------------------------------


def of_a_person(plan: Plan, paths: Paths) -> Files:
    """A script, its manifest, test and unit, and contracts, in the configuration folder."""
    program = paths.manifests / f"{plan.name}.py"
    files: Files = {
        program: code.script(plan),
        paths.manifests / f"{plan.name}.yaml": manifest(plan),
        paths.manifests / f"test_{plan.name}.py": code.own_test(plan),
        paths.config / "units.d" / f"ligand-{plan.dashed}.service": _own_unit(plan, program),
    }
    return files | {paths.contracts / f"{name}.json": contract(plan, name) for name in sorted(plan.fresh)}


def _own_unit(plan: Plan, program: Path) -> str:
    lines = [
        "# `ligand up` runs this as it stands. For systemd: systemctl --user link THIS_FILE, and with a home of",
        f"# its own: systemctl --user edit ligand-{plan.dashed}, with Environment=LIGAND_HOME=… under [Service].",
        "[Unit]",
        f"Description=Ligand: {plan.name}",
        "After=ligand-bus.service",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={_quoted(sys.executable)} {_quoted(str(program))}",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "WatchdogSec=30",
        "TimeoutStartSec=60",
        "TimeoutStopSec=20",
        "Restart=always",
        "RestartSec=2",
        "RestartPreventExitStatus=78",
        "MemoryMax=256M",
        "NoNewPrivileges=yes",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _quoted(word: str) -> str:
    safe = word.replace("%", "%%").replace("$", "$$")
    return f'"{safe}"' if " " in safe else safe
