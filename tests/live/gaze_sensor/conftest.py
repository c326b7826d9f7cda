"""Scenes, drawn once; a camera that shows them, and a sensor that looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.gaze import draw_scenes


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return draw_scenes(tmp_path_factory.mktemp("scenes"))
