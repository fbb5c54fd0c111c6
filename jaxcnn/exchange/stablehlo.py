"""StableHLO files: a model's program as ``jax.export`` serialises it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax import export

from jaxcnn.convolve import onednn_closed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from jaxcnn.exchange.source import Source

PLATFORMS = ("cpu", "cuda", "tpu")


def write(source: Source, path: Path) -> None:
    """Writes the program for every platform; it calls nothing of jaxcnn's."""

    def program(images: jax.Array) -> dict[str, jax.Array]:
        return dict(zip(source.names, source.call(source.arrays, images), strict=True))

    with onednn_closed():
        exported = export.export(jax.jit(program), platforms=PLATFORMS)(source.images)
    path.write_bytes(exported.serialize())


def runner(path: Path) -> Callable[[np.ndarray], Sequence[Any]]:
    """The outputs of a file for images."""
    exported = export.deserialize(bytearray(path.read_bytes()))

    def run(images: np.ndarray) -> Sequence[Any]:
        outputs: Any = exported.call(images)
        return [np.asarray(output) for output in outputs.values()]

    return run
