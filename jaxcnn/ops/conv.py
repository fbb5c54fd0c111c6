"""Convolution, the fast form."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from jaxcnn.activations import activation as named
from jaxcnn.convolve import conv_general_dilated
from jaxcnn.convolve.choose import check_algorithm
from jaxcnn.convolve.layout import channels_last
from jaxcnn.errors import error_prefix
from jaxcnn.geometry import Padding
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.bias import add_bias
from jaxcnn.ops.pad import extend, taps_by_real
from jaxcnn.shapes import ConvShapes, conv_shapes
from jaxcnn.shapes.arrays import Sharding, as_arrays, require_floating, widened


@suggest_keywords
def conv(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rounding: str = "exact",
    padding_mode: str = "zeros",
    mask: jax.typing.ArrayLike | None = None,
    activation: str = "linear",
    precision: lax.PrecisionLike = None,
    algorithm: str | None = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """Slides the filters of ``kernel`` over ``x``; at each place, one number a filter: Wx + b.

    As everywhere in deep learning the filter is not flipped (a cross-correlation).

        x: (N, *spatial, C_in) or (*spatial, C_in)      kernel: (*F, C_in // groups, C_out)
        bias: (C_out,)
        returns (N, *k, C_out) or (*k, C_out), with
        k = (size + lo + hi - F')/stride + 1,   F' = dilation*(F - 1) + 1

    Any number of spatial axes; ``stride``, ``padding`` and ``dilation`` are given once for all
    axes or once for each. Sizes are in cells.

    Args:
      x: the input; channels last.
      kernel: the filters; their rank says how many spatial axes there are.
      bias: added to each feature map.
      stride: cells from one placement of the filter to the next.
      padding: cells around x: ``"VALID"``, ``"SAME"``, ``"SAME_LOWER"``, ``"FULL"``,
        ``"CAUSAL"``, an int, an int for each axis, or a pair (before, after) for each axis.
      dilation: cells from one tap of the filter to the next.
      groups: parts into which the channels are divided; filter j sees part j // (C_out/groups).
      rounding: ``"exact"`` refuses a stride that leaves cells at the end unread; ``"floor"`` drops
        them, as other libraries do.
      padding_mode: what the padding holds; 1234 padded by 2 is read as 00123400 (``"zeros"``),
        32123432 (``"reflect"``), 11123444 (``"replicate"``), 34123412 (``"circular"``), or with
        zeros that do not count (``"partial"``): before the bias, each output is multiplied by
        taps/(taps on real cells), Liu et al., arXiv:1811.11718.
      mask: multiplies the kernel; a tap masked by 0 or False is 0 whatever it holds, and gets no
        gradient (van den Oord et al., arXiv:1606.05328); axis by axis the kernel's size or 1.
      activation: applied to every output, by name (:mod:`jaxcnn.activations`).
      precision: as in :func:`jax.lax.conv_general_dilated`.
      algorithm: as in :func:`jaxcnn.conv_general_dilated`.
      out_sharding: how the result is divided among devices, as in
        :func:`jax.lax.conv_general_dilated`, which asks for it where channels are divided.

    Raises:
      InputError: (a ValueError) where shapes and arguments do not fit, with what to type instead.
      TypeError: where dtypes differ, or an argument is of the wrong type.

    Source: Dumoulin and Visin, arXiv:1603.07285.

    >>> import jax.numpy as jnp
    >>> image, filters = jnp.ones((7, 7, 3)), jnp.ones((3, 3, 3, 6))
    >>> conv(image, filters).shape
    (5, 5, 6)
    """
    with error_prefix("conv"):
        x, kernel, bias = as_arrays(x=x, kernel=kernel, bias=bias)
        shapes = conv_shapes(
            x.shape,
            kernel.shape,
            None if bias is None else bias.shape,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            rounding=rounding,
            padding_mode=padding_mode,
            mask=None if mask is None else jnp.shape(mask),
        )
        activate = named(activation).function
        if algorithm is not None:
            check_algorithm(algorithm)
        if padding_mode == "partial":
            require_floating(x)
    if mask is not None:
        kernel = masked(kernel, jnp.asarray(mask, kernel.dtype))
    return activate(convolve(x, kernel, bias, shapes, precision, algorithm, out_sharding))


def masked(kernel: jax.Array, mask: jax.Array) -> jax.Array:
    """kernel * mask, in which 0 times a NaN or an infinity is 0."""
    kept = jnp.where(mask == 0, jnp.zeros((), kernel.dtype), kernel)
    return (widened(kept) * widened(mask)).astype(kernel.dtype)


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    shapes: ConvShapes,
    precision: lax.PrecisionLike,
    algorithm: str | None = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """The convolution that ``shapes`` describes, below the edge where arguments are checked."""
    paddings = shapes.paddings
    if shapes.padding_mode not in ("zeros", "partial"):
        x = extend(x, shapes.windows, shapes.padding_mode)
        paddings = ((0, 0),) * len(paddings)
    # In 16 bits algorithms sum in float32 by themselves.
    batched, kernel = widened(x if shapes.batch is not None else x[None], 16), widened(kernel, 16)
    y = conv_general_dilated(
        batched,
        kernel,
        window_strides=shapes.strides,
        padding=paddings,
        rhs_dilation=shapes.dilations,
        dimension_numbers=channels_last(len(shapes.windows)),
        feature_group_count=shapes.groups,
        precision=precision,
        out_sharding=with_batch_axis(out_sharding, shapes.batch),
        algorithm=algorithm,
    )
    return finish(y if shapes.batch is not None else y[0], bias, shapes).astype(x.dtype)


def with_batch_axis(sharding: Sharding | None, batch: int | None) -> Sharding | None:
    """The sharding of a batch of one, where ``batch`` is None, whose axis is cut off later."""
    if sharding is None or batch is not None:
        return sharding
    if isinstance(sharding, NamedSharding):
        return NamedSharding(sharding.mesh, PartitionSpec(None, *sharding.spec))
    return PartitionSpec(None, *sharding)


def finish(y: jax.Array, bias: jax.Array | None, shapes: ConvShapes) -> jax.Array:
    """The sums under the windows, scaled to the real cells where that is asked, plus the bias."""
    if shapes.padding_mode == "partial":
        share = jnp.asarray(taps_by_real(shapes.windows), widened(y).dtype)
        share = jnp.expand_dims(share, tuple(range(y.ndim - share.ndim)))
        y = (widened(y) * share).astype(y.dtype)
    return add_bias(y, bias)
