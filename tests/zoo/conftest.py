"""Tests that need torchvision, timm and transformers, which are collected only on request.

    python -m pytest -m "zoo and not slow" tests/zoo      a small network of each family
    python -m pytest -m zoo tests/zoo                     every network

Their environment has the dependency groups ``test`` and ``zoo``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "zoo: compares networks with torchvision's, timm's and transformers'"
    )


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    # None leaves the decision to other hooks; True does not even import the file.
    return None if re.search(r"(?<!not )\bzoo\b", config.getoption("markexpr")) else True
