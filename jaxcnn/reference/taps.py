"""The cells under each tap of a window; every definition here is a sum or maximum of them."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jaxcnn.geometry import Window


def pad(x: jax.Array, windows: Sequence[Window], value: float = 0) -> jax.Array:
    """x (N, *spatial, C) with cells of ``value`` around its spatial axes."""
    around = [w.padding for w in windows]
    return jnp.pad(x, [(0, 0), *around, (0, 0)], constant_values=value)


def overhang(x: jax.Array, windows: Sequence[Window], value: float = 0) -> jax.Array:
    """A padded x, extended by the cells of ``value`` that the last windows read beyond its end."""
    beyond = [(0, w.overhang) for w in windows]
    return jnp.pad(x, [(0, 0), *beyond, (0, 0)], constant_values=value)


def of_rank(x: jax.Array, rank: int) -> jax.Array:
    """x with axes of size 1 in front, so that it has ``rank`` axes."""
    return x.reshape((1,) * (rank - x.ndim) + x.shape)


def add_bias(y: jax.Array, bias: jax.Array | None) -> jax.Array:
    """y + bias; y if there is no bias."""
    return y if bias is None else y + of_rank(widened(bias), y.ndim)


def taps(
    padded: jax.Array, windows: Sequence[Window]
) -> Iterator[tuple[tuple[int, ...], jax.Array]]:
    """Each tap (f_1, f_2, ...) with the cells under it, (N, *k, C): output i reads i*s + d*f."""
    for tap in product(*(range(w.kernel_size) for w in windows)):
        cells = padded
        for axis, (f, w) in enumerate(zip(tap, windows, strict=True), start=1):
            places = [i * w.stride + w.dilation * f for i in range(w.output)]
            cells = jnp.take(cells, jnp.array(places), axis=axis)
        yield tap, cells


def total(terms: Iterable[jax.Array]) -> jax.Array:
    """The sum of one or more terms, started with 0, so that negative zeros sum to 0."""
    first, *others = terms
    return sum(others, 0 + first)
