"""Every test leaves the test process as it found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.leaks import Snapshot, mark_descendants

GRACE_S = 3.0

mark_descendants()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a process, a thread or a file descriptor behind.

    What fixtures of a wider scope hold was there before and stays allowed.
    """
    before = Snapshot.take()
    yield
    if request.node.get_closest_marker("may_leak"):
        return
    left = before.leaked_after(GRACE_S)
    before.end_processes()
    assert not left, "The test left behind:\n  " + "\n  ".join(left)
