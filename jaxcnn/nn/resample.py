"""Upsampling, blur pooling and pixel shuffles as Flax NNX modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flax import nnx

from jaxcnn import ops
from jaxcnn.errors import error_prefix
from jaxcnn.geometry import PADDING_MODES, Padding
from jaxcnn.geometry.check import choice, is_sequence
from jaxcnn.geometry.padding import PADDING_MODE_SYNONYMS
from jaxcnn.geometry.window import ROUNDINGS
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._options import one_or_each, without_arrays
from jaxcnn.nn.pool import Pool
from jaxcnn.shapes.checks import require_floor_or_exact
from jaxcnn.shapes.resample import ORDERS, require_blur
from jaxcnn.shapes.upsample import COORDINATES, METHODS, require_one, scale_factors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jax

    from jaxcnn.shapes import Factor


@suggest_keywords
class Upsample(nnx.Module):
    """:func:`jaxcnn.upsample` as a layer, with the same arguments, checked when it is built.

    >>> import jax.numpy as jnp
    >>> Upsample(2, method="linear")(jnp.ones((1, 4, 5, 3))).shape
    (1, 8, 10, 3)
    """

    def __init__(
        self,
        scale_factor: Factor | Sequence[Factor] | None = None,
        *,
        output_size: int | Sequence[int] | None = None,
        method: str = "nearest",
        coordinates: str = "half_pixel",
        rounding: str = "exact",
    ) -> None:
        with error_prefix(type(self).__name__):
            require_one(scale_factor, output_size)
            self.scale_factor = None if scale_factor is None else _factors(scale_factor)
            self.output_size = (
                None if output_size is None else one_or_each("output_size", output_size)
            )
            self.method = choice("method", method, METHODS)
            self.coordinates = choice("coordinates", coordinates, COORDINATES)
            self.rounding = choice("rounding", rounding, ROUNDINGS)
            require_floor_or_exact(self.rounding)

    def __call__(self, x: jax.Array) -> jax.Array:
        return ops.upsample(
            x,
            self.scale_factor,
            output_size=self.output_size,
            method=self.method,
            coordinates=self.coordinates,
            rounding=self.rounding,
        )


def _factors(scale_factor: Factor | Sequence[Factor]) -> Factor | tuple[Factor, ...]:
    """The factors as whole numbers or fractions: equal ones give equal programs."""
    given = without_arrays(scale_factor)
    each = scale_factors(given, len(given) if is_sequence(given) else 1)
    numbers = tuple(int(factor) if factor.denominator == 1 else factor for factor in each)
    return numbers if is_sequence(given) else numbers[0]


@suggest_keywords
class BlurPool(Pool):
    """:func:`jaxcnn.blur_pool` as a layer, with the same arguments, checked when it is built.

    >>> import jax.numpy as jnp
    >>> BlurPool()(jnp.ones((1, 4, 4, 1))).shape
    (1, 2, 2, 1)
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int] = 3,
        *,
        stride: int | Sequence[int] = 2,
        padding: Padding = "SAME_LOWER",
        padding_mode: str = "reflect",
        rounding: str = "exact",
    ) -> None:
        with error_prefix(type(self).__name__):
            stride = one_or_each("stride", stride)
            self.padding_mode = choice(
                "padding_mode", padding_mode, PADDING_MODES, PADDING_MODE_SYNONYMS
            )
            require_blur(padding_mode, rounding)
        super().__init__(kernel_size, stride=stride, padding=padding, rounding=rounding)

    def __call__(self, x: jax.Array) -> jax.Array:
        options = self.options
        return ops.blur_pool(
            x,
            kernel_size=options.kernel_size,
            stride=options.stride,
            padding=options.padding,
            padding_mode=self.padding_mode,
            rounding=options.rounding,
        )


class Shuffle(nnx.Module):
    """The base class of pixel shuffles: it stores the factor and the order of the channels."""

    def __init__(self, factor: int | Sequence[int], *, order: str = "CRD") -> None:
        with error_prefix(type(self).__name__):
            self.factor = one_or_each("factor", factor)
            self.order = choice("order", order, ORDERS)


@suggest_keywords
class PixelShuffle(Shuffle):
    """:func:`jaxcnn.pixel_shuffle` as a layer, with the same arguments.

    >>> import jax.numpy as jnp
    >>> PixelShuffle(2)(jnp.ones((1, 4, 4, 12))).shape
    (1, 8, 8, 3)
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return ops.pixel_shuffle(x, self.factor, order=self.order)


@suggest_keywords
class PixelUnshuffle(Shuffle):
    """:func:`jaxcnn.pixel_unshuffle` as a layer, with the same arguments.

    >>> import jax.numpy as jnp
    >>> PixelUnshuffle(2)(jnp.ones((1, 4, 4, 3))).shape
    (1, 2, 2, 12)
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return ops.pixel_unshuffle(x, self.factor, order=self.order)
