"""Experiments as files: what is read from them, and how each mistake is told."""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.experiments.definition import load, load_all
from services.experiments.model import Experiment
from services.experiments.startable import faults
from services.runtime.checking import problems_of
from signals.errors import ConfigError

NOBODY = 65534
CASES = {"tuning": ["a", "b"], "held_out": ["c", "d", "e", "f", "g"]}
GOOD: dict[str, Any] = {
    "about": "when two findings are the same",
    "target": {
        "file": "semantic_dedup.yaml",
        "format": "yaml",
        "keys": {"near": "embeddings.near", "far": "embeddings.far", "way": "way", "size": "size"},
        "daemon": "semantic_dedup",
    },
    "search_space": {
        "near": {"type": "float", "low": 0.2, "high": 0.95},
        "far": {"type": "float", "low": 0, "high": 1, "step": 0.25},
        "way": {"type": "categorical", "choices": ["plain", "grams", True]},
        "size": {"type": "int", "low": 1, "high": 64, "log": True, "when": {"way": "grams"}},
    },
    "constraints": ["near >= far"],
    "evaluate": {"command": ["./measure"], "cases": CASES},
    "objective": {"metrics": {"f1": "maximize"}, "guardrails": {"precision": {"min": 0.9}}},
}


def changed(place: str, value: Any) -> dict[str, Any]:
    """The good one with a dotted key set; None takes it away."""
    data = copy.deepcopy(GOOD)
    *above, last = place.split(".")
    at = data
    for name in above:
        at = at.setdefault(name, {})
    at[last] = value
    if value is None:
        del at[last]
    return data


def written(folder: Path, data: Any, name: str = "dedup") -> Path:
    path = folder / "experiments" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False))
    program(path.with_name("measure"))
    return path


def program(path: Path, text: str = "#!/bin/sh\n", mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def read(folder: Path, data: Any, name: str = "dedup") -> Experiment:
    return load(written(folder, data, name), folder)


def test_what_a_person_writes_is_read_and_the_rest_is_safe(tmp_path: Path) -> None:
    """A default that deploys by itself, or a value lost on the way, would change a configuration unasked."""
    found = read(tmp_path, GOOD)
    assert (found.name, found.autonomy, len(found.digest)) == ("dedup", "ask", 64)
    assert found.target.path == tmp_path / "semantic_dedup.yaml"
    assert (found.evaluate.timeout_s, found.evaluate.memory_mib, found.evaluate.repeats) == (30, 256, 3)
    assert (found.budget.trials, found.budget.wall_clock_s, found.budget.concurrency) == (40, 600, 1)
    assert (found.objective.alpha, found.objective.least_effect) == (0.05, 0.01)
    assert found.objective.measured == ("f1", "precision")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"near": 0.5, "far": 0.25, "way": "plain"}, None),
        ({"near": 0.5, "far": 0, "way": "grams", "size": 8}, None),
        ({"near": 0.5, "far": 0.25, "way": True}, None),
        ({"near": 0.5, "far": 0.75, "way": "plain"}, "near >= far does not hold"),
        ({"near": 0.5, "far": 0.3, "way": "plain"}, "far is 0.3, not 0 plus a multiple of 0.25"),
        ({"near": 2, "far": 0.25, "way": "plain"}, "near is 2, outside 0.2 to 0.95"),
        ({"near": 10**400, "far": 0.25, "way": "plain"}, "near is 1000000000"),
        ({"near": float("nan"), "far": 0.25, "way": "plain"}, "near is nan, outside"),
        ({"near": True, "far": 0.25, "way": "plain"}, "near must be a number, not True"),
        ({"near": 0.5, "far": 0.25, "way": 1}, "way is 1, none of"),
        ({"near": 0.5, "far": 0.25, "way": "plain", "size": 8}, "size does not take part"),
        ({"near": 0.5, "far": 0.25, "way": "grams"}, "size is missing"),
        ({"near": 0.5, "far": 0.25, "way": "grams", "size": 8.5}, "size must be a whole number"),
        ({"near": 0.5, "way": "plain", "else": 1}, "there is no parameter else; far is missing"),
    ],
)
def test_values_are_held_against_the_space(tmp_path: Path, params: dict[str, Any], said: str | None) -> None:
    """A promotion or a winner with values out of bounds would end in a configuration."""
    found = read(tmp_path, GOOD)
    if said is None:
        assert found.normal(params) == params
        return
    with pytest.raises(ValueError, match=re.escape(said)):
        found.normal(params)


WRONG: list[tuple[str, Any, str]] = [
    ("about", None, "about: is missing"),
    ("surplus", 1, "surplus: unknown key"),
    ("autonomy", "always", "must be one of deploy, ask, report"),
    ("target.file", "../other.yaml", "may not lead out of its folder"),
    ("target.file", "./.", "names a folder"),
    ("target.reload", ["systemctl", "reload", "x"], "take reload or daemon away"),
    ("target.reload", "systemctl reload x", "must be a list"),
    ("target.keys.mean", "x", "target.keys.mean: is no parameter of search_space"),
    ("target.keys.far", None, "search_space.far: has no key in the target"),
    ("target.keys.far", "embeddings.near", "is the key of near already"),
    ("search_space.near.high", 0.1, "search_space.near.high: must be more than low"),
    ("search_space.near.low", None, "a number needs low and high"),
    ("search_space.near.choices", ["a", "b"], "is for type categorical"),
    ("search_space.size.low", 0, "must be above 0 on a log scale"),
    ("search_space.size.low", 1.5, "must be a whole number"),
    ("search_space.size.step", 2, "cannot go with log"),
    ("search_space.far.step", 3, "is larger than the range"),
    ("search_space.way.low", 1, "is for numbers"),
    ("search_space.way.choices", None, "needs choices"),
    ("search_space.size.when", {"near": 0.5}, "only a categorical parameter can decide"),
    ("search_space.size.when", {"later": 1}, "is no parameter above this one"),
    ("search_space.size.when", {"way": "grems"}, "way is 'grems', none of"),
    ("constraints", ["near >= distance"], "constraints[0]: character 9: undeclared reference to 'distance'"),
    ("constraints", ["near + far"], "does not come to true or false"),
    ("constraints", ["near > 1"], "write 1.0 beside a float"),
    ("constraints", ["1 < 2"], "it speaks of no parameter"),
    ("evaluate.python", "module:function", "either command (a list) or python"),
    ("evaluate.command", None, "either command (a list) or python"),
    ("evaluate.cases.held_out", ["a", "c", "d", "e", "f"], "a is a tuning case too"),
    ("evaluate.cases.held_out", ["c", "d", "e", "f"], "with 4 pairs to compare nothing could ever be significant"),
    ("evaluate.cases", None, "set repeats to at least 5"),
    ("objective.alpha", 0.01, "name at least 7 held_out cases"),
    ("objective.guardrails.precision", {"min": 0.9, "max": 0.1}, "min is above max"),
    ("objective.guardrails.precision", {}, "objective.guardrails.precision"),
    ("objective.metrics.f1", "most", "must be one of maximize, minimize"),
    ("budget.trials", 0, "must be at least 1"),
    ("search_space", {}, "search_space: {} should be non-empty"),
    ("search_space.near.high", 10**400, "must be at most"),
    ("search_space.near.low", float("nan"), "must be a number"),
    ("search_space.far.step", 1e-310, "makes more than 1,000,000,000 steps"),
    ("search_space.way.choices", ["plain", "grams", 1, True], "True and 1 cannot be told apart"),
    ("search_space.size.when", {"size": 8}, "is no parameter above this one"),
    ("objective.guardrails.precision", {"min": 10**400}, "must be at most"),
    ("evaluate.timeout_s", 900, "is longer than the whole budget (600 s)"),
    ("evaluate.command", ["./measure\0"], "must match the pattern"),
    ("evaluate.cases.tuning", ["a\0"], "must match the pattern"),
    ("search_space.way.choices", ["plain", "grams", "\0"], "must match the pattern"),
    ("budget.concurrency", 17, "must be at most 16"),
]


@pytest.mark.parametrize(("place", "value", "said"), WRONG, ids=[f"{one[0]}-{nth}" for nth, one in enumerate(WRONG)])
def test_each_mistake_is_told_with_its_line(tmp_path: Path, place: str, value: Any, said: str) -> None:
    """A person who mistypes an experiment must learn which line, and what to write there."""
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, changed(place, value))
    assert said in refused.value.message
    assert f"dedup.yaml:{refused.value.fields['line']}: " in refused.value.message


def test_each_of_several_mistakes_has_its_own_line(tmp_path: Path) -> None:
    """An editor that marks what `ligand config check -o json` says would mark the first line for all of them."""
    data = changed("search_space.near.high", 0.1)
    data["constraints"], data["objective"]["guardrails"]["precision"] = ["near + far"], {"min": 0.9, "max": 0.1}
    text = yaml.safe_dump(data, sort_keys=False).splitlines()
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, "\n".join(text))
    told = problems_of(refused.value)
    assert [text[line - 1].strip() for line, _ in told] == ["high: 0.1", "- near + far", "precision:"]
    data["surplus"], data["budget"] = 1, {"trials": 0}
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, data)
    text = yaml.safe_dump(data, sort_keys=False).splitlines()
    assert [text[line - 1].strip() for line, _ in problems_of(refused.value)] == ["surplus: 1", "trials: 0"]


def test_the_line_told_is_the_line_of_the_mistake(tmp_path: Path) -> None:
    """The wrong line sends a person to look at what is right."""
    text = yaml.safe_dump(changed("constraints", ["near >= far", "nonesuch > 1.0"]), sort_keys=False)
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    line = refused.value.fields["line"]
    assert "nonesuch" in text.splitlines()[line - 1]


@pytest.mark.parametrize("text", ["", "a: [", "- a\n", "a: 1\na: 2\n"])
def test_a_broken_file_is_refused_and_the_others_are_used(tmp_path: Path, text: str) -> None:
    """One mistyped file must not stop every other experiment."""
    written(tmp_path, text, "broken")
    written(tmp_path, GOOD)
    found, refused = load_all(tmp_path)
    assert list(found) == ["dedup"]
    assert [error.fields["file"] for error in refused] == [str(tmp_path / "experiments/broken.yaml")]


def test_choices_that_a_text_file_writes_alike_are_refused(tmp_path: Path) -> None:
    """In an env file 1 and "1" are the same text: whichever won, nobody could tell."""
    data = changed("search_space.way.choices", ["grams", "1", 1])
    assert read(tmp_path, data).name == "dedup"
    data["target"]["format"] = "env"
    with pytest.raises(ConfigError, match="1 and '1' cannot be told apart"):
        read(tmp_path, data)


def test_another_script_is_another_experiment(tmp_path: Path) -> None:
    """What an edited script measures cannot be compared with what it measured before; no winner of it is deployed."""
    command = ["/usr/bin/python3", "measure.py", "data.csv", "--fast"]
    before = load(written(tmp_path, changed("evaluate.command", command)), tmp_path, startable=False)
    folder = tmp_path / "experiments"
    (folder / "measure.py").write_text("1")
    (folder / "data.csv").write_text("a,b")
    there = load(before.file, tmp_path)
    assert list(there.programs) == ["measure.py", "data.csv"], "the system's own programs do not count"
    (folder / "data.csv").write_text("a,c")
    data = load(before.file, tmp_path)
    (folder / "measure.py").write_text("2")
    script = load(before.file, tmp_path)
    (folder / "beside.py").write_text("of no concern")
    assert len({before.digest, there.digest, data.digest, script.digest}) == 4
    assert load(before.file, tmp_path).digest == script.digest


def test_another_function_is_another_experiment(tmp_path: Path) -> None:
    """As with a script; and the function's module is not run to find that out."""
    data = changed("evaluate.python", "mine.inner:score")
    del data["evaluate"]["command"]
    inner = tmp_path / "experiments" / "mine" / "inner.py"
    inner.parent.mkdir(parents=True)
    inner.write_text("raise SystemExit('it was run')")
    before = read(tmp_path, data)
    assert list(before.programs) == ["mine/inner.py"]
    inner.write_text("2")
    assert load(before.file, tmp_path).digest != before.digest
    inner.unlink()
    assert load(before.file, tmp_path, startable=False).programs == {}


STARTS: list[list[str]] = [
    ["./measure"],
    ["python3", "-S", "-W", "error", "there.py", "nothing.csv"],
    ["python3", "-m", "there"],
    ["python3", "-Sc", "print(1)"],
    ["python3", "-"],
    ["python3", "folder"],
    ["bash", "-euo", "pipefail", "there.py"],
    ["sh", "-c", "exec ./nothing"],
    ["sh", "ls"],
    ["nice", "./nothing"],
    ["./measure", "./nothing"],
    ["./unreadable-to-me"],
]
STARTS_NOT: list[tuple[list[str], int, str]] = [
    (["./mesure"], 0, "there is no file {folder}/mesure; write it, or correct the name"),
    (["there.py/x"], 0, "there is no file {folder}/there.py/x"),
    (["./there.py"], 0, "nobody may execute {folder}/there.py: chmod +x {folder}/there.py"),
    (["./folder"], 0, "{folder}/folder is no file"),
    (["./windows"], 0, "the first line of {folder}/windows names '/bin/sh\\r', which cannot be run"),
    (["pyhton3", "there.py"], 0, "no folder of PATH has a program pyhton3"),
    (["python3", "-S", "-W", "error", "their.py"], 4, "there is no file {folder}/their.py"),
    (["bash", "-euo", "pipefail", "their.py"], 3, "there is no file {folder}/their.py"),
    (["sh", "no-such-script"], 1, "there is no file {folder}/no-such-script"),
    (["python3", "secret.py"], 1, "nobody may read {folder}/secret.py: chmod +r {folder}/secret.py"),
]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Some programs beside experiments."""
    folder = tmp_path / "experiments"
    (folder / "folder").mkdir(parents=True)
    program(folder / "there.py", mode=0o644)
    program(folder / "secret.py", mode=0o000)
    program(folder / "unreadable-to-me", "#! /bin/sh -e\n", mode=0o711)
    program(folder / "windows", "#!/bin/sh\r\necho\r\n")
    return folder


@pytest.mark.parametrize("command", STARTS, ids=" ".join)
def test_what_may_well_start_is_not_refused(programs: Path, command: list[str]) -> None:
    """An experiment that works, refused for what a program makes of its arguments, could not be used at all."""
    assert read(programs.parent, changed("evaluate.command", command)).evaluate.command == tuple(command)


@pytest.mark.parametrize(("command", "nth", "said"), STARTS_NOT, ids=str)
def test_what_cannot_be_started_is_told_with_its_line(programs: Path, command: list[str], nth: int, said: str) -> None:
    """A person learns of a script that is not there when it is written, not from a cycle in the night."""
    text = yaml.safe_dump(changed("evaluate.command", command), sort_keys=False)
    with pytest.raises(ConfigError) as refused:
        read(programs.parent, text)
    assert f"evaluate.command[{nth}]: {said.format(folder=programs)}" in refused.value.message
    assert command[nth] in text.splitlines()[refused.value.fields["line"] - 1]


def test_a_function_whose_module_is_not_there_is_told(programs: Path) -> None:
    """As with a script; a module of Python's own, or of Ligand's, is found as the import would find it."""
    data = changed("evaluate.python", "math:fabs")
    del data["evaluate"]["command"]
    for entry in ("math:fabs", "services.semantic_dedup.measure:evaluate", "there:anything"):
        data["evaluate"]["python"] = entry
        assert read(programs.parent, data).evaluate.python == entry
    for entry, said in (("their.inner:score", "there is no module their.inner in"), ("secret:f", "nobody may read")):
        data["evaluate"]["python"] = entry
        with pytest.raises(ConfigError, match=rf"evaluate\.python: {said}"):
            read(programs.parent, data)


def test_a_program_that_only_others_may_look_at_is_left_to_them(programs: Path, monkeypatch: Any) -> None:
    """A person's check cannot know what the daemon may see, and must not call it missing."""
    hidden = programs / "hidden"
    hidden.mkdir()
    hidden.chmod(0)
    monkeypatch.setenv("PATH", str(hidden))
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        assert not [*faults(programs, ["hidden/score"], None), *faults(programs, ["score"], None)]
    finally:
        os.seteuid(before)
    hidden.chmod(0o755)
    assert [*faults(programs, ["hidden/score"], None)]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """`ligand dream run NAME` with a wrong name must say which file it looked for."""
    with pytest.raises(ConfigError, match=r"nonesuch\.yaml: No such file"):
        load(tmp_path / "experiments" / "nonesuch.yaml", tmp_path)


def test_a_name_that_could_be_no_fact_is_refused(tmp_path: Path) -> None:
    """The file's name travels in signals and on command lines."""
    with pytest.raises(ConfigError, match="small letters"):
        read(tmp_path, GOOD, "Not A Name")
