"""What a person's machine may lack, and CI may not."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def lacking(why: str) -> NoReturn:
    """Skip the test that cannot run here; fail it in CI, which must not go without."""
    if os.environ.get("CI"):
        pytest.fail(f"{why}; CI must not go without")
    pytest.skip(why)


def program(name: str) -> str:
    """Where a program is; without it the test is skipped, or fails in CI."""
    return shutil.which(name) or lacking(f"{name} is not installed")


def root(what: str) -> None:
    """Without root the test is skipped, or fails in CI."""
    if os.getuid() != 0:
        lacking(f"{what} needs root")
