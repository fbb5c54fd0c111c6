"""The plan of any model, read from its trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.typing import DTypeLike

from jaxcnn.geometry import Plan, PlanRow
from jaxcnn.inspect.network import Layer
from jaxcnn.inspect.trace import trace


def plan_of(
    model: Callable[..., Any],
    input_shape: Sequence[int] | jax.ShapeDtypeStruct,
    *,
    dtype: DTypeLike = "float32",
) -> Plan:
    """What each layer of a model makes of the size, and what it costs; prints as a table.

    Arguments and errors are those of :func:`jaxcnn.inspect.trace`. Branches come in the order in
    which they are computed. What is not known is ``?`` in the table, with its reason below.

    - A field is that of one output, all its channels together, on the spatial axes of the input,
      or, for a generator, of its first map. What a normalisation's own statistics read does not
      count.
    - Multiply-adds are those of convolutions and of products of matrices, attention's included, for
      one example; products of weights alone are not counted.
    - Parameters are the numbers that are learnt: of Flax what it calls parameters, elsewhere
      floating-point arrays, except those that act as a normalisation's running mean or variance.

    >>> from flax import nnx
    >>> print(plan_of(nnx.Conv(1, 6, (3, 3), padding="VALID", rngs=nnx.Rngs(0)), (7, 7, 1)))
    layer             output  parameters  multiply-adds  field  stride  lost
    input             7x7x1                                1x1     1x1
    conv1 (conv 3x3)  5x5x6           60          1,350    3x3     1x1     0
    total                             60          1,350
    """
    network = trace(model, input_shape, dtype=dtype)
    return Plan(network.input, tuple(map(_row, network.layers)), network.notes)


def _row(layer: Layer) -> PlanRow:
    # A dense layer and a global pool read all there is: nothing is left over at an end.
    lost = tuple(slide.lost for _, slide in layer.slides)
    return PlanRow(
        str(layer), layer.output, layer.parameters, layer.multiply_adds, layer.fields, lost
    )
