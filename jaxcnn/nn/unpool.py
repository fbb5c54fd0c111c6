"""Max pooling with indices, and unpooling, as Flax NNX modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from jaxcnn import ops
from jaxcnn.errors import InputError, error_prefix
from jaxcnn.geometry import transposed_output_size
from jaxcnn.geometry.check import per_axis
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn.pool import Pool
from jaxcnn.shapes.checks import split_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jax


@suggest_keywords
class MaxPoolWithIndices(Pool):
    """:func:`jaxcnn.max_pool_with_indices` as a layer, with the same arguments.

    >>> import jax.numpy as jnp
    >>> values, indices = MaxPoolWithIndices((2, 2))(jnp.ones((4, 4, 1)))
    >>> values.shape, indices.shape
    ((2, 2, 1), (2, 2, 1))
    """

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self._pool(ops.max_pool_with_indices, x)


@suggest_keywords
class MaxUnpool(Pool):
    """:func:`jaxcnn.max_unpool` as a layer, which undoes a :class:`MaxPoolWithIndices`.

        values, indices: (N, *k, C) or (*k, C)
        returns (N, *output_size, C) or (*output_size, C)

    Args:
      kernel_size, stride, padding, dilation, rounding: those of the pool. They give the default
        ``output_size``, if the pool has k outputs for one size of x alone. If rounding is not
        "exact", or padding is SAME with a stride, several sizes have k outputs: the indices count
        the cells of one of them, and a call must name it.

    >>> import jax.numpy as jnp
    >>> x = jnp.arange(16.0).reshape(4, 4, 1)
    >>> MaxUnpool((2, 2))(*MaxPoolWithIndices((2, 2))(x))[..., 0]
    Array([[ 0.,  0.,  0.,  0.],
           [ 0.,  5.,  0.,  7.],
           [ 0.,  0.,  0.,  0.],
           [ 0., 13.,  0., 15.]], dtype=float32)
    >>> pool = MaxPoolWithIndices((2, 2), rounding="floor")
    >>> unpool = MaxUnpool((2, 2), rounding="floor")
    >>> unpool(*pool(jnp.ones((5, 5, 1))), output_size=(5, 5)).shape
    (5, 5, 1)
    """

    def __call__(
        self,
        values: jax.Array,
        indices: jax.Array,
        *,
        output_size: int | Sequence[int] | None = None,
    ) -> jax.Array:
        """The unpooled values; ``output_size`` as in :func:`jaxcnn.max_unpool`.

        Raises:
          InputError: if ``output_size`` is missing where values of this shape do not tell it.
        """
        if output_size is None:
            with error_prefix(type(self).__name__):
                output_size = self._output_size(values)
        return ops.max_unpool(values, indices, output_size=output_size)

    def _output_size(self, values: jax.Array) -> tuple[int, ...]:
        options = self.options
        _, spatial, _ = split_by(jnp.shape(values), "kernel_size", self.kernel_size, name="values")
        axes, pads = len(spatial), options.padding
        sizes, strides, dilations = (
            per_axis(name, value, axes, least=1)
            for name, value in (
                ("kernel_size", options.kernel_size),
                ("stride", options.stride),
                ("dilation", options.dilation),
            )
        )
        same = isinstance(pads, str) and pads.startswith("SAME") and max(strides) > 1
        if same or options.rounding != "exact":
            option = f'padding="{pads}" and a stride' if same else f'rounding="{options.rounding}"'
            raise InputError(
                f"inputs of several sizes are pooled to values of shape {jnp.shape(values)} with "
                f"{option}, and the indices count the cells of one of them; call it with "
                f"output_size=x.shape[1:-1], the sizes of the pool's input"
            )
        return tuple(
            transposed_output_size(
                spatial[axis],
                sizes[axis],
                stride=strides[axis],
                padding=pads[axis] if isinstance(pads, tuple) else pads,
                dilation=dilations[axis],
            )
            for axis in range(axes)
        )
