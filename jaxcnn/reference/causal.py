"""Causal convolution along time, as its definition reads, at once and chunk by chunk."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn.errors import error_prefix
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.taps import of_rank
from jaxcnn.shapes import causal_shapes, causal_state_shape, causal_stream_shapes
from jaxcnn.shapes.arrays import Sharding, as_arrays, widened


@suggest_keywords
def causal_conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    rounding: str = "exact",
    precision: lax.PrecisionLike = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """Output i sums over the taps f, of which the last, F - 1, meets the present t = i*stride.

        y[n, i, o] = bias[o] + sum_f sum_c x[n, t - (F - 1 - f)*dilation, c] * kernel[f, c, o]

    with zero for what lies before the beginning. Shapes, arguments and errors are those of
    :func:`jaxcnn.causal_conv`, its fast twin.

    >>> import jax.numpy as jnp
    >>> causal_conv(jnp.array([[1.0], [2.0], [3.0]]), jnp.ones((2, 1, 1)))[:, 0]
    Array([1., 3., 5.], dtype=float32)
    """
    del out_sharding  # how the numbers lie on devices changes none of them
    with error_prefix("causal_conv"):
        x, kernel, bias = as_arrays(x=x, kernel=kernel, bias=bias)
        causal_shapes(
            x.shape,
            kernel.shape,
            None if bias is None else bias.shape,
            stride=stride,
            dilation=dilation,
            groups=groups,
            rounding=rounding,
        )
    times = range(0, x.shape[-2], stride)
    return _each(times, x, kernel, bias, dilation, groups, precision)


@suggest_keywords
def causal_conv_state(
    kernel: jax.Array, *, batch: int | None = None, dilation: int = 1, groups: int = 1
) -> jax.Array:
    """Zeros, for the F' - 1 cells before the beginning.

    Shapes, arguments and errors are those of :func:`jaxcnn.causal_conv_state`, its fast twin.

    >>> import jax.numpy as jnp
    >>> causal_conv_state(jnp.ones((3, 1, 1)), batch=2).shape
    (2, 2, 1)
    """
    with error_prefix("causal_conv_state"):
        (kernel,) = as_arrays(kernel=kernel)
        shape = causal_state_shape(kernel.shape, batch=batch, dilation=dilation, groups=groups)
    return jnp.zeros(shape, kernel.dtype)


@suggest_keywords
def causal_conv_stream(
    chunk: jax.Array,
    state: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    dilation: int = 1,
    groups: int = 1,
    precision: lax.PrecisionLike = None,
    out_sharding: Sharding | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The outputs at the cells of the chunk, given that ``state`` came before it.

    Shapes, arguments and errors are those of :func:`jaxcnn.causal_conv_stream`, its fast twin.

    >>> import jax.numpy as jnp
    >>> kernel, state = jnp.ones((2, 1, 1)), jnp.array([[2.0]])
    >>> causal_conv_stream(jnp.array([[3.0]]), state, kernel)[0]
    Array([[5.]], dtype=float32)
    """
    del out_sharding  # how the numbers lie on devices changes none of them
    with error_prefix("causal_conv_stream"):
        chunk, state, kernel, bias = as_arrays(chunk=chunk, state=state, kernel=kernel, bias=bias)
        causal_stream_shapes(
            chunk.shape,
            state.shape,
            kernel.shape,
            None if bias is None else bias.shape,
            dilation=dilation,
            groups=groups,
        )
    back = state.shape[-2]
    known = jnp.concatenate([state, chunk], axis=-2)
    times = range(back, known.shape[-2])
    y = _each(times, known, kernel, bias, dilation, groups, precision)
    return y, known[..., known.shape[-2] - back :, :]


def _each(
    times: range,
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    dilation: int,
    groups: int,
    precision: lax.PrecisionLike,
) -> jax.Array:
    """The outputs (..., k, C_out) at these times."""
    dtype, x, kernel = x.dtype, widened(x), widened(kernel)
    y = jnp.stack([_at(t, x, kernel, dilation, groups, precision) for t in times], axis=-2)
    return (y if bias is None else y + of_rank(widened(bias), y.ndim)).astype(dtype)


def _at(
    t: int,
    x: jax.Array,
    kernel: jax.Array,
    dilation: int,
    groups: int,
    precision: lax.PrecisionLike,
) -> jax.Array:
    """The output (..., C_out) at time t, without a bias."""
    kernel_size, per_group, filters = kernel.shape
    total = jnp.zeros((*x.shape[:-2], groups, filters // groups), x.dtype)
    for f in range(kernel_size):
        past = t - (kernel_size - 1 - f) * dilation
        if past >= 0:
            cell = x[..., past, :].reshape(*x.shape[:-2], groups, per_group)
            weights = kernel[f].reshape(per_group, groups, -1)
            total = total + jnp.einsum("...gc,cgo->...go", cell, weights, precision=precision)
    return total.reshape(*x.shape[:-2], filters)
