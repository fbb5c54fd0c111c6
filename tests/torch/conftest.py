"""Tests that need PyTorch, which are collected only on request.

python -m pytest -m torch tests/torch
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "torch: compares with PyTorch, which must be installed")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    asked = config.getoption("markexpr").split()
    # None leaves the decision to other hooks; True does not even import the file.
    return None if "torch" in asked and "not" not in asked else True
