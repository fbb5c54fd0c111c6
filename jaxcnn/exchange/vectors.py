"""Test vectors: images, the model's outputs for them, and how far another runtime may be from them.

The images follow from a seed, so that a file needs to keep the outputs alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxcnn.exchange.source import Source

SEED = 0
BATCHES = (2, 1)
"""The numbers of images in the two test vectors."""

KEPT = 64
"""The most numbers of an output that a file keeps."""

_DRAWS = 2
_DEVIATIONS = 4


@dataclass(frozen=True)
class Vectors:
    """Images and outputs of the model.

    Attributes:
      images: one array of images for each of :data:`BATCHES`.
      outputs: the outputs for each.
      tolerances: for each output, the largest difference that rounding explains.
    """

    images: tuple[np.ndarray, ...]
    outputs: tuple[list[np.ndarray], ...]
    tolerances: tuple[float, ...]

    def require(self, run: Callable[[np.ndarray], Sequence[Any]], names: Sequence[str]) -> float:
        """The largest difference of another runtime, as a part of what is allowed.

        Raises:
          InputError: if an output has another shape, or differs by more than its tolerance.
        """
        worst = 0.0
        for images, wanted in zip(self.images, self.outputs, strict=True):
            for name, got, want, most in zip(
                names, run(images), wanted, self.tolerances, strict=True
            ):
                if got.shape != want.shape:
                    raise InputError(
                        f"{name} of the exported program has shape {got.shape}, not {want.shape}, "
                        f"for images {images.shape}; nothing was written"
                    )
                worst = max(worst, _excess(name, got, want, most))
        return worst


def _excess(name: str, got: np.ndarray, want: np.ndarray, most: float) -> float:
    """The largest difference of an output, as a part of the tolerance."""
    one, other = (np.asarray(array, np.float64) for array in (got, want))
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        difference = float(np.max(np.where(same, 0, np.abs(one - other)), initial=0))
    if not difference <= most:
        raise InputError(
            f"{name} of the exported program differs from the model's by {difference:.3g}, and "
            f"rounding explains {most:.3g}; nothing was written. Please report the model"
        )
    return difference / most if most else 0.0


def images_of(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """The images of a test vector: normal numbers, or whole ones of the dtype's range.

    >>> print(images_of((3,), np.float32).round(2))
    [ 0.13 -0.13  0.64]
    """
    draws = np.random.default_rng(SEED)
    if jnp.issubdtype(dtype, jnp.floating):
        return draws.standard_normal(tuple(shape)).astype(dtype)
    if np.dtype(dtype).kind == "b":
        return draws.integers(0, 2, tuple(shape)).astype(bool)
    most = min(np.iinfo(dtype).max, 255)
    return draws.integers(0, most, tuple(shape), endpoint=True).astype(dtype)


def vectors_of(source: Source) -> Vectors:
    """The model's outputs for two numbers of images, and their tolerances."""
    run = jax.jit(source.call)
    shape, dtype = source.images.shape[1:], source.images.dtype
    images = tuple(images_of((count, *shape), dtype) for count in BATCHES)
    outputs = tuple([np.asarray(y) for y in run(source.arrays, x)] for x in images)
    return Vectors(images, outputs, _tolerances(source, run, images[0], outputs[0]))


def _tolerances(
    source: Source, run: Callable[..., Any], images: np.ndarray, outputs: list[np.ndarray]
) -> tuple[float, ...]:
    """The largest difference of each output that rounding explains.

    A sum of n products, computed in any order, is the exact sum of the same products with each
    factor changed by a relative error of about sqrt(n) times the unit roundoff u, or
    ``_DEVIATIONS`` times that with certainty (Higham and Mary, SIAM J. Sci. Comput. 41, 2019). So
    the model is run with images and parameters changed at random by as much, and twice the largest
    change of an output is allowed: one for each of two programs. n is the largest number of entries
    of a parameter, or of an image, that one number can be summed from.
    """
    sizes = [math.prod(array.shape[:-1]) for array in source.arrays] or [images[0].size]
    error = _DEVIATIONS * math.sqrt(max(sizes))
    draws = np.random.default_rng(SEED + 1)

    def near(array: Any) -> Any:
        if not jnp.issubdtype(array.dtype, jnp.floating):
            return array
        change = error * _unit_roundoff(array.dtype) * draws.choice((-1.0, 1.0), array.shape)
        return (np.asarray(array) * (1 + change)).astype(array.dtype)

    most = [0.0 for _ in outputs]
    for _ in range(_DRAWS):
        found = run([near(array) for array in source.arrays], near(images))
        for i, (got, want) in enumerate(zip(found, outputs, strict=True)):
            if jnp.issubdtype(want.dtype, jnp.floating):
                one, other = (np.asarray(array, np.float64) for array in (got, want))
                finite = np.isfinite(one) & np.isfinite(other)
                change = float(np.abs(one - other)[finite].max(initial=0))
                size = float(np.abs(other)[finite].max(initial=0))
                least = _DEVIATIONS * _unit_roundoff(want.dtype) * size
                most[i] = max(most[i], 2 * change, 2 * least)
    return tuple(most)


def _unit_roundoff(dtype: Any) -> float:
    return float(jnp.finfo(dtype).eps) / 2
