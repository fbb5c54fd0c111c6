"""Causal convolution along time, the fast implementation, at once and chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.conv import convolve

if TYPE_CHECKING:
    from jaxcnn.shapes import Sharding


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
    """A convolution along one axis in which no output depends on a later cell of ``x``.

        x: (N, T, C_in) or (T, C_in)      kernel: (F, C_in // groups, C_out)      bias: (C_out,)
        returns (N, k, C_out) or (k, C_out), with k = (T - 1)/stride + 1

    The last tap reads the present cell; the first tap reads the cell F' - 1 = dilation*(F - 1)
    before it. Cells before the beginning are zero.

    Args:
      x: the input; time, then channels.
      kernel: the filters.
      bias: added to each feature map.
      stride, dilation, groups, rounding, precision, out_sharding: as in :func:`jaxcnn.conv`.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.
      TypeError: if dtypes differ, or an argument is of the wrong type.

    Source: A. van den Oord et al., "WaveNet", arXiv:1609.03499, section 2.1.

    >>> import jax.numpy as jnp
    >>> causal_conv(jnp.array([[1.0], [2.0], [3.0]]), jnp.ones((2, 1, 1)))[:, 0]
    Array([1., 3., 5.], dtype=float32)
    """
    x, kernel, bias, shapes = edge.causal_conv(
        x, kernel, bias, stride=stride, dilation=dilation, groups=groups, rounding=rounding
    )
    divided = shapes.sharding(out_sharding)
    return shapes.restore(convolve(x, kernel, bias, shapes, precision, out_sharding=divided))


@suggest_keywords
def causal_conv_state(
    kernel: jax.Array, *, batch: int | None = None, dilation: int = 1, groups: int = 1
) -> jax.Array:
    """The state before the first chunk: F' - 1 cells of zeros.

        kernel: (F, C_in // groups, C_out)
        returns (batch, F' - 1, C_in), or (F' - 1, C_in) if ``batch`` is None

    Args:
      kernel, dilation, groups: as for :func:`causal_conv_stream`.
      batch: the batch size N of the chunks, or None for chunks without a batch axis.

    Raises:
      InputError: (a ValueError) if an argument is out of range.
      TypeError: if an argument is of the wrong type.

    >>> import jax.numpy as jnp
    >>> causal_conv_state(jnp.ones((3, 2, 8)), batch=4, dilation=5).shape
    (4, 10, 2)
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
    """The outputs for the next chunk of a :func:`causal_conv` whose input arrives in chunks.

        chunk: (N, L, C_in) or (L, C_in), L >= 1      state: (N, F' - 1, C_in) or (F' - 1, C_in)
        kernel: (F, C_in // groups, C_out)            bias: (C_out,)
        returns outputs (N, L, C_out) or (L, C_out), and the state for the next chunk

    For chunks of any length the outputs are those of :func:`causal_conv` with stride 1 on the whole
    input: each is the sum of the same products. If sums are exact (integers, and floats that hold
    integers) the numbers are identical. Otherwise they agree within rounding, since the compiled
    program may add in an order that depends on L. The state's shape is constant, so this function
    may be the body of :func:`jax.lax.scan`.

    Args:
      chunk: the next cells of the input.
      state: the F' - 1 cells before the chunk: :func:`causal_conv_state` at first, then the state
        that the previous call returned.
      kernel, bias, dilation, groups, precision: as in :func:`causal_conv`.
      out_sharding: the sharding of the outputs, as in :func:`causal_conv`.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.
      TypeError: if dtypes differ, or an argument is of the wrong type.

    >>> import jax.numpy as jnp
    >>> kernel = jnp.ones((2, 1, 1))
    >>> state = causal_conv_state(kernel)
    >>> some, state = causal_conv_stream(jnp.array([[1.0], [2.0]]), state, kernel)
    >>> more, state = causal_conv_stream(jnp.array([[3.0]]), state, kernel)
    >>> jnp.concatenate([some, more])[:, 0]
    Array([1., 3., 5.], dtype=float32)
    """
    chunk, state, kernel, bias, shapes = edge.causal_conv_stream(
        chunk, state, kernel, bias, dilation=dilation, groups=groups
    )
    known = jnp.concatenate([state, chunk], axis=1)
    divided = shapes.sharding(out_sharding)
    y = convolve(known, kernel, bias, shapes, precision, out_sharding=divided)
    return shapes.restore(y), shapes.restore(known[:, chunk.shape[1] :])
