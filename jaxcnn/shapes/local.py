"""The edge of a local convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.geometry._symbolic import is_symbolic
from jaxcnn.shapes.checks import other_layouts, split_for_kernel, split_kernel
from jaxcnn.shapes.conv import ConvShapes, checked_conv, conv_shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jax


@error_prefix("local_conv")
def local_conv(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, **arguments: Any
) -> tuple[jax.Array, jax.Array, jax.Array | None, ConvShapes]:
    """The arrays of :func:`jaxcnn.local_conv`, x with a batch axis, and the shapes.

    >>> import jax.numpy as jnp
    >>> x, *_, shapes = local_conv(jnp.ones((7, 7, 3)), jnp.ones((5, 5, 3, 3, 3, 6)))
    >>> x.shape, shapes.output
    ((1, 7, 7, 3), (5, 5, 6))
    """
    arrays = {"x": x, "kernel": kernel, "bias": bias}
    (x, kernel, bias), shapes = checked_conv(local_shapes, arrays, arguments)
    return shapes.batched(x), kernel, bias, shapes


def local_shapes(
    x: Sequence[int],
    kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    **arguments: Any,
) -> ConvShapes:
    """The shapes of a local convolution, checked: those of a convolution with the same windows.

    Args:
      x: (N, *spatial, C_in), or (*spatial, C_in) for one example.
      kernel: (*k, *F, C_in, C_out), with k the number of outputs on each axis.
      bias: (*k, C_out) or (C_out,), or None.
      arguments: stride, padding, dilation, rounding and padding_mode, as in :func:`conv_shapes`.

    Raises:
      InputError: naming the argument and the numbers, and what to type instead.

    >>> local_shapes((7, 7, 3), (5, 5, 3, 3, 3, 6)).output
    (5, 5, 6)
    """
    x, kernel = tuple(x), tuple(kernel)
    if len(kernel) < 4 or len(kernel) % 2:
        raise InputError(
            f"kernel of shape {kernel} has {len(kernel)} axes; a local convolution over n axes has "
            f"2n + 2: the outputs' n sizes, the filter's n sizes, C_in and C_out, as in "
            f"(5, 5, 3, 3, 1, 8)"
        )
    axes = len(kernel) // 2 - 1
    places, filters = kernel[:axes], split_kernel("kernel", kernel, "C_in", "C_out")[axes:]
    takes, out_channels = kernel[-2:]
    _, _, channels = split_for_kernel(x, kernel, axes, takes)
    if takes != channels:
        raise InputError(
            f"x of shape {x} has {channels} channels, but kernel of shape {kernel} takes {takes}.",
            *other_layouts(x, axes, takes),
            f"a kernel of shape {(*places, *filters, channels, out_channels)}",
        )
    shapes = conv_shapes(x, (*filters, channels, out_channels), **arguments)
    symbolic = next((axis for axis in shapes.windows if is_symbolic(axis.size)), None)
    if symbolic is not None:
        raise InputError(
            f"{symbolic.axis} {symbolic.size} of x {x} is symbolic, but kernel of shape {kernel} "
            f"has filters for {places} places and no others; use a number"
        )
    if places != shapes.spatial:
        raise InputError(
            f"kernel of shape {kernel} has filters for {places} places, but {filters} filters have "
            f"{shapes.spatial} places on x of shape {x} ({'; '.join(map(str, shapes.windows))}); "
            f"use a kernel of shape {(*shapes.spatial, *filters, channels, out_channels)}"
        )
    fitting = ((out_channels,), (*places, out_channels))
    if bias is not None and tuple(bias) not in fitting:
        raise InputError(
            f"bias of shape {tuple(bias)} does not fit kernel of shape {kernel}; use shape "
            f"{fitting[1]}, or {fitting[0]} for one number a feature map"
        )
    return shapes
