"""StableHLO files: a model's program as ``jax.export`` serialises it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax import export

from jaxcnn.convolve import onednn_closed
from jaxcnn.errors import InputError
from jaxcnn.exchange.vectors import like_the_cpu
from jaxcnn.inspect.program import first_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jaxcnn.exchange.source import Source

PLATFORMS = ("cpu", "cuda", "tpu")


def write(source: Source, path: Path) -> None:
    """Writes the program for every platform; it calls nothing of jaxcnn's."""

    def program(images: jax.Array) -> dict[str, jax.Array]:
        return dict(zip(source.names, source.call(source.arrays, images), strict=True))

    with onednn_closed():
        try:
            exported = export.export(jax.jit(program), platforms=PLATFORMS)(source.images)
        except Exception as error:  # what calls back to Python has several errors
            raise InputError(
                f"the model has no form in StableHLO: {first_line(error)}; write it without that"
            ) from None
    path.write_bytes(exported.serialize())


def runner(path: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The outputs of a file for images, by name."""
    exported = export.deserialize(bytearray(path.read_bytes()))

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        with like_the_cpu():
            outputs: Any = exported.call(images)
        return {name: np.asarray(output) for name, output in outputs.items()}

    return run
