"""What the doctor finds, and what the configuration is, against real homes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from signals.errors import SchemaError
from tests.support.commands import ligand, run, run_on_terminal
from tests.support.constellation import Constellation
from tools.ligand.checks.home import addresses, file_system
from tools.ligand.checks.machine import clock, python, sqlite


@pytest.fixture
def quiet(tmp_path: Path) -> Constellation:
    """A home in which nothing runs."""
    found = Constellation(tmp_path)
    found.paths.ensure()
    return found


def findings(home: Path, *arguments: str) -> tuple[int, list[dict[str, str]]]:
    done = ligand(home, "doctor", "-o", "json", *arguments)
    assert "Traceback" not in done.err
    return done.code, done.objects


def mends(home: Path) -> list[dict[str, str]]:
    code, found = findings(home)
    assert code == 1
    return [each for each in found if each["state"] == "mend"]


def test_a_well_home_has_nothing_to_mend(alone: Constellation) -> None:
    """A doctor that cries wolf is not listened to."""
    code, found = findings(alone.home)
    assert code == 0, [each for each in found if each["state"] == "mend"]
    checks = {each["check"] for each in found}
    assert {
        "python", "sqlite", "clock", "inotify", "microphone", "camera", "addresses", "permissions", "disk", "disk sync",
        "lock", "configuration", "journal", "bus", "units",
    } <= checks  # fmt: skip
    assert all(each["todo"] for each in found if each["state"] != "ok")


def test_on_a_terminal_and_in_a_pipe(alone: Constellation) -> None:
    """Colours where they can be seen, none elsewhere; what to do stands below what was found."""
    assert "\x1b[32mok" in run_on_terminal("ligand", alone.home, "doctor").text
    plain = ligand(alone.home, "doctor", "-q")
    assert "\x1b" not in plain.text
    assert "-> " in plain.text
    assert not any(line.startswith("ok ") for line in plain.lines)


def test_a_fresh_home_needs_no_mending(tmp_path: Path) -> None:
    """Before the first start everything that is missing is a note that says what makes it."""
    code, found = findings(tmp_path)
    assert code == 0
    assert any("ligand up" in each["todo"] for each in found)


def test_a_damaged_journal_is_found(own: Constellation) -> None:
    """The sooner a person restores, the less is lost."""
    own.close()
    path = own.paths.journal
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
    (found,) = mends(own.home)
    assert found["check"] == "journal"
    assert "ligand journal restore" in found["todo"]


def test_a_slip_in_the_configuration_is_found(quiet: Constellation) -> None:
    """The doctor says the same as `config check`: file, line, and what was meant."""
    file = quiet.paths.config_of("investigator")
    file.write_text("max_files: 5\nmax_second: 3\n")
    (found,) = mends(quiet.home)
    assert found["check"] == "configuration"
    assert str(file) in found["found"] + found["todo"]
    checked = ligand(quiet.home, "config", "check")
    assert checked.code == 2
    assert "max_second" in checked.text
    (problem,) = ligand(quiet.home, "config", "check", "-o", "json").objects
    assert (problem["daemon"], problem["line"]) == ("investigator", 2)


def test_a_folder_open_to_all_and_a_silent_lock_are_found(own: Constellation) -> None:
    """Somebody else's file there would be taken for a person's wish; a hung bus looks like none."""
    own.paths.intents.chmod(0o777)
    (found,) = mends(own.home)
    assert found["todo"] == f"chmod o-w {own.paths.intents}"
    own.paths.intents.chmod(0o750)
    own.close()
    lock = own.paths.run / "bus.lock"
    source = (
        f"import fcntl, time; f = open({str(lock)!r}, 'a'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True)"
    )
    holding = own.start("holding", "-c", f"{source}; time.sleep(60)")
    while "held" not in holding.tail():
        assert holding.process.poll() is None
    (found,) = mends(own.home)
    assert found["check"] == "lock"
    holding.kill()


def test_an_absent_daemon_and_dead_letters_are_told(own: Constellation) -> None:
    """A daemon that should run and does not is to be mended; letters that wait are worth a note."""
    own.manifest("absent", consumes=["Q_SPEAK"])
    own.running[0].stop()
    own.bus()
    with own.emitter() as emitter:
        bad = emitter.signal("Q_SPEAK", {"nonsense": 1})
        with pytest.raises(SchemaError):
            emitter.emit(bad)
    code, found = findings(own.home)
    assert code == 1
    assert [each["found"] for each in found if each["state"] == "mend"] == ["absent is absent"]
    assert any(each["check"] == "dead letters" and each["state"] == "note" for each in found)
    assert any("absent has no unit" in each["found"] for each in found)


def test_what_is_too_old_or_unset_is_told() -> None:
    """Each names what to install or set."""
    assert python((3, 9, 2)).state == "mend"
    assert sqlite("3.34.1").state == "mend"
    assert clock(0.0).state == "mend"


def test_the_file_system_is_the_innermost_mount(tmp_path: Path) -> None:
    """A journal on NFS would lose what was acknowledged; a local home beneath it is none."""
    mounts = tmp_path / "mounts"
    mounts.write_text("a / ext4 rw 0 0\nb /home nfs4 rw 0 0\nc /home/my\\040disk xfs rw 0 0\n")
    assert file_system(Path("/home/me"), mounts) == "nfs4"
    assert file_system(Path("/home/my disk/x"), mounts) == "xfs"
    assert file_system(Path("/srv"), mounts) == "ext4"


def test_a_deep_home_still_has_an_address(tmp_path: Path) -> None:
    """Too long a path is replaced by a short one, and the doctor says which."""
    deep = tmp_path / ("x" * 90)
    assert addresses(Constellation(deep).paths).state == "ok"
    assert "too long" in addresses(Constellation(deep).paths).found


class TestConfig:
    def test_a_right_configuration(self, alone: Constellation) -> None:
        """Exit code 0 and nothing to read but where it is."""
        done = ligand(alone.home, "config", "check")
        assert (done.code, done.text) == (0, f"{alone.paths.config}: can be used\n")
        assert ligand(alone.home, "config", "check", "-o", "json").out == b""

    def test_files_that_nobody_reads(self, quiet: Constellation) -> None:
        """A file with a slip in its name is without effect, and a person would wonder."""
        quiet.config("invesitgator", {"max_files": 5})
        quiet.paths.config.joinpath("intent_routes.yaml").write_text("routes: []\n")
        done = ligand(quiet.home, "config", "check")
        assert done.code == 0
        assert "Did you mean investigator.yaml?" in done.text
        assert "intent_routes" not in done.text

    @pytest.mark.parametrize(
        ("file", "text", "says"),
        [
            ("bus.yaml", "disable: [investigatr]\n", "Did you mean investigator?"),
            ("bus.yaml", "retention: {days: -1}\n", "days"),
            ("contracts.d/Q_X_Y.json", "{}", "Q_X_Y.json"),
            ("daemons.d/x.yaml", "daemon: X\n", "x.yaml"),
            ("daemons.d/x.yaml", "daemon: x\ndescription: x\nemits: [Q_NOT_THERE]\n", "Q_NOT_THERE"),
        ],
    )
    def test_each_kind_of_fault(self, tmp_path: Path, file: str, text: str, says: str) -> None:
        """What would keep a daemon from starting is told before it is started."""
        path = Constellation(tmp_path).paths.config / file
        path.parent.mkdir(parents=True)
        path.write_text(text)
        done = ligand(tmp_path, "config", "check")
        assert done.code == 2
        assert says in done.text

    @pytest.mark.parametrize("daemon", ["bus", "investigator"])
    def test_up_and_check_end_alike(self, tmp_path: Path, daemon: str) -> None:
        """A script that starts Ligand must tell a configuration to mend from a daemon that crashed."""
        Constellation(tmp_path).config(daemon, {"max_second": 3})
        for words in (("up", "--only", "bus", "--only", "investigator"), ("config", "check")):
            done = run("ligand", tmp_path, *words)
            assert (done.code, "max_second" in done.text + done.err) == (2, True)

    def test_a_daemon_judges_the_files_that_only_it_understands(self, tmp_path: Path) -> None:
        """Routes with a slip would keep the router from starting, while the check called them well."""
        config = Constellation(tmp_path).paths.config
        config.mkdir(parents=True)
        file = config / "intent_routes.yaml"
        for text, line, says in (
            ("routes:\n  - {name: x, type: y, signal: Q_CURIOSITY_INVESTIGAT, facts: {}}\n", 2, "did you mean"),
            ("routes: [\n", 2, "intent_routes.yaml"),
            ("routs: []\n", 1, "routs"),
        ):
            file.write_text(text)
            (problem,) = ligand(tmp_path, "config", "check", "-o", "json").objects
            assert (problem["file"], problem["line"], problem["daemon"]) == (str(file), line, "intent_router")
            assert says in problem["message"]
            assert f"{file}:{line}: " in ligand(tmp_path, "config", "check").text
        file.write_text("routes: []\n")
        assert ligand(tmp_path, "config", "check").code == 0
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["config", "intent_routes.yaml"]

    def test_experiments_are_judged_each_for_itself(self, quiet: Constellation) -> None:
        """A night's cycle that could not begin, for a slip that nobody had told; a file that nobody reads."""
        assert ligand(quiet.home, "dream", "new", "near").code == 0
        folder = quiet.paths.config / "experiments"
        (folder / "broken.yaml").write_text("about: x\n")
        (folder / "other.yml").write_text("about: x\n")
        found = {Path(one["file"]).name: one for one in ligand(quiet.home, "config", "check", "-o", "json").objects}
        assert found.keys() == {"near.yaml", "broken.yaml", "other.yml"}
        assert found["near.yaml"]["daemon"] == "dream_runner"
        assert f"evaluate.command[0]: there is no file {folder}/near.py" in found["near.yaml"]["message"]
        assert "Did you mean other.yaml?" in found["other.yml"]["message"]
        (folder / "broken.yaml").unlink()
        (folder / "near.py").write_text("#!/usr/bin/env python3\n")
        (problem,) = mends(quiet.home)
        assert f"chmod +x {folder}/near.py" in problem["found"]
        (folder / "near.py").chmod(0o755)
        assert f"{quiet.paths.config}/semantic_dedup.yaml: No such file" in ligand(quiet.home, "config", "check").text
        quiet.config("semantic_dedup", {"embeddings": {"near": 0.8}})
        assert ligand(quiet.home, "config", "check").code == 0

    def test_show_is_yaml_that_could_be_the_file(self, quiet: Constellation) -> None:
        """What is set stands in it, what is a default as a comment; JSON has both."""
        quiet.config("investigator", {"max_files": 7})
        shown = ligand(quiet.home, "config", "show", "investigator")
        assert yaml.safe_load(shown.text) == {"max_files": 7}
        assert "# max_seconds: 60" in shown.text
        (found,) = ligand(quiet.home, "config", "show", "investigator", "-o", "json").objects
        assert (found["changed"], found["config"]["max_seconds"]) == (["max_files"], 60)
        assert "# bus:" in ligand(quiet.home, "config", "show").text
        wrong = ligand(quiet.home, "config", "show", "investigatr")
        assert (wrong.code, "did you mean investigator?" in wrong.err) == (2, True)

    def test_secrets_are_masked(self, quiet: Constellation) -> None:
        """What a schema marks secret is not shown on a screen that somebody else sees."""
        schema = {"type": "object", "properties": {"token": {"type": "string", "x-secret": True, "default": ""}}}
        quiet.manifest("caller", emits=["Q_SPEAK"], config=schema)
        quiet.config("caller", {"token": "hunter2"})
        shown = ligand(quiet.home, "config", "show", "caller")
        assert "hunter2" not in shown.text
        assert "***" in shown.text

    def test_path(self, alone: Constellation) -> None:
        """A person opens the right file, also before it is there."""
        path = ligand(alone.home, "config", "path", "investigator").text.strip()
        assert path == str(alone.paths.config_of("investigator"))
        found = {each["what"]: each for each in ligand(alone.home, "config", "path", "-o", "json").objects}
        assert (found["journal"]["path"], found["journal"]["exists"]) == (str(alone.paths.journal), True)
        assert (found["drop folder"]["path"], found["units of your own"]["exists"]) == (
            str(alone.paths.intents),
            False,
        )
        assert str(alone.paths.intents) in ligand(alone.home, "config", "path").text
