"""Other libraries' convolutions and pools, called with jaxcnn's arguments.

An adapter only translates arguments: it passes padding as numbers, and drops arguments that the
library does not have, such as ``rounding``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
from flax import nnx
from jax import lax

from jaxcnn.shapes import conv_shapes, pool_shapes

if TYPE_CHECKING:
    from collections.abc import Sequence


def flax_conv(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, **kwargs: Any
) -> jax.Array:
    """``flax.nnx.Conv`` as :func:`jaxcnn.conv`.

    >>> import jax.numpy as jnp
    >>> flax_conv(jnp.ones((7, 7, 3)), jnp.ones((3, 3, 3, 6)), padding="SAME", stride=2).shape
    (4, 4, 6)
    """
    floored: dict[str, Any] = kwargs | {"rounding": "floor"}
    shapes = conv_shapes(x.shape, kernel.shape, None if bias is None else bias.shape, **floored)
    layer = nnx.Conv(
        shapes.in_channels,
        shapes.out_channels,
        kernel.shape[:-2],
        strides=shapes.strides,
        padding=shapes.paddings,
        kernel_dilation=shapes.dilations,
        feature_group_count=shapes.groups,
        use_bias=bias is not None,
        dtype=x.dtype,
        param_dtype=kernel.dtype,
        kernel_init=lambda *_: kernel,
        bias_init=lambda *_: bias,
        rngs=nnx.Rngs(0),
    )
    return layer(x)


def flax_conv_transpose(
    x: jax.Array, kernel: jax.Array, *, stride: Sequence[int], padding: str, dilation: Sequence[int]
) -> jax.Array:
    """``flax.nnx.ConvTranspose`` as :func:`jaxcnn.conv_transpose`, padding by name.

    >>> import jax.numpy as jnp
    >>> kernel = jnp.ones((4, 4, 3, 6))
    >>> same = {"stride": (2, 2), "padding": "SAME", "dilation": (1, 1)}
    >>> flax_conv_transpose(jnp.ones((1, 5, 5, 6)), kernel, **same).shape
    (1, 10, 10, 3)
    """
    layer = nnx.ConvTranspose(
        kernel.shape[-1],
        kernel.shape[-2],
        kernel.shape[:-2],
        strides=tuple(stride),
        padding=padding,
        kernel_dilation=tuple(dilation),
        use_bias=False,
        transpose_kernel=True,
        dtype=x.dtype,
        param_dtype=kernel.dtype,
        kernel_init=lambda *_: kernel,
        rngs=nnx.Rngs(0),
    )
    return layer(x)


def lax_conv_transpose(
    x: jax.Array, kernel: jax.Array, *, stride: Sequence[int], padding: str, dilation: Sequence[int]
) -> jax.Array:
    """``jax.lax.conv_transpose`` as :func:`jaxcnn.conv_transpose`, padding by name.

    >>> import jax.numpy as jnp
    >>> valid = {"stride": (2,), "padding": "VALID", "dilation": (1,)}
    >>> lax_conv_transpose(jnp.ones((1, 5, 6)), jnp.ones((4, 3, 6)), **valid).shape
    (1, 12, 3)
    """
    spatial = "DHW"[-len(stride) :]
    image = f"N{spatial}C"
    return lax.conv_transpose(
        x,
        kernel,
        tuple(stride),
        padding,
        rhs_dilation=tuple(dilation),
        dimension_numbers=(image, f"{spatial}IO", image),
        transpose_kernel=True,
    )


def flax_max_pool(x: jax.Array, kernel_size: Sequence[int], **kwargs: Any) -> jax.Array:
    """``flax.nnx.max_pool`` as :func:`jaxcnn.max_pool`; it has no dilation.

    >>> import jax.numpy as jnp
    >>> flax_max_pool(jnp.ones((1, 5, 5, 3)), (2, 2), stride=2, rounding="floor").shape
    (1, 2, 2, 3)
    """
    return _flax_pool(nnx.max_pool, x, kernel_size, **kwargs)


def flax_avg_pool(x: jax.Array, kernel_size: Sequence[int], **kwargs: Any) -> jax.Array:
    """``flax.nnx.avg_pool`` as :func:`jaxcnn.avg_pool`; it has no dilation, nor counts padding.

    >>> import jax.numpy as jnp
    >>> flax_avg_pool(jnp.ones((1, 4, 3)), (2,), stride=2).shape
    (1, 2, 3)
    """
    return _flax_pool(nnx.avg_pool, x, kernel_size, count_include_pad=False, **kwargs)


def _flax_pool(
    pool: Any,
    x: jax.Array,
    kernel_size: Sequence[int],
    *,
    stride: Any = None,
    padding: Any = "VALID",
    dilation: Any = 1,
    rounding: str = "exact",  # noqa: ARG001  (Flax always floors)
    **others: Any,
) -> jax.Array:
    shapes = pool_shapes(
        x.shape, kernel_size, stride=stride, padding=padding, dilation=dilation, rounding="floor"
    )
    strides = tuple(axis.stride for axis in shapes.windows)
    return pool(x, tuple(kernel_size), strides=strides, padding=shapes.paddings, **others)
