"""The check of repositories, against real ones of git."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from services.advisory_monitor import git
from services.advisory_monitor.checks import repositories
from services.advisory_monitor.git import Repository, _environment
from tests.unit.advisory_monitor.looking import Looking, reading

TRAPS = (
    *("core.fsmonitor", "core.pager", "core.sshCommand", "core.editor", "gpg.program", "diff.external"),
    *("filter.trap.clean", "filter.trap.smudge", "filter.trap.process", "diff.trap.textconv"),
)


class TestRepositories:
    """git, with and without malice."""

    def git(self, place: Path, *arguments: str) -> str:
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        done = subprocess.run(
            ["git", "-C", str(place), *who, *arguments], capture_output=True, check=True, env=_environment(), text=True
        )
        return done.stdout.strip()

    def commit(self, place: Path, subject: str) -> str:
        (place / "file.txt").write_text(subject)
        self.git(place, "add", "-A")
        self.git(place, "commit", "-q", "-m", subject)
        return self.git(place, "rev-parse", "HEAD")

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        place = tmp_path / "project"
        place.mkdir()
        self.git(place, "init", "-q", "-b", "main")
        self.commit(place, "Begin")
        return place

    def test_commits_branches_and_switches_are_told(self, tmp_path: Path, place: Path) -> None:
        """What happened in a project while a person was away would be seen too late."""
        looking = Looking("repositories", tmp_path, paths=[str(place)])
        assert looking.says() == []
        first = self.git(place, "rev-parse", "HEAD")
        self.commit(place, "Mend one")
        second = self.commit(place, "Mend two")
        looking.restart()
        (told,) = looking.says(60)
        assert (told["change"], told["ref"], told["commits"]) == ("commits_added", "refs/heads/main", 2)
        assert (told["commit"], told["previous_commit"], told["subject"]) == (second, first, "Mend two")
        self.git(place, "checkout", "-q", "-b", "trial")
        assert [one["change"] for one in looking.says(60)] == ["created", "switched"]
        self.git(place, "reset", "-q", "--hard", first)
        self.commit(place, "Another way")
        assert [one["change"] for one in looking.says(60)] == ["rewritten"]
        self.git(place, "checkout", "-q", "main")
        self.git(place, "branch", "-q", "-D", "trial")
        gone, switched = looking.says(60)
        assert (gone["change"], gone["commit"]) == ("deleted", None)
        assert (switched["ref"], switched["previous_ref"]) == ("refs/heads/main", "refs/heads/trial")

    def test_what_lies_uncommitted_for_long_is_told(self, tmp_path: Path, place: Path) -> None:
        """A week of work would be on one disk only."""
        looking = Looking("repositories", tmp_path, paths=[str(place)], dirty_s=3600)
        (place / "file.txt").write_text("more")
        assert reading(looking.look(), "repository_dirty").severity is None
        looking.restart()
        assert reading(looking.look(3601), "repository_dirty").severity == "warning"
        self.commit(place, "Keep it")
        assert reading(looking.look(60), "repository_dirty").severity is None

    def test_nothing_that_a_repository_holds_is_run(self, tmp_path: Path, place: Path) -> None:
        """Looking at a repository from elsewhere would run its author's programs."""
        trap, sprung = tmp_path / "trap.sh", tmp_path / "sprung"
        trap.write_text(f'#!/bin/sh\necho "$0" >>{sprung}\ncat\n')
        trap.chmod(0o755)
        (place / ".gitattributes").write_text("* filter=trap diff=trap\n")
        self.commit(place, "Set the trap")
        for name in TRAPS:
            self.git(place, "config", name, str(trap))
        self.git(place, "config", "filter.trap.required", "true")
        self.git(place, "config", "log.showSignature", "true")
        hook = place / ".git" / "hooks" / "post-index-change"
        hook.write_text(trap.read_text())
        hook.chmod(0o755)
        looking = Looking("repositories", tmp_path, paths=[str(place)], dirty_s=60)
        sprung.unlink(missing_ok=True)
        looking.look()
        (place / "file.txt").write_text("differs")
        assert looking.look(100).unseen == ()
        assert reading(looking.look(100), "repository_dirty").severity == "warning"
        assert not sprung.exists(), sprung.read_text()

    def test_a_filter_with_an_odd_name_is_not_run(self, tmp_path: Path, place: Path) -> None:
        """On the command line of git a name ends at its first `=`: the filter `a=b` would run its author's program."""
        sprung = tmp_path / "sprung"
        (place / ".gitattributes").write_text("* filter=a=b\n")
        self.commit(place, "Set the trap")
        self.git(place, "config", "filter.a=b.clean", f"touch {sprung}; cat")
        looking = Looking("repositories", tmp_path, paths=[str(place)], dirty_s=60)
        looking.look()
        (place / "file.txt").write_text("differs")
        assert looking.look(100).unseen == ()
        assert reading(looking.look(100), "repository_dirty").severity == "warning"
        assert not sprung.exists()

    def test_settings_that_appear_while_it_looks_are_not_heeded(
        self, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who may write to the repository would only have to be quick to have a program run."""
        sprung = tmp_path / "sprung"
        (place / ".gitattributes").write_text("* filter=trap\n")
        self.commit(place, "Set the trap")
        (place / "file.txt").write_text("differs")
        call = Repository._call

        def late(repository: Repository, arguments: Any, environ: Any) -> Any:
            if arguments[0] == "status":
                self.git(place, "config", "filter.trap.clean", f"touch {sprung}; cat")
            return call(repository, arguments, environ)

        monkeypatch.setattr(Repository, "_call", late)
        assert Repository(place).changed_files() == 1
        assert not sprung.exists()

    @pytest.mark.parametrize("kind", ["worktree", "split index", "autocrlf", "unborn"])
    def test_repositories_of_every_kind_are_clean_when_nothing_was_changed(
        self, tmp_path: Path, place: Path, kind: str
    ) -> None:
        """A repository that is always called dirty, or never, would be watched in appearance only."""
        if kind == "worktree":
            self.git(place, "worktree", "add", "-q", str(tmp_path / "beside"))
            place = tmp_path / "beside"
        elif kind == "split index":
            self.git(place, "update-index", "--split-index")
        elif kind == "autocrlf":
            self.git(place, "config", "core.autocrlf", "true")
            (place / "file.txt").unlink()
            self.git(place, "checkout", "-q", "file.txt")
        else:
            place = tmp_path / "new"
            place.mkdir()
            self.git(place, "init", "-q")
            (place / "file.txt").write_text("one")
            assert Repository(place).changed_files() == 0
            self.git(place, "add", "file.txt")
            assert Repository(place).changed_files() == 1
            return
        assert Repository(place).changed_files() == 0
        (place / "file.txt").write_text("another text")
        assert Repository(place).changed_files() == 1

    def test_one_that_hangs_or_cannot_be_read_hides_no_other(
        self, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One repository on a disk that does not answer would blind the monitor to all of them."""
        real = subprocess.run

        def run(command: list[str], **how: Any) -> Any:
            if "/slow" in str(command):
                raise subprocess.TimeoutExpired(command, 20)
            if "/closed" in str(command):
                raise PermissionError(13, "Permission denied")
            return real(command, **how)

        monkeypatch.setattr(git.subprocess, "run", run)  # type: ignore[attr-defined]
        looking = Looking("repositories", tmp_path, paths=["/slow", "/closed", str(place)])
        slow, closed = looking.look().unseen
        assert (slow.subject, "has not come back" in slow.message) == ("/slow", True)
        assert (closed.subject, "Permission denied" in closed.message) == ("/closed", True)
        self.commit(place, "Mend")
        assert [one["subject"] for one in looking.says(60)] == ["Mend"]

    def test_what_is_too_much_for_one_step_is_told_with_the_next_looks(
        self, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A dozen repositories of a thousand branches would be refused by the bus, and none of them ever be told of."""
        monkeypatch.setattr(repositories, "ROOM", 100)
        places = [place, tmp_path / "second", tmp_path / "third"]
        for other in places[1:]:
            shutil.copytree(place, other)
        looking = Looking("repositories", tmp_path, paths=[str(one) for one in places])
        assert [(len(looking.look().puts), len(looking.kept)) for _ in places] == [(1, 1), (1, 2), (1, 3)]
        for nth, one in enumerate(places):
            self.commit(one, f"Mend {nth}")
        told = [looking.says(60) for _ in range(4)]
        assert [[one["subject"] for one in says] for says in told] == [["Mend 0"], ["Mend 1"], ["Mend 2"], []]

    def test_a_look_takes_few_programs(self, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sixty repositories, each minute, would cost more than all else that the monitor does."""
        asked: list[str] = []
        call = Repository._call

        def counted(repository: Repository, arguments: Any, environ: Any) -> Any:
            asked.append(arguments[0])
            return call(repository, arguments, environ)

        monkeypatch.setattr(Repository, "_call", counted)
        Looking("repositories", tmp_path, paths=[str(place)]).look()
        assert "status" in asked
        assert len(asked) <= 7

    def test_what_git_will_not_read_is_said(self, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A repository of another user, or none at all, would be watched in appearance only."""
        (tmp_path / "empty").mkdir()
        (unseen,) = Looking("repositories", tmp_path, paths=[str(tmp_path / "empty")]).look().unseen
        assert "not a git repository" in unseen.message
        os.chown(place, 12345, 12345)
        (unseen,) = Looking("repositories", tmp_path, paths=[str(place)]).look().unseen
        assert "safe.directory" in unseen.hint
        monkeypatch.setenv("PATH", str(tmp_path))
        (unseen,) = Looking("repositories", tmp_path, paths=[str(place)]).look().unseen
        assert "there is no git" in unseen.message
