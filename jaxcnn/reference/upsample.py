"""Upsampling, as defined: output by output."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.taps import total
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.shapes import Factor


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
    """For each output, the sum of the cells around its coordinate times their weights.

    Shapes, arguments and errors are those of :func:`jaxcnn.upsample`, its fast twin.

    >>> import jax.numpy as jnp
    >>> upsample(jnp.array([[0.0], [4.0]]), (2,), method="linear")[:, 0]
    Array([0., 1., 3., 4.], dtype=float32)
    """
    x, shapes = edge.upsample(
        x,
        scale_factor,
        output_size=output_size,
        method=method,
        coordinates=coordinates,
        rounding=rounding,
    )
    x = widened(x)
    around = [[_weights(axis.of(i), method) for i in range(axis.output)] for axis in shapes.axes]
    outputs = []
    for weights in product(*around):
        parts = []
        for cell in product(*weights):
            share = math.prod(each[i] for each, i in zip(weights, cell, strict=True))
            part = x[(slice(None), *cell)]
            parts.append(part if share == 1 else part * float(share))
        outputs.append(total(parts))
    y = jnp.stack(outputs, axis=1)
    sizes = (axis.output for axis in shapes.axes)
    return shapes.restore(y.reshape(len(x), *sizes, shapes.channels))


def _weights(coordinate: Fraction, method: str) -> dict[int, Fraction]:
    """The cells of one axis that an output is made of, with their weights."""
    before = math.floor(coordinate)
    beyond = coordinate - before
    if method == "linear":
        return {before: 1 - beyond} | ({before + 1: beyond} if beyond else {})
    cell = {
        "floor": before,
        "ceil": math.ceil(coordinate),
        "nearest": before + (beyond >= Fraction(1, 2)),
        "round_prefer_floor": before + (beyond > Fraction(1, 2)),
    }[method]
    return {cell: Fraction(1)}
