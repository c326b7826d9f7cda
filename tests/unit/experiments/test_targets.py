"""The values of an experiment in its target: what is tuned begins with what is really in use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.experiments import standing
from services.experiments.definition import load
from services.experiments.files import FileError
from services.experiments.formats import FormatError
from services.experiments.model import Experiment
from services.experiments.targets import place_of, read_values, with_values

SPACE = {
    "near": {"type": "float", "low": 0, "high": 1},
    "way": {"type": "categorical", "choices": ["plain", "grams", True]},
    "size": {"type": "int", "low": 1, "high": 64, "when": {"way": "grams"}},
}


def experiment(folder: Path, file: str, form: str, prefix: str = "") -> Experiment:
    said: dict[str, Any] = {
        "about": "a test",
        "target": {"file": file, "format": form, "keys": {name: prefix + name for name in SPACE}},
        "search_space": SPACE,
        "evaluate": {"command": ["true"], "repeats": 10},
        "objective": {"metrics": {"f1": "maximize"}},
    }
    path = folder / "experiments" / "x.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(said, sort_keys=False))
    return load(path, folder)


@pytest.mark.parametrize(
    ("form", "text", "prefix"),
    [
        ("yaml", "near: 1 # c\nway: plain\n", ""),
        ("json", '{"near": 1.0, "way": "plain"}', ""),
        ("toml", "[a]\nnear = 1\nway = 'plain'\n", "a."),
        ("env", "near=1\nway=plain\n", ""),
        ("ini", "[a]\nnear: 1.0\nway = plain\n", "a."),
    ],
)
def test_values_are_read_in_the_types_of_their_parameters(tmp_path, form, text, prefix) -> None:
    """The baseline that a cycle measures is what stands in the file, whatever its format."""
    (tmp_path / "f").write_text(text)
    found = read_values(experiment(tmp_path, "f", form, prefix))
    assert found == {"near": 1.0, "way": "plain"}, "what does not take part need not stand there"
    assert isinstance(found["near"], float)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("f", None, ":3: target.file: {folder}/f: No such file or directory. Write it, with the values"),
        ("f", "near: 1\n", ":5: target.keys: {folder}/f: way does not stand in the file"),
        ("f", "near: high\nway: plain\n", ":5: target.keys: {folder}/f: near is 'high', which is no float"),
        ("link", "near: 1\nway: plain\n", ":3: target.file: {folder}/link is a link"),
        ("f", "near: 1\nway: plain\n", None),
    ],
)
def test_what_is_tuned_must_be_there_when_the_experiment_is_written(tmp_path, file, text, said) -> None:
    """A person learns of a key that stands nowhere from `ligand config check`, not from a cycle in the night."""
    if text is not None:
        (tmp_path / "f").write_text(text)
    (tmp_path / "link").symlink_to("f")
    found = standing.fault(experiment(tmp_path, file, "yaml"), [])
    assert (found is None) == (said is None)
    assert found is None or f"x.yaml{said.format(folder=tmp_path)}" in found.message


def test_a_daemon_that_reads_nothing_again_is_told(tmp_path) -> None:
    """Each winner would wait a minute for an answer that nobody gives, and be taken back."""
    (tmp_path / "f").write_text("near: 1\nway: plain\n")
    found = experiment(tmp_path, "f", "yaml")
    found = replace(found, target=replace(found.target, daemon="semantic_dedpu"))
    told = standing.fault(found, ["semantic_dedup"])
    assert told is not None
    assert "no daemon semantic_dedpu takes a new configuration; there are: semantic_dedup" in told.message
    assert standing.fault(found, ["semantic_dedpu"]) is None


def test_a_text_file_says_true_where_a_choice_is_true(tmp_path) -> None:
    """An env file knows only texts; its `true` is the choice true."""
    (tmp_path / "f").write_text("near=1\nway=true\n")
    assert read_values(experiment(tmp_path, "f", "env"))["way"] is True


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ("yaml", "near: '1'\nway: plain\n", "near is '1', which is no float"),
        ("yaml", "near: 1\nway: null\n", "way is None"),
        ("yaml", "near: 1\nway: grams\n", "size does not stand in the file"),
        ("env", "near=one\nway=plain\n", "near is 'one', which is no float"),
        ("env", "near=nan\nway=plain\n", "near is nan, which is no float"),
        ("toml", "near = inf\nway = 'plain'\n", "near is inf, which is no float"),
        ("yaml", f"near: 1{'0' * 400}\nway: plain\n", "near is a number of more digits"),
        ("json", '{"near": 1, "way": "\\ud800"}', "which is no categorical"),
        ("yaml", f"near: 1\nway: {'x' * 129}\n", "which is no categorical"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tmp_path, form, text, said) -> None:
    """A cycle that began with a wrong baseline would prove nothing."""
    (tmp_path / "f").write_text(text)
    with pytest.raises(FormatError, match=said):
        read_values(experiment(tmp_path, "f", form))


def test_the_target_is_where_its_experiment_says(tmp_path) -> None:
    """A relative target lies in the configuration folder, an absolute one where it says; a link is refused."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "f").write_text("near: 1\nway: plain\n")
    assert place_of(experiment(tmp_path, "./deep/f", "yaml").target).path == tmp_path / "deep" / "f"
    assert read_values(experiment(tmp_path, str(tmp_path / "deep" / "f"), "yaml"))["near"] == 1.0
    (tmp_path / "link").symlink_to("deep")
    with pytest.raises(FileError, match="is a link"):
        read_values(experiment(tmp_path, "link/f", "yaml"))


@pytest.mark.parametrize(
    ("form", "text", "prefix"),
    [
        ("yaml", "near: 1 # c\nway: plain\n", ""),
        ("json", '{"near": 1, "way": "plain"}', ""),
        ("toml", "[a]\nnear = 1\nway = 'plain'\n", "a."),
        ("env", "near=1\nway=plain\n", ""),
        ("ini", "[a]\nnear: 1\nway = plain\n", "a."),
    ],
)
def test_a_number_that_stays_the_same_stays_as_it_is_written(tmp_path, form, text, prefix) -> None:
    """A winner that changes another value must not touch this one, of which a person was shown nothing."""
    one, raw = experiment(tmp_path, "f", form, prefix), text.encode()
    assert with_values(one, raw, {"near": 1.0, "way": "plain"}) == raw
    assert with_values(one, raw, {"near": 1.0, "way": True}) != raw


def test_a_change_touches_the_parameters_keys_only(tmp_path) -> None:
    """What else stands in the file is none of an experiment's business."""
    one = experiment(tmp_path, "f", "yaml")
    assert with_values(one, b"way: plain\nother: 1 # c\nnear: 1\n", {"near": 0.5}) == (
        b"way: plain\nother: 1 # c\nnear: 0.5\n"
    )
