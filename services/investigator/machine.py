"""What the machine itself tells: unit files, the system's journal, the history of a repository. Read-only, bounded.

Nothing here takes a command or an option from a question or a model: only names of a fixed form, and places beneath the
configured folders. Git itself is not run, because a repository's own configuration can make it run programs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from services.investigator.beside import printable
from services.investigator.report import MAX_EXCERPT, Evidence
from services.investigator.roots import Place, read_beneath
from services.investigator.survey import digest

UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@-]{0,200}\.(service|timer|socket|path|target|mount|slice)")
UNIT_FOLDERS = tuple(
    Path(folder, "systemd/system") for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
MAX_UNIT = 64 * 1024
MAX_LOG = 256 * 1024
JOURNAL_LINES = 60
JOURNAL_S = 10.0
COMMITS = 30
_SECRET = re.compile(r"^\s*(Environment|PassEnvironment|SetCredential\w*)\s*=.*$", re.MULTILINE)


def unit_files(name: str, folders: tuple[Path, ...] = UNIT_FOLDERS) -> Iterator[Evidence]:
    """The file of a unit and its drop-ins; values that may be secrets are left out."""
    if not UNIT.fullmatch(name):
        return
    seen: set[Path] = set()
    for folder in folders:
        for path in (folder / name, *sorted((folder / f"{name}.d").glob("*.conf"))):
            try:
                real = path.resolve(strict=True)
                data = read_beneath(real.parent, (real.name,), MAX_UNIT)
            except (OSError, RuntimeError):
                continue
            if real in seen:
                continue
            seen.add(real)
            text = _SECRET.sub(r"\1=(left out)", data.decode("utf-8", "replace"))
            yield Evidence("unit_file", printable(path), digest(data), text[:MAX_EXCERPT])


def journal(name: str) -> Iterator[Evidence]:
    """The last lines of a unit in the system's journal, if this daemon may read it."""
    command = shutil.which("journalctl")
    if command is None or not UNIT.fullmatch(name):
        return
    options = ["--no-pager", "--quiet", "--output=short-iso", f"--lines={JOURNAL_LINES}", f"--unit={name}"]
    try:
        done = subprocess.run(
            [command, *options], capture_output=True, timeout=JOURNAL_S, stdin=subprocess.DEVNULL, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return
    if done.stdout.strip():
        text = done.stdout.decode("utf-8", "replace")
        yield Evidence("journal", f"journalctl --unit={name}", digest(done.stdout), text[-MAX_EXCERPT:])


def history(place: Place, parts: tuple[str, ...]) -> Iterator[Evidence]:
    """Where a repository stands and what was last done in it, from git's own log of its head."""
    try:
        head = read_beneath(place.path, (*parts, ".git", "HEAD"), MAX_UNIT)
        log = read_beneath(place.path, (*parts, ".git", "logs", "HEAD"), MAX_LOG)
    except OSError:
        return
    folder = place.path.joinpath(*parts)
    lines = [_commit(line) for line in log.decode("utf-8", "replace").splitlines()[-COMMITS:]]
    text = f"HEAD is {head.decode('utf-8', 'replace').strip()}; the last that was done, the newest first:\n"
    text += "\n".join(reversed(lines))
    yield Evidence("git", printable(folder / ".git/logs/HEAD"), digest(log), text[:MAX_EXCERPT])


def _commit(line: str) -> str:
    """`old new name <mail> time zone<TAB>what`, without the mail address."""
    who, _, what = line.partition("\t")
    return f"{who[41:51]} {what}"
