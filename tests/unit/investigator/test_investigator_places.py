"""Where the investigator looks, and that no name or path leads it elsewhere."""

from __future__ import annotations

import contextlib
import os
import string
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.investigator import logic
from services.investigator.locating import Found, Missing, locate
from services.investigator.roots import Places, library_paths, open_beneath

NOBODY = 65534


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A root with a package and links that lead out of it; a secret package outside."""
    base = tmp_path_factory.mktemp("world")
    for name in ("root/pkg/sub", "secret/inner", "rootling"):
        (base / name).mkdir(parents=True)
        (base / name / "__init__.py").write_text('"""x"""\n')
    (base / "root/pkg/__init__.py").write_text('"""x"""\n')
    (base / "secret/__init__.py").write_text('"""x"""\n')
    (base / "root/linked").symlink_to(base / "secret")
    (base / "root/pkg/out").symlink_to(base / "secret")
    (base / "root/alias").symlink_to("pkg")
    (base / "root/loop").symlink_to("loop")
    (base / "root/leak.py").symlink_to(base / "secret/__init__.py")
    return base


@pytest.fixture(scope="module")
def places(world):
    return Places.of([str(world / "root")], interpreter_library=False)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("pkg", "pkg"),
        ("pkg.sub", "pkg.sub"),
        ("pkg/", "pkg"),
        ("./pkg/sub", "pkg.sub"),
        ("pkg/sub/__init__.py", "pkg.sub"),
        ("pkg/../pkg", "pkg"),
        ("alias", "pkg"),
        ("alias.sub", "pkg.sub"),
    ],
)
def test_one_module_has_one_name(places, asked, name):
    """The same module asked for in several ways is registered once."""
    found = locate(asked, places)
    assert isinstance(found, Found)
    assert found.name == name


@pytest.mark.parametrize(
    "asked",
    [
        "../secret",
        "pkg/../../secret",
        "/etc",
        "/etc/passwd",
        "/nowhere",
        "linked",
        "linked.inner",
        "linked/inner",
        "pkg.out",
        "pkg/out/inner",
        "leak",
        "leak.py",
        "../rootling",
        "..",
        "/",
        "pkg/out/../secret",
    ],
)
def test_ways_out_are_refused(places, asked):
    """A question must not make the daemon read what its owner did not allow."""
    found = locate(asked, places)
    assert isinstance(found, Missing)
    assert found.reason in ("outside_roots", "phantom")
    if not asked.endswith("../secret") or asked.startswith(".."):
        assert found.reason == "outside_roots"


def test_absolute_path_outside_tells_nothing(places):
    """Whether a forbidden file exists must not be learnt from the answer's reason."""
    there, absent = locate("/etc/passwd", places), locate("/etc/passwd_not_there", places)
    assert isinstance(there, Missing)
    assert isinstance(absent, Missing)
    assert there.reason == absent.reason == "outside_roots"


@pytest.mark.parametrize(
    "asked", ["a..b", "a b", "1a", "", ".", "a.", "é", "a;b", "pkg.s ub", "x" * 300, "a\0b", "\0/"]
)
def test_odd_names_are_refused_by_name(places, asked):
    """Nonsense gets a reason, never a crash."""
    assert isinstance(locate(asked, places), Missing)


def test_root_itself_is_no_module(places, world):
    """A root is where modules are, not a module."""
    found = locate(str(world / "root"), places)
    assert isinstance(found, Missing)
    assert found.reason in ("not_importable", "phantom")


def test_folder_that_no_import_can_name(world, places):
    """A project in a folder with a dash is told how to be reached, instead of getting a made-up name."""
    folder = world / "root/my-app/inside"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    found = locate("my-app/inside", places)
    assert isinstance(found, Missing)
    assert found.reason == "not_importable"
    assert "my-app" in found.detail


def test_library_can_be_left_out(places):
    """A person who switched the library off is told why json is not read."""
    found = locate("json", places)
    assert isinstance(found, Missing)
    assert found.reason == "outside_roots"
    assert "interpreter_library" in found.detail


def test_library_by_absolute_path():
    """The path of a library module is as good as its name."""
    places = Places.of([], interpreter_library=True)
    found = locate(str(Path(library_paths()[0]) / "json"), places)
    assert isinstance(found, Found)
    assert found.name == "json"


def test_site_packages_are_named_from_themselves():
    """An installed package is called by its import name, although its folder is beneath the library's."""
    found = locate("griffe", Places.of([], interpreter_library=True))
    assert isinstance(found, Found)
    assert found.name == "griffe"
    assert locate(str(found.path), Places.of([], interpreter_library=True)) == found


def test_opening_follows_no_link(world):
    """Even a link that was set after the check leads nowhere."""
    with pytest.raises(OSError, match=r"symbolic|Not a directory"):
        os.close(open_beneath(world / "root", ("linked", "__init__.py")))


def test_file_that_is_not_python(world, places):
    """A data file is not mistaken for a module."""
    (world / "root/notes.txt").write_text("x")
    found = locate("./notes.txt", places)
    assert isinstance(found, Missing)
    assert found.reason == "not_a_module"


PIECES = st.one_of(
    st.sampled_from(["..", ".", "pkg", "sub", "linked", "out", "alias", "loop", "leak.py", "secret", "~", "", "inner"]),
    st.text(max_size=6),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(PIECES, max_size=7), glue=st.sampled_from(["/", ".", "//", "/./"]), absolute=st.booleans())
@example(parts=["..", "secret"], glue="/", absolute=False)
def test_nothing_found_is_ever_outside(world, places, parts, glue, absolute):
    """Whatever is asked, what is found lies beneath a root and is no link."""
    asked = ("/" if absolute else "") + glue.join(parts)
    found = locate(asked, places)
    if isinstance(found, Found):
        real = Path(os.path.realpath(found.path))
        assert real == found.path
        assert world / "root" in real.parents
    else:
        assert found.reason
        assert found.detail


@settings(max_examples=300, deadline=None)
@given(parts=st.lists(st.text(string.ascii_letters + "_.", min_size=1, max_size=8), min_size=1, max_size=5))
def test_names_become_names(world, places, parts):
    """A found name is always one that the registry takes as a key."""
    found = locate(".".join(parts), places)
    if isinstance(found, Found):
        assert all(part.isidentifier() for part in found.name.split("."))


@contextlib.contextmanager
def unprivileged() -> Iterator[Path]:
    """A folder of one's own for somebody who is not root, as a daemon of the system is."""
    with tempfile.TemporaryDirectory() as name:
        folder, me = Path(name), os.geteuid()
        if me == 0:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(me)


def test_what_may_not_be_looked_into_is_told_with_what_to_do():
    """A home folder that was not granted would end the daemon at its start, or bury the question after five tries."""
    with unprivileged() as folder:
        closed = folder / "root/closed"
        (closed / "inner").mkdir(parents=True)
        (folder / "root/link").symlink_to("closed/inner")
        closed.chmod(0)
        places = Places.of([str(folder / "root"), str(closed / "inner")], False)
        assert places.missing == (str(closed / "inner"),)
        assert f"not granted: {closed}/inner" in places.told()
        for asked in ("closed.inner", "closed.inner.deep", "closed/inner", f"{closed}/inner/a.py", "link"):
            found = locate(asked, places)
            assert isinstance(found, Missing), asked
            assert (found.reason, f"ligand grant investigator {closed} --read" in found.detail) == ("unreadable", True)
        closed.chmod(0o700)


def test_a_name_longer_than_any_file_is_no_module(places):
    """One question with a very long word would be tried five times and buried."""
    assert isinstance(locate("x" * 256, places), Missing)
    assert Places.of([f"/{'x' * 300}"], False).every == ()


def test_order_of_candidates():
    """The fact counts first, then `module:`, then `path:`, each once."""
    facts = {
        "module_path": "a",
        "evidence": ["path:src/b", "has_init:true", "module:c", "module:a", "module: "],
    }
    assert logic.candidates(facts) == ("a", "c", "src/b")


def test_second_candidate_is_tried(ask, write):
    """A short name that is no module, with a path that is one, still gets an answer."""
    write("src/audio/__init__.py", '"""Hears."""\n')
    outcome = ask("audio", ("path:src/audio", "has_init:true"))
    assert outcome.facts["module_name"] == "src.audio"
