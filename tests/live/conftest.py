"""Scenes of a portrait, drawn once for every test of what a camera shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.gaze import draw_scenes


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return draw_scenes(tmp_path_factory.mktemp("scenes"))
