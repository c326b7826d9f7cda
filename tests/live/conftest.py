"""Scenes of a portrait, drawn once for every test of what a camera shows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.gaze import draw_scenes


@pytest.fixture(scope="session")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[dict[str, Path]]]:
    """The scenes, that may be drawn while something else starts."""
    with ThreadPoolExecutor(1) as beside:
        yield beside.submit(draw_scenes, tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="session")
def scenes(drawing: Future[dict[str, Path]]) -> dict[str, Path]:
    return drawing.result()
