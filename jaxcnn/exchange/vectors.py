"""Test vectors: images, the model's outputs for them, and how far another runtime may be from them.

The images follow from a seed, so that a file needs to keep the outputs alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxcnn.exchange.source import Source

SEED = 0
BATCHES = (2, 1)
"""The numbers of images in the two test vectors."""

Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""The outputs of a program for images, by name."""

KEPT = 64
"""The most numbers of an output that a file keeps."""

_DRAWS = 2
_DEVIATIONS = 4
_MOST = 0.25
"""The largest tolerance that decides anything, as a part of the largest number of an output."""


@dataclass(frozen=True)
class Vectors:
    """Images and outputs of the model.

    Attributes:
      images: one array of images for each of :data:`BATCHES`.
      outputs: the outputs for each, by name.
      tolerances: for each output, the largest difference that rounding explains; for an output of
        integers or booleans, the largest share of entries that differ.
      given: what the model is given besides images, for messages.
    """

    images: tuple[np.ndarray, ...]
    outputs: tuple[dict[str, np.ndarray], ...]
    tolerances: dict[str, float]
    given: str = ""

    def require(self, run: Run) -> float:
        """The largest difference of another runtime, as a part of what is allowed.

        Raises:
          InputError: if an output has another shape, or differs by more than its tolerance.
        """
        worst = 0.0
        for images, wanted in zip(self.images, self.outputs, strict=True):
            found = run(images)
            for name, most in self.tolerances.items():
                got, want = found[name], wanted[name]
                if got.shape != want.shape:
                    raise InputError(
                        f"{name} of the exported program has shape {got.shape}, not {want.shape}, "
                        f"for images {images.shape}; nothing was written"
                    )
                difference = _difference(got, want)
                if not difference <= most:
                    raise InputError(
                        f"{name} of the exported program differs from the model's{self.given} by "
                        f"{difference:.3g}, and rounding explains {most:.3g}; nothing was written. "
                        f"Please report the model"
                    )
                worst = max(worst, difference / most if most else 0.0)
        return worst


def images_of(shape: Sequence[int], dtype: Any) -> tuple[np.ndarray, str]:
    """The images of a test vector, and the expression of NumPy that gives them.

    They are normal numbers, or whole ones of the dtype's range.

    >>> images, rule = images_of((3,), np.float32)
    >>> rule
    "numpy.random.default_rng(0).standard_normal((3,)).astype('float32')"
    >>> print(images.round(2))
    [ 0.13 -0.13  0.64]
    """
    shape, dtype = tuple(shape), np.dtype(dtype)
    draws = np.random.default_rng(SEED)
    if jnp.issubdtype(dtype, jnp.floating):
        images, rule = draws.standard_normal(shape), f"standard_normal({shape})"
    else:
        most = 1 if dtype.kind == "b" else min(np.iinfo(dtype).max, 255)
        images = draws.integers(0, most, shape, endpoint=True)
        rule = f"integers(0, {most}, {shape}, endpoint=True)"
    return images.astype(dtype), f"numpy.random.default_rng({SEED}).{rule}.astype({dtype.name!r})"


@contextmanager
def like_the_cpu() -> Iterator[None]:
    """Runs programs on the CPU where JAX has it, and with exact products elsewhere.

    A GPU multiplies float32 with fewer digits, and the runtimes of files compute on the CPU.
    """
    with ExitStack() as stack:
        stack.enter_context(jax.default_matmul_precision("highest"))
        with suppress(RuntimeError):  # JAX_PLATFORMS may leave the CPU out
            stack.enter_context(jax.default_device(jax.local_devices(backend="cpu")[0]))
        yield


def vectors_of(source: Source) -> Vectors:
    """The model's outputs for two numbers of images, and their tolerances.

    Raises:
      InputError: if an output is not finite, or so sensitive to rounding that a comparison shows
        nothing.
    """
    vectors = _computed(source)
    for name, outputs in vectors.outputs[0].items():
        if not _is_finite(outputs):
            raise InputError(
                f"{name} of the model is not finite for images of random numbers, so that a "
                f"comparison shows nothing; use a model whose outputs are finite"
            )
        if not _is_decided(outputs, vectors.tolerances[name]):
            raise InputError(
                f"{name} of the model changes by {vectors.tolerances[name]:.3g} if its parameters "
                f"are rounded, and is {np.abs(outputs.astype(np.float64)).max():.3g} at most, so "
                f"that a comparison decides nothing; use a wider dtype, or other parameters"
            )
    return vectors


def drawn_of(source: Source, own: Vectors) -> tuple[Source, Vectors]:
    """The model with other parameters, drawn at random, and its vectors.

    Parameters hide a part of the program where they are zero, as the head or the last scale of a
    branch may be before the training: every output is the same for any such part. Those drawn are
    of order 1 by axis: a product over all axes of a kernel but the last keeps the size of numbers.
    Where an array has no negative entries, as a variance, none are drawn. An output that is not
    finite then, or that rounding changes much, is left out.

    Raises:
      InputError: if such an output is the same for all images in ``own``, the model's vectors.
    """
    draws = np.random.default_rng(SEED + 2)

    def drawn(array: Any) -> Any:
        if not jnp.issubdtype(array.dtype, jnp.floating):
            return array
        if len(array.shape) < 2:
            return draws.uniform(0.5, 1.5, array.shape).astype(array.dtype)
        numbers = draws.standard_normal(array.shape) / math.sqrt(math.prod(array.shape[:-1]))
        is_positive = not (np.asarray(array) < 0).any() and (np.asarray(array) > 0).any()
        return (np.abs(numbers) if is_positive else numbers).astype(array.dtype)

    source = replace(source, arrays=[drawn(array) for array in source.arrays])
    vectors = _computed(source)
    tolerances = {
        name: most
        for name, most in vectors.tolerances.items()
        if all(_is_finite(outputs[name]) for outputs in vectors.outputs)
        and _is_decided(vectors.outputs[0][name], most)
    }
    first = own.outputs[0]
    for name in first.keys() - tolerances:
        if (first[name] == first[name][:1]).all():
            raise InputError(
                f"{name} of the model is the same for all images, so that a comparison shows "
                f"nothing; train the model, or give it parameters that are not zero"
            )
    return source, replace(
        vectors, tolerances=tolerances, given=", with parameters drawn at random,"
    )


def _computed(source: Source) -> Vectors:
    run = jax.jit(source.call)
    shape, dtype = source.images.shape[1:], source.images.dtype
    images = tuple(images_of((count, *shape), dtype)[0] for count in BATCHES)
    arrays = [
        array if jnp.issubdtype(array.dtype, jax.dtypes.prng_key) else np.asarray(array)
        for array in source.arrays
    ]

    def outputs_of(arrays: list[Any], images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(source.names, map(np.asarray, run(arrays, images)), strict=True))

    with like_the_cpu():
        outputs = tuple(outputs_of(arrays, x) for x in images)
        return Vectors(images, outputs, _tolerances(arrays, outputs_of, images[0], outputs[0]))


def _tolerances(
    arrays: list[Any],
    outputs_of: Callable[[list[Any], np.ndarray], dict[str, np.ndarray]],
    images: np.ndarray,
    outputs: dict[str, np.ndarray],
) -> dict[str, float]:
    """The largest difference of each output that rounding explains.

    A sum of n products, computed in any order, is the exact sum of the same products with each
    factor changed by a relative error of about sqrt(n) times the unit roundoff u, or
    ``_DEVIATIONS`` times that with certainty (Higham and Mary, SIAM J. Sci. Comput. 41, 2019).
    Sums are computed in float32 at least, and numbers of a narrower dtype have its own roundoff
    besides. So the model is run with images and parameters changed at random by as much, and twice
    the largest change of an output is allowed: one for each of two programs. n is the largest
    number of entries of a parameter, or of an image, that one number can be summed from.
    """
    sizes = [math.prod(array.shape[:-1]) for array in arrays if array.ndim] or [images[0].size]
    terms = _DEVIATIONS * math.sqrt(max(sizes))
    draws = np.random.default_rng(SEED + 1)

    def near(array: Any) -> Any:
        if not jnp.issubdtype(array.dtype, jnp.floating):
            return array
        change = _error(array.dtype, terms) * draws.choice((-1.0, 1.0), array.shape)
        return (np.asarray(array) * (1 + change)).astype(array.dtype)

    most = dict.fromkeys(outputs, 0.0)
    for _ in range(_DRAWS):
        found = outputs_of([near(array) for array in arrays], near(images))
        for name, want in outputs.items():
            least = 0.0
            if jnp.issubdtype(want.dtype, jnp.floating):
                finite = want[np.isfinite(want)].astype(np.float64)
                least = _error(want.dtype, terms) * float(np.abs(finite).max(initial=0))
            change = _difference(found[name], want)
            most[name] = max(most[name], 2 * change, 2 * least)
    return most


def _error(dtype: Any, terms: float) -> float:
    """The relative error of a sum of as many terms, and of the roundings to the dtype."""
    unit = float(jnp.finfo(dtype).eps) / 2
    wide = min(unit, float(jnp.finfo(jnp.float32).eps) / 2)
    return max(terms * wide, unit)


def _difference(got: np.ndarray, want: np.ndarray) -> float:
    """The largest difference of numbers; of integers and booleans, the share that differs."""
    if not jnp.issubdtype(want.dtype, jnp.floating):
        return float(np.mean(got != want)) if want.size else 0.0
    one, other = (np.asarray(array, np.float64) for array in (got, want))
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        return float(np.max(np.where(same, 0, np.abs(one - other)), initial=0))


def _is_finite(output: np.ndarray) -> bool:
    return bool(np.isfinite(output.astype(np.float64)).all())


def _is_decided(output: np.ndarray, tolerance: float) -> bool:
    """Whether a difference that is allowed is small beside the output."""
    if not jnp.issubdtype(output.dtype, jnp.floating):
        return tolerance <= _MOST
    return tolerance <= _MOST * float(np.abs(output.astype(np.float64)).max(initial=0))
