"""From a model to its layers: any callable that JAX can trace, from whatever library it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.typing import DTypeLike

from jaxcnn.geometry.text import format_shape
from jaxcnn.inspect import along, elementwise, loops, moves, picks, windows
from jaxcnn.inspect.network import Network
from jaxcnn.inspect.program import read_program
from jaxcnn.inspect.tracer import Tracer

_RULES = {
    rule: act
    for part in (along, elementwise, loops, moves, picks, windows)
    for rule, act in part.RULES.items()
}


def trace(
    model: Callable[..., Any],
    input_shape: Sequence[int] | jax.ShapeDtypeStruct,
    *,
    dtype: DTypeLike = "float32",
) -> Network:
    """FeatureMap a model's layers out of the program that it is traced to; nothing is computed.

    Layouts are taken as they come: which axes of the input are spatial is learnt from the filters
    and pools that are laid along them. A place of a map is all its channels together. The
    statistics of a normalisation, (x - mean(x)) / sqrt(var(x) + eps) with or without the mean, do
    not count as reads; any other use of a mean does. Where the program does not say what is read or
    counted, the layer is marked unknown, and ``notes`` has the reason.

    Args:
      model: a Flax NNX module (read in evaluation mode, and left as it is), or any function of one
        array; a pytree that is callable, as Equinox modules are, has its arrays for weights.
      input_shape: one example's, as the model expects it: (*spatial, C) in most of Flax; or a
        ``jax.ShapeDtypeStruct`` of one example.
      dtype: of the input, where ``input_shape`` has none.

    Raises:
      InputError: where the model does not take such an input, with its reason, or a filter is
        larger than what it is laid on, so that nothing is left.

    >>> from jax import lax, numpy as jnp
    >>> def net(x):
    ...     return lax.conv(x, jnp.ones((6, 3, 3, 3)), (1, 1), "VALID")
    >>> network = trace(net, (3, 7, 7))
    >>> str(network.layers[0]), network.layers[0].output, network.spatial
    ('conv1 (conv 3x3)', (5, 5, 6), (1, 2))
    """
    if isinstance(input_shape, jax.ShapeDtypeStruct):
        shape, dtype = tuple(input_shape.shape), input_shape.dtype
    else:
        shape = tuple(input_shape)
    program = read_program(model, shape, dtype)
    offset = int(program.batched)
    first = Tracer(program, range(offset, len(shape) + offset), _RULES)
    first.walk()
    found = first.windowed | (first.pooled - first.summed)
    spatial = sorted(axis + offset for axis in found)
    batches = [axis + offset for axis in first.alike - first.summed - found]
    tracer = Tracer(program, spatial, _RULES, batches)
    tracer.walk()
    notes = list(tracer.notes)
    unknown = next((layer for layer in tracer.layers if layer.unknown), None)
    if unknown is not None:
        notes.append(f"from {unknown.name} on, fields are not known: {unknown.unknown}")
    beside = [axis for axis in range(len(shape)) if axis + offset not in spatial]
    if spatial and len(beside) > 1:
        size = shape[beside[0]]
        notes.append(
            f"axis {beside[0]} of the input, {size} long, is taken for a part of one example, and "
            f"all {size} are counted; if it is a batch, leave it out: "
            f"{format_shape([n for axis, n in enumerate(shape) if axis != beside[0]])}"
        )
    return Network(
        shape,
        tuple(axis - offset for axis in spatial),
        tuple(tracer.layers),
        tracer.origin,
        tuple(notes),
    )
