"""jaxcnn: exact, tested, trainable convolutions for JAX.

Names are imported when they are first used, so that ``jaxcnn.geometry`` and ``jaxcnn size`` work,
and start at once, where JAX is not installed or not needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxcnn import data, geometry, nn, ops, reference, train
    from jaxcnn.errors import InputError
    from jaxcnn.ops import avg_pool, conv, max_pool

__version__ = "0.1.0"

_MODULES = ("data", "geometry", "nn", "ops", "reference", "train")
_NAMES = {
    "InputError": "jaxcnn.errors",
    "avg_pool": "jaxcnn.ops",
    "conv": "jaxcnn.ops",
    "max_pool": "jaxcnn.ops",
}

__all__ = [
    "InputError",
    "avg_pool",
    "conv",
    "data",
    "geometry",
    "max_pool",
    "nn",
    "ops",
    "reference",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"jaxcnn.{name}")
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'jaxcnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
