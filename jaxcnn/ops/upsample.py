"""Upsampling, the fast implementation: one axis at a time, by slices or a gather."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import reduce
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.shapes import Factor, Resized


@suggest_keywords
def upsample(
    x: jax.Array,
    scale_factor: Factor | Sequence[Factor] | None = None,
    *,
    output_size: int | Sequence[int] | None = None,
    method: str = "nearest",
    coordinates: str = "half_pixel",
    rounding: str = "exact",
) -> jax.Array:
    """Resizes the spatial axes, by the nearest cell or by linear interpolation.

        x: (N, *spatial, C) or (*spatial, C)
        returns (N, *k, C) or (*k, C), with k = output_size, or size*scale_factor

    Output i of k on n cells, with s = scale_factor or k/n, has a coordinate on the input:

        (i + 1/2)/s - 1/2 for "half_pixel",   i/s for "asymmetric",   i*(n - 1)/(k - 1) for
        "align_corners" (0 if k is 1)

    A coordinate before the first cell or after the last one is moved to that cell.

    Args:
      x: the input; channels last.
      scale_factor: s, one number for all spatial axes or one for each; a factor below 1 leaves
        cells out. An x without a batch axis needs one for each.
      output_size: k, instead of ``scale_factor``; one number or one for each axis.
      method: which cells become the output. ``"nearest"``: the nearest cell, and the later of two
        at the same distance (``"round_prefer_floor"``: the earlier one); ``"floor"`` or ``"ceil"``:
        the cell at the coordinate, or before or after it; ``"linear"``: on every axis the cells
        before and after it, weighted by their distance.
      coordinates: as above.
      rounding: ``"exact"`` raises an error if size*scale_factor is not whole; ``"floor"`` rounds it
        down. The coordinates are those of the ``scale_factor``.

    The names are those of ONNX's Resize, where "nearest" is round_prefer_ceil. PyTorch's modes:

        nearest-exact                   the defaults
        nearest                         method="floor", coordinates="asymmetric"
        linear, bilinear, trilinear     method="linear"
          with align_corners            method="linear", coordinates="align_corners"

    An output depends only on cells with a weight above 0. Sums of 16-bit inputs are computed in
    float32.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.
      TypeError: if x is not floating and the method is "linear".

    Source: ONNX, operator Resize.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[0.0], [4.0]])
    >>> upsample(x, (2,))[:, 0], upsample(x, (2,), method="linear")[:, 0]
    (Array([0., 0., 4., 4.], dtype=float32), Array([0., 1., 3., 4.], dtype=float32))
    """
    x, shapes = edge.upsample(
        x,
        scale_factor,
        output_size=output_size,
        method=method,
        coordinates=coordinates,
        rounding=rounding,
    )
    y = widened(x)
    for place, axis in enumerate(shapes.axes, start=1):
        factor = axis.factor
        if factor is not None:
            y = _repeat(y, axis, factor, place, method)
        else:
            y = _gather(y, axis, place, method)
    return shapes.restore(y)


def _repeat(x: jax.Array, axis: Resized, factor: int, place: int, method: str) -> jax.Array:
    """x resized by a whole factor along one axis: outputs r apart are cells at one distance."""
    weights = [_weights(axis.start + i * axis.step, method) for i in range(factor)]
    one = isinstance(axis.size, int) and axis.size == 1
    if one or all(each == {0: 1} for each in weights):
        wide = (*x.shape[: place + 1], factor, *x.shape[place + 1 :])
        parts = jnp.broadcast_to(jnp.expand_dims(x, place + 1), wide)
    else:
        cells = {way: _moved(x, way, place) for each in weights for way in each}
        sums = [
            reduce(jnp.add, (_times(cells[way], share) for way, share in each.items()))
            for each in weights
        ]
        parts = jnp.stack(sums, place + 1)
    return lax.collapse(parts, place, place + 2)


def _times(cells: jax.Array, share: Fraction) -> jax.Array:
    return cells if share == 1 else cells * float(share)


def _moved(x: jax.Array, by: int, place: int) -> jax.Array:
    """The cells one before (-1) or after (1) each cell of an axis; the axis' ends repeat."""
    size = x.shape[place]
    first, last = (lax.slice_in_dim(x, at, at + 1, axis=place) for at in (0, size - 1))
    if by < 0:
        return lax.concatenate([first, lax.slice_in_dim(x, 0, size - 1, axis=place)], place)
    if by > 0:
        return lax.concatenate([lax.slice_in_dim(x, 1, size, axis=place), last], place)
    return x


def _gather(x: jax.Array, axis: Resized, place: int, method: str) -> jax.Array:
    weights = [list(_weights(axis.of(i), method).items()) for i in range(axis.output)]
    before = _take(x, [cells[0][0] for cells in weights], place)
    if all(len(cells) == 1 for cells in weights):
        return before
    after = _take(x, [cells[-1][0] for cells in weights], place)
    beyond = [cells[1][1] if len(cells) == 2 else Fraction(0) for cells in weights]
    # As integers over one denominator: a plan would count an array of fractions as weights.
    over = math.lcm(*(share.denominator for share in beyond))
    shape = tuple(-1 if at == place else 1 for at in range(x.ndim))
    numerators = jnp.asarray([int(share * over) for share in beyond]).reshape(shape)
    share = numerators.astype(x.dtype) / over
    # Not share * after alone: a cell of weight 0 may be infinite.
    return (1 - share) * before + jnp.where(numerators == 0, 0, share * after)


def _take(x: jax.Array, cells: list[int], place: int) -> jax.Array:
    return jnp.take(x, jnp.asarray(cells), place, mode="clip")


def _weights(coordinate: Fraction, method: str) -> dict[int, Fraction]:
    """The cells that an output at this coordinate is made of, with weights above 0."""
    cell, half = math.floor(coordinate), Fraction(1, 2)
    if method == "linear":
        share = coordinate - cell
        return {cell: 1 - share, cell + 1: share} if share else {cell: Fraction(1)}
    rounded = {
        "floor": cell,
        "ceil": math.ceil(coordinate),
        "nearest": math.floor(coordinate + half),
        "round_prefer_floor": math.ceil(coordinate - half),
    }
    return {rounded[method]: Fraction(1)}
