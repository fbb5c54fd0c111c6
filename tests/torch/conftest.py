"""These tests need PyTorch, which no other does: they are looked at only if they are asked for.

python -m pytest -m torch tests/torch
"""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "torch: compares with PyTorch, and needs it installed")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # None leaves the question to others; True would not even import the file.
    asked = config.getoption("markexpr").split()
    return None if "torch" in asked and "not" not in asked else True
