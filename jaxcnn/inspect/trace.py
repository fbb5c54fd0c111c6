"""``trace`` finds the layers of a model, for any callable that JAX can trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

from jaxcnn.geometry.text import format_shape
from jaxcnn.inspect.network import Network
from jaxcnn.inspect.program import read_program
from jaxcnn.inspect.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jax.typing import DTypeLike


def trace(
    model: Callable[..., Any],
    input_shape: Sequence[int] | jax.ShapeDtypeStruct,
    *,
    dtype: DTypeLike = "float32",
) -> Network:
    """The layers of a model, read from its traced program; nothing is computed.

    Any layout works: the axes along which windows move are the spatial axes. A place of a feature
    map is all its channels together. The statistics of a normalisation,
    (x - mean(x)) / sqrt(var(x) + eps) with or without the mean, do not count as read; any other use
    of a mean does. If the program does not show what a layer reads or how often it runs, the layer
    is marked unknown, and ``notes`` has the reason.

    Args:
      model: a Flax NNX module (read in evaluation mode and not changed), or any function of one
        array. The arrays of a callable pytree, such as an Equinox module, are its weights.
      input_shape: the shape of one example, as the model expects it ((*spatial, C) in most of
        Flax), or its ``jax.ShapeDtypeStruct``.
      dtype: the input's dtype, if ``input_shape`` has none.

    Raises:
      InputError: if the model does not accept such an input (gives the model's reason), or if a
        kernel is larger than its padded input.

    >>> from jax import lax, numpy as jnp
    >>> def net(x):
    ...     return lax.conv(x, jnp.ones((6, 3, 3, 3)), (1, 1), "VALID")
    >>> network = trace(net, (3, 7, 7))
    >>> str(network.layers[0]), network.layers[0].output_shape, network.spatial
    ('conv1 (conv 3x3)', (5, 5, 6), (1, 2))
    """
    if isinstance(input_shape, jax.ShapeDtypeStruct):
        shape, dtype = tuple(input_shape.shape), input_shape.dtype
    else:
        shape = tuple(input_shape)
    program = read_program(model, shape, dtype)
    offset = int(program.batched)
    # The first walk treats every axis as spatial, to find the axes that are.
    first = Tracer(program, range(offset, len(shape) + offset))
    first.walk()
    found = first.spatial.windowed | (first.spatial.pooled - first.spatial.channels)
    spatial = sorted(axis + offset for axis in found)
    batches = first.spatial.batch - first.spatial.channels - found
    tracer = Tracer(program, spatial, [axis + offset for axis in batches])
    tracer.walk()
    layers = tuple(tracer.ledger.layers)
    notes = list(tracer.ledger.notes)
    unknown = next((layer for layer in layers if layer.unknown_reason), None)
    if unknown is not None:
        notes.append(
            f"from {unknown.name} on, receptive fields are not known: {unknown.unknown_reason}"
        )
    beside = [axis for axis in range(len(shape)) if axis + offset not in spatial]
    if spatial and len(beside) > 1:
        others = format_shape([n for axis, n in enumerate(shape) if axis != beside[0]])
        notes.append(
            f"axis {beside[0]} of the input, of size {shape[beside[0]]}, counts as part of one "
            f"example; if it is a batch, leave it out: {others}"
        )
    axes = tuple(axis - offset for axis in spatial)
    return Network(shape, axes, layers, tracer.spatial.origin, tuple(notes))
