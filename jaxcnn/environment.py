"""The device, processor and versions with which a result was measured."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from jaxcnn import __version__


def device_name() -> str:
    """The default device's kind and model.

    >>> device_name().startswith(jax.default_backend())
    True
    """
    device = jax.devices()[0]
    if device.platform == "cpu":
        return f"cpu ({_processor()}, {os.cpu_count()} cores)"
    return f"{device.platform} ({device.device_kind})"


def environment() -> dict[str, Any]:
    """Device and versions, to store with a result.

    >>> sorted(environment())
    ['device', 'versions']
    """
    packages = ("jax", "jaxlib", "flax", "optax", "numpy")
    versions = {"python": platform.python_version(), "jaxcnn": __version__}
    return {
        "device": device_name(),
        "versions": versions | {name: version(name) for name in packages},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
