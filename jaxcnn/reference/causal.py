"""Causal convolution along time, as defined, at once and chunk by chunk."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.reference.taps import add_bias
from jaxcnn.shapes import Sharding, widened


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
    """Output i sums over the taps f; the last tap, F - 1, reads the present cell t = i*stride.

        y[n, i, o] = bias[o] + sum_f sum_c x[n, t - (F - 1 - f)*dilation, c] * kernel[f, c, o]

    where cells before the beginning are zero. Shapes, arguments and errors are those of
    :func:`jaxcnn.causal_conv`, its fast twin.

    >>> import jax.numpy as jnp
    >>> causal_conv(jnp.array([[1.0], [2.0], [3.0]]), jnp.ones((2, 1, 1)))[:, 0]
    Array([1., 3., 5.], dtype=float32)
    """
    del out_sharding  # changes no numbers
    x, kernel, bias, shapes = edge.causal_conv(
        x, kernel, bias, stride=stride, dilation=dilation, groups=groups, rounding=rounding
    )
    times = range(0, x.shape[1], stride)
    return shapes.restore(_each(times, x, kernel, bias, dilation, groups, precision))


@suggest_keywords
def causal_conv_state(
    kernel: jax.Array, *, batch: int | None = None, dilation: int = 1, groups: int = 1
) -> jax.Array:
    """Zeros for the F' - 1 cells before the beginning.

    Shapes, arguments and errors are those of :func:`jaxcnn.causal_conv_state`, its fast twin.

    >>> import jax.numpy as jnp
    >>> causal_conv_state(jnp.ones((3, 1, 1)), batch=2).shape
    (2, 2, 1)
    """
    kernel, shape = edge.causal_conv_state(kernel, batch=batch, dilation=dilation, groups=groups)
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
    """The outputs at the cells of the chunk, which follows ``state``.

    Shapes, arguments and errors are those of :func:`jaxcnn.causal_conv_stream`, its fast twin.

    >>> import jax.numpy as jnp
    >>> kernel, state = jnp.ones((2, 1, 1)), jnp.array([[2.0]])
    >>> causal_conv_stream(jnp.array([[3.0]]), state, kernel)[0]
    Array([[5.]], dtype=float32)
    """
    del out_sharding  # changes no numbers
    chunk, state, kernel, bias, shapes = edge.causal_conv_stream(
        chunk, state, kernel, bias, dilation=dilation, groups=groups
    )
    back = state.shape[1]
    known = jnp.concatenate([state, chunk], axis=1)
    times = range(back, known.shape[1])
    y = _each(times, known, kernel, bias, dilation, groups, precision)
    return shapes.restore(y), shapes.restore(known[:, known.shape[1] - back :])


def _each(
    times: range,
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    dilation: int,
    groups: int,
    precision: lax.PrecisionLike,
) -> jax.Array:
    """The outputs (N, k, C_out) at these times."""
    x, kernel = widened(x), widened(kernel)
    y = jnp.stack([_at(t, x, kernel, dilation, groups, precision) for t in times], axis=1)
    return add_bias(y, bias)


def _at(
    t: int,
    x: jax.Array,
    kernel: jax.Array,
    dilation: int,
    groups: int,
    precision: lax.PrecisionLike,
) -> jax.Array:
    """The output (N, C_out) at time t, without a bias."""
    kernel_size, per_group, filters = kernel.shape
    total = jnp.zeros((len(x), groups, filters // groups), x.dtype)
    for f in range(kernel_size):
        past = t - (kernel_size - 1 - f) * dilation
        if past >= 0:
            cell = x[:, past].reshape(len(x), groups, per_group)
            weights = kernel[f].reshape(per_group, groups, -1)
            total = total + jnp.einsum("ngc,cgo->ngo", cell, weights, precision=precision)
    return total.reshape(len(x), filters)
