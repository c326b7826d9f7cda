"""One value changed, every other byte kept, in each format: what a person finds in their file after a deployment."""

from __future__ import annotations

import configparser
import json
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from services.experiments.formats import FormatError, change, parts_of, read
from services.experiments.formats import in_yaml as as_yaml

NAMES = st.from_regex(r"[a-z][a-z_]{0,6}", fullmatch=True).filter(
    lambda name: name not in ("y", "n", "yes", "no", "on")
)
NUMBERS = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
COMMENTS = st.sampled_from(["", '  # it\'s "so": [', " # x", " #"])
ENDS = st.sampled_from(["\n", "\r\n"])
MARK = b"\xef\xbb\xbf"


@dataclass
class Text:
    """A file in pieces; the value at `key` is the piece between `before` and `after`."""

    before: str
    value: str
    after: str
    key: str

    def raw(self, mark: bytes) -> bytes:
        return mark + (self.before + self.value + self.after).encode()


def shapes(one: Callable[[str], str], other: Callable[[str], str]) -> st.SearchStrategy[str]:
    """A scalar as a file may have it: a number, or a text in one of two kinds of quotes."""
    plain = st.from_regex(r"[A-Za-z0-9 ,.]{0,8}", fullmatch=True)
    return NUMBERS.map(lambda n: str(n) if isinstance(n, int) else repr(n)) | plain.map(one) | plain.map(other)


@st.composite
def yaml_texts(draw: st.DrawFn) -> Text:
    end, scalar = draw(ENDS), shapes(lambda t: f'"{t}"', lambda t: f"'{t}'")
    names = draw(st.lists(NAMES, min_size=3, max_size=6, unique=True))
    head = f"# head{end}{end}" + "".join(f"{name}: {draw(scalar)}{draw(COMMENTS)}{end}" for name in names[2:])
    inner = draw(
        st.sampled_from([f"{names[0]}:   # below{end}  ", f"{names[0]}: {{a_b: 1, ", f"{end}{names[0]}:{end}    "])
    )
    flow = "{" in inner
    last = draw(st.sampled_from(["", end, f"{end}# the end"]))
    after = (", c_d: [1, 2]}" if flow else draw(COMMENTS)) + f"{end}zzz:{end}- x # y{last}"
    name = names[1] if names[1] not in ("a_b", "c_d") else "k"
    return Text(head + inner + name + ": ", draw(scalar), after, f"{names[0]}.{name}")


@st.composite
def json_texts(draw: st.DrawFn) -> Text:
    blank = st.sampled_from(["", " ", "\n  ", "\r\n\t"])
    tree = st.recursive(
        NUMBERS | TEXTS | st.booleans() | st.none(), lambda inner: st.lists(inner, max_size=3), max_leaves=4
    )
    others = draw(st.dictionaries(TEXTS.filter(lambda key: key not in ("a", "b")), tree, max_size=3))
    sides = [f"{json.dumps(key)}{draw(blank)}:{draw(blank)}{json.dumps(value)}" for key, value in others.items()]
    before = (
        "{"
        + "".join(f"{draw(blank)}{side}{draw(blank)}," for side in sides)
        + f'{draw(blank)}"a":{draw(blank)}[0,{{"b":'
    )
    return Text(
        before + draw(blank), json.dumps(draw(NUMBERS | TEXTS)), f'{draw(blank)}}}, "x"]}}{draw(blank)}', "a.1.b"
    )


@st.composite
def toml_texts(draw: st.DrawFn) -> Text:
    end, names = draw(ENDS), draw(st.lists(NAMES, min_size=4, max_size=6, unique=True))
    scalar = shapes(lambda t: f'"{t}"', lambda t: f"'{t}'").filter(lambda text: "inf" not in text)
    head = "".join(f"{name} = {draw(scalar)}{draw(COMMENTS)}{end}" for name in names[3:])
    head += draw(st.sampled_from(["", f"when = 1979-05-27T07:32:00Z{end}", f"many = [ 1,{end}  2, # two{end}]{end}"]))
    after = draw(COMMENTS) + end + draw(st.sampled_from(["", f"[{names[2]}]{end}x = 1{end}", f"# end{end}"]))
    return Text(f"# head{end}{head}[{names[0]}]{end}{names[1]}=", draw(scalar), after, f"{names[0]}.{names[1]}")


@st.composite
def ini_texts(draw: st.DrawFn) -> Text:
    end, names = draw(ENDS), draw(st.lists(NAMES, min_size=4, max_size=6, unique=True))
    value = st.from_regex(r"[A-Za-z0-9.]{1,8}", fullmatch=True)
    lines = st.sampled_from(["", "; note", "# other = 1"])
    head = f"{draw(lines)}{end}[{names[0]}]{end}" + "".join(
        f"{n} {draw(st.sampled_from('=:'))} {draw(value)}{end}" for n in names[3:]
    )
    gap = draw(st.sampled_from([" = ", "=", ": ", "\t=  "]))
    after = f"{end}{draw(lines)}{end}[{names[2]}]{end}{names[1]} = same{draw(st.sampled_from(['', end]))}"
    return Text(head + names[1] + gap, draw(value), after, f"{names[0]}.{names[1]}")


@st.composite
def env_texts(draw: st.DrawFn) -> Text:
    end, names = draw(ENDS), draw(st.lists(NAMES.map(str.upper), min_size=3, max_size=5, unique=True))
    value = st.sampled_from(["0.5", "'a b'", '"x y"', "", "a/b:c"])
    other = st.sampled_from(["1", "it\\ is", "'two\nlines'", '"q#" # c'])
    others = "".join(f"{name}={draw(other)}{end}" for name in names[2:])
    before = f"# head{end}{others}{draw(st.sampled_from(['', 'export ']))}{names[0]}="
    return Text(before, draw(value), f"{end}{names[1]}=2{draw(st.sampled_from(['', end]))}", names[0])


def in_yaml(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def in_ini(text: str) -> Any:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text.replace("\r\n", "\n"))
    return {name: dict(section) for name, section in parser.items() if name != "DEFAULT"}


def at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree[int(part) if isinstance(tree, list) else part]
    return tree


def holds(form: str, reader: Callable[[str], Any], text: Text, value: Any, mark: bytes) -> None:
    """The value is changed, for a reader that shares no code with what changed it; the bytes around it are the same."""
    raw = text.raw(mark)
    try:
        fresh = change(form, raw, {text.key: value})
    except FormatError:
        assert form in ("ini", "env"), "only formats that many read differently may refuse a text"
        assert isinstance(value, str)
        return
    before, after = mark + text.before.encode(), text.after.encode()
    assert fresh.startswith(before)
    assert fresh.endswith(after)
    found = at(reader(fresh[len(mark) :].decode()), text.key)
    wanted = str(value).lower() if isinstance(value, bool) and form == "ini" else str(value) if form == "ini" else value
    assert (found, type(found)) == (wanted, type(wanted))
    assert read(form, fresh, [text.key])[text.key] == wanted
    token = fresh[len(before) : len(fresh) - len(after)]
    assert change(form, fresh, {text.key: value}) == before + token + after, "asked again, it is there already"


VALUES = NUMBERS | st.booleans() | TEXTS
MARKS = st.sampled_from([b"", MARK])
EXAMPLES = settings(max_examples=40, deadline=None)


@EXAMPLES
@given(yaml_texts(), VALUES, MARKS)
def test_a_value_in_yaml_is_changed_and_nothing_else(text: Text, value: Any, mark: bytes) -> None:
    """Comments, quotes, order, line ends and byte order mark of a person's YAML survive a deployment."""
    holds("yaml", in_yaml, text, value, mark)


@EXAMPLES
@given(json_texts(), VALUES, MARKS)
def test_a_value_in_json_is_changed_and_nothing_else(text: Text, value: Any, mark: bytes) -> None:
    """The layout of a person's JSON survives a deployment."""
    holds("json", json.loads, text, value, mark)


@EXAMPLES
@given(toml_texts(), VALUES, MARKS)
def test_a_value_in_toml_is_changed_and_nothing_else(text: Text, value: Any, mark: bytes) -> None:
    """Comments and layout of a person's TOML survive a deployment."""
    holds("toml", lambda raw: tomllib.loads(raw.replace("\r\n", "\n")), text, value, mark)


@EXAMPLES
@given(ini_texts(), VALUES, MARKS)
def test_a_value_in_ini_is_changed_and_nothing_else(text: Text, value: Any, mark: bytes) -> None:
    """Comments and layout of an INI file survive; a text that readers would take differently is refused."""
    holds("ini", in_ini, text, value, mark)


@EXAMPLES
@given(env_texts(), NUMBERS | st.from_regex(r"[A-Za-z0-9_ ./'\"$]{0,8}", fullmatch=True), st.just(b""))
def test_a_value_in_an_env_file_is_changed_and_nothing_else(text: Text, value: Any, mark: bytes) -> None:
    """Quotes, comments and other lines of an environment file survive."""
    raw = text.raw(mark)
    try:
        fresh = change("env", raw, {text.key: value})
    except FormatError:
        assert isinstance(value, str), "a number can always be written"
        return
    assert fresh.startswith(text.before.encode())
    assert fresh.endswith(text.after.encode())
    assert read("env", fresh, [text.key]) == {text.key: str(value)}


def test_the_shell_reads_a_changed_env_file_as_it_was_meant(tmp_path) -> None:
    """A service that sources its settings gets the new value, and the others as before."""
    path = tmp_path / "x.env"
    path.write_bytes(b"# c\nexport A='old one'\nB=\"two\nA=lines\"\nC=it\\ is\n")
    path.write_bytes(change("env", path.read_bytes(), {"A": "new one"}))
    said = subprocess.run(
        ["sh", "-c", '. "$1"; printf "%s|%s|%s" "$A" "$B" "$C"', "sh", str(path)], capture_output=True, check=True
    )
    assert said.stdout == b"new one|two\nA=lines|it is"


@pytest.mark.parametrize(
    ("form", "raw", "values", "said"),
    [
        ("yaml", b"a: 1\n", {"b": 2}, "b does not stand in the file"),
        ("yaml", b"a: {b: 1}\n", {"a": 2}, "no single text"),
        ("yaml", b"a: &x 1\nb: *x\n", {"b": 2}, "line 1: b has an anchor"),
        ("yaml", b"a: &x {b: 1}\nc: *x\n", {"a.b": 2}, "left alone"),
        ("yaml", b"a: &x {b: 1}\nc: {<<: *x, d: 1}\n", {"c.<<.b": 2}, "left alone"),
        ("yaml", b"a: !secret x\n", {"a": 2}, "no single text"),
        ("yaml", b"a: |\n  x\nb: 1\n", {"a": "y"}, "several lines"),
        ("yaml", b"a: 1\na: 2\n", {"a": 3}, "line 2: the key 'a' stands twice"),
        ("yaml", b"a: 1\n--- \nb: 2\n", {"a": 3}, "line 2"),
        ("yaml", b"a: [\n", {"a": 3}, "line 2"),
        ("yaml", b"a: \xff\n", {"a": 3}, "line 1: the file is not UTF-8"),
        ("yaml", b"a: 1\n", {"a": float("nan")}, "no number"),
        ("yaml", b"a: 1\n", {"a": "\ud800"}, "cannot be written"),
        ("yaml", b"a: 1\n", {"a..b": 1}, "no dotted key"),
        ("json", b'{"a": 1, "a": 2}', {"a": 3}, "stands twice"),
        ("json", b'{"a": 1} // no', {"a": 3}, "line 1"),
        ("json", b'{"a": NaN}', {"a": 3}, "NaN is no JSON"),
        ("toml", b"a = 1979-05-27\n", {"a": 3}, "no single text"),
        ("toml", b"a = 1\na = 2\n", {"a": 3}, "not TOML"),
        ("toml", b"a = 1\n", {"a": None}, "no way to write"),
        ("env", b"A=1 # why\n", {"A": 2}, "line 1: A has blanks, signs or a comment"),
        ("env", b"A=1\nA=2\n", {"A": 3}, "line 2: A stands twice"),
        ("env", b"A=$HOME\n", {"A": 3}, "read differently"),
        ("env", b"A=1\nwhat is this\n", {"A": 3}, "line 2: neither"),
        ("env", b"A='1\n", {"A": 3}, "not closed"),
        ("env", b"A=1\n", {"A": "$(reboot)"}, "cannot be written"),
        ("ini", b"[s]\na = 1 ; why\n", {"s.a": 2}, "line 2: s.a has a # or ;"),
        ("ini", b"[s]\na = 1\n  2\n", {"s.a": 2}, "several lines"),
        ("ini", b"[s]\nE=1\nE=2\n", {"s.E": 2}, "stands 2 times"),
        ("ini", b"[s]\nC=a \\\nE=1\n", {"s.E": 2}, "does not stand"),
        ("ini", b"[s]\na=1\n", {"s.a": "x\n[t]\nb=1"}, "cannot be written"),
    ],
)
def test_what_cannot_be_changed_alone_is_refused_with_the_place(form, raw, values, said) -> None:
    """A person is told what to mend and where, instead of finding a file that says something else."""
    with pytest.raises(FormatError, match=said.replace("(", r"\(")):
        change(form, raw, values)


ODD: list[tuple[str, str, dict[str, Any], str]] = [
    ("yaml", "# grüße 🙂\r\n名: [1, {'ä': 0.5}] # 🙂", {"名.1.ä": 0.25}, "# grüße 🙂\r\n名: [1, {'ä': 0.25}] # 🙂"),
    ("yaml", "%YAML 1.2\n---\na: 1 # c\n...\n", {"a": 2}, "%YAML 1.2\n---\na: 2 # c\n...\n"),
    ("yaml", "a: 1\rb: 2", {"b": 3}, "a: 1\rb: 3"),
    ("yaml", "b: &b {x: 1, y: 2}\nc: *b\nz: 3", {"z": 4}, "b: &b {x: 1, y: 2}\nc: *b\nz: 4"),
    ("json", '\t{"\\u00e4": {"🙂": [1e3 ,2]}}', {"ä.🙂.0": 5}, '\t{"\\u00e4": {"🙂": [5 ,2]}}'),
    ("toml", "a = {near = 0.5, b = [1, 2]} # c", {"a.near": 1.5}, "a = {near = 1.5, b = [1, 2]} # c"),
    ("toml", "a.near = 0.5\r\na.far = 1 # ä\r\n", {"a.far": 2}, "a.near = 0.5\r\na.far = 2 # ä\r\n"),
    ("toml", "[[s]]\nx = 1\n[[s]]\nx = 2 # two", {"s.1.x": 3}, "[[s]]\nx = 1\n[[s]]\nx = 3 # two"),
    ("toml", "[a]\nx = 1\n[b]\n[a.c]\nz = 2", {"a.c.z": 3, "a.x": 4}, "[a]\nx = 4\n[b]\n[a.c]\nz = 3"),
    ("toml", "m = [ 1, # one\n  2 ]\n", {"m.1": 5}, "m = [ 1, # one\n  5 ]\n"),
    ("toml", "t = '''\ntwo\nlines'''\n", {"t": "x"}, "t = 'x'\n"),
    ("env", "export A=\"0.5\"\r\nB='1'\r\nC=", {"A": 0.25, "B": 2, "C": "x"}, "export A=\"0.25\"\r\nB='2'\r\nC=x"),
    ("ini", "[s.t]\r\na : 0.5\r\nb:1\r\n[u]\r\na=1", {"s.t.b": 2, "s.t.a": 3}, "[s.t]\r\na : 3\r\nb:2\r\n[u]\r\na=1"),
    (
        "ini",
        '[s]\nurl = http://x:80/\nb = "q"',
        {"s.url": "http://y:81/", "s.b": "r"},
        '[s]\nurl = http://y:81/\nb = "r"',
    ),
]


@pytest.mark.parametrize(
    ("form", "text", "values", "wanted"), ODD, ids=[f"{one[0]}-{nth}" for nth, one in enumerate(ODD)]
)
@pytest.mark.parametrize("mark", [b"", MARK], ids=["", "marked"])
def test_odd_files_keep_what_is_odd_about_them(form, text, values, wanted, mark) -> None:
    """Files from other systems and hands: no line end at the end, CRLF, a byte order mark, letters of all scripts."""
    assert change(form, mark + text.encode(), values) == mark + wanted.encode()


def test_a_change_that_reads_otherwise_than_wanted_is_refused(monkeypatch) -> None:
    """Whatever is wrong with the way a value is written, the outcome is read again before it counts."""
    monkeypatch.setattr(as_yaml, "written", lambda value, _: f"{value}\nb: 7")
    with pytest.raises(FormatError, match="left alone"):
        change("yaml", b"a: 1\n", {"a": 2})


def test_values_that_are_there_already_keep_the_way_they_are_written() -> None:
    """A deployment of the same values is no change of the file."""
    raw = b"a: 0.50 # half\nb: 'x'\nc: 0x10\n"
    assert change("yaml", raw, {"a": 0.5, "b": "x", "c": 16}) == raw


def test_names_with_dots_are_written_with_a_backslash() -> None:
    """A key that has a dot in its name can be tuned too."""
    assert parts_of(r"a\.b.c") == ("a.b", "c")
    assert change("toml", b'["a.b"]\nc = 1\n', {r"a\.b.c": 2}) == b'["a.b"]\nc = 2\n'


def test_several_values_are_changed_at_once() -> None:
    """Parameters that belong together reach the file together."""
    raw = b"a: 1 # one\nl: [1, 22, 3]\nz:\n"
    assert change("yaml", raw, {"z": "no", "a": 100, "l.1": 2}) == b'a: 100 # one\nl: [1, 2, 3]\nz: "no"\n'


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("json", '{"a": 1, "b": ' + "1" * 5000 + "}"),
        ("toml", "a = 1\nb = " + "1" * 5000),
        ("yaml", "a: 0x" + "f" * 5000),
        ("toml", "a = 0x" + "f" * 5000),
        ("json", '{"a": ' + "[" * 100_000),
        ("toml", "a = " + "[" * 5000 + "]" * 5000),
        ("yaml", "a: " + "[" * 5000),
    ],
)
def test_a_file_that_no_reader_should_try_is_refused_in_words(form: str, text: str) -> None:
    """One odd file among the targets must not end the cycle of all experiments."""
    with pytest.raises(FormatError):
        read(form, text.encode(), ["a"])
