"""The edge of depthwise and separable convolutions, which are convolutions in other words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.shapes.checks import other_layouts, require_bias, split_for_kernel, split_kernel
from jaxcnn.shapes.conv import ConvShapes, checked_conv, conv_shapes
from jaxcnn.shapes.operation import OperationShapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jax

    from jaxcnn.geometry import Padding


@error_prefix("depthwise_conv")
def depthwise_conv(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, **arguments: Any
) -> tuple[jax.Array, jax.Array, jax.Array | None, ConvShapes]:
    """The arrays of :func:`jaxcnn.depthwise_conv`, x with a batch axis, and the shapes.

    >>> import jax.numpy as jnp
    >>> x, *_, shapes = depthwise_conv(jnp.ones((7, 7, 3)), jnp.ones((3, 3, 3, 2)))
    >>> x.shape, shapes.output
    ((1, 7, 7, 3), (5, 5, 6))
    """
    arrays = {"x": x, "kernel": kernel, "bias": bias}
    (x, kernel, bias), shapes = checked_conv(depthwise_shapes, arrays, arguments)
    return shapes.batched(x), kernel, bias, shapes


@error_prefix("separable_conv")
def separable_conv(
    x: jax.Array,
    depthwise_kernel: jax.Array,
    pointwise_kernel: jax.Array,
    bias: jax.Array | None = None,
    **arguments: Any,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array | None, SeparableShapes]:
    """The arrays of :func:`jaxcnn.separable_conv`, x with a batch axis, and the shapes.

    >>> import jax.numpy as jnp
    >>> kernels = jnp.ones((3, 3, 3, 2)), jnp.ones((1, 1, 6, 8))
    >>> x, *_, shapes = separable_conv(jnp.ones((7, 7, 3)), *kernels)
    >>> x.shape, shapes.output
    ((1, 7, 7, 3), (5, 5, 8))
    """
    arrays = {
        "x": x,
        "depthwise_kernel": depthwise_kernel,
        "pointwise_kernel": pointwise_kernel,
        "bias": bias,
    }
    (x, *kernels, bias), shapes = checked_conv(separable_shapes, arrays, arguments)
    return shapes.batched(x), *kernels, bias, shapes


@dataclass(frozen=True)
class SeparableShapes(OperationShapes):
    """A checked separable convolution: a depthwise convolution, then a pointwise one.

    Attributes:
      batch: N, or None where the caller's x has no batch axis.
      dtype: the result's; None where the convolution is described by shapes alone.
      depthwise, pointwise: the shapes of the two.

    >>> shapes = separable_shapes((7, 7, 3), (3, 3, 3, 2), (1, 1, 6, 8))
    >>> shapes.depthwise.output, shapes.pointwise.output
    ((5, 5, 6), (5, 5, 8))
    """

    depthwise: ConvShapes
    pointwise: ConvShapes

    @property
    def output(self) -> tuple[int, ...]:
        """The shape of the result, with a batch axis iff the caller's x has one."""
        return self.pointwise.output


def depthwise_shapes(
    x: Sequence[int],
    kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
    padding_mode: str = "zeros",
    name: str = "kernel",
) -> ConvShapes:
    """The shapes of a depthwise convolution, checked: those of a convolution, one group a channel.

    Args:
      x: (N, *spatial, C), or (*spatial, C) for one example.
      kernel: (*F, C, multiplier).
      bias: (C * multiplier,), or None.
      stride, padding, dilation, rounding, padding_mode: as in :func:`jaxcnn.depthwise_conv`.
      name: what errors call the kernel.

    Raises:
      InputError: naming the argument and the numbers, and what to type instead.

    >>> depthwise_shapes((7, 7, 3), (3, 3, 3, 2)).output
    (5, 5, 6)
    """
    x, kernel = tuple(x), tuple(kernel)
    filters = split_kernel(name, kernel, "C", "multiplier")
    takes, multiplier = kernel[-2:]
    _, _, channels = split_for_kernel(x, kernel, len(filters), takes, name=name)
    if takes != channels:
        ways = other_layouts(x, len(filters), takes)
        if takes == 1 and multiplier % channels == 0:  # a convolution's, in as many groups
            shape = (*filters, channels, multiplier // channels)
            ways = [f"{name}.reshape({shape}) if it is of Flax's layout, (*F, 1, C*multiplier)"]
        raise InputError(
            f"x of shape {x} has {channels} channels, but {name} of shape {kernel} (*F, C, "
            f"multiplier) filters {takes}.",
            *ways,
            f"one of shape {(*filters, channels, multiplier)}",
        )
    out = channels * multiplier
    require_bias(bias, out, f"the {channels}*{multiplier} = {out} filters of {name} {kernel}")
    return conv_shapes(
        x,
        (*filters, 1, out),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=channels,
        rounding=rounding,
        padding_mode=padding_mode,
    )


def separable_shapes(
    x: Sequence[int],
    depthwise_kernel: Sequence[int],
    pointwise_kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    **arguments: Any,
) -> SeparableShapes:
    """The shapes of a separable convolution, checked.

    Args:
      x: (N, *spatial, C), or (*spatial, C) for one example.
      depthwise_kernel: (*F, C, multiplier).
      pointwise_kernel: (1, ..., 1, C * multiplier, C_out), a 1 for each spatial axis.
      bias: (C_out,), or None.
      arguments: those of the depthwise convolution, as in :func:`depthwise_shapes`.

    Raises:
      InputError: naming the argument and the numbers, and what to type instead.

    >>> separable_shapes((7, 7, 3), (3, 3, 3, 2), (1, 1, 6, 8)).output
    (5, 5, 8)
    """
    pointwise_kernel = tuple(pointwise_kernel)
    depthwise = depthwise_shapes(x, depthwise_kernel, name="depthwise_kernel", **arguments)
    ones, maps = (1,) * len(depthwise.windows), depthwise.out_channels
    if pointwise_kernel[:-1] != (*ones, maps) or pointwise_kernel[-1] == 0:
        out = pointwise_kernel[-1] or 1 if len(pointwise_kernel) == len(ones) + 2 else "C_out"
        raise InputError(
            f"pointwise_kernel of shape {pointwise_kernel} does not mix the {maps} feature maps of "
            f"depthwise_kernel {tuple(depthwise_kernel)}; use shape "
            f"({', '.join(map(str, (*ones, maps, out)))})"
        )
    out = pointwise_kernel[-1]
    require_bias(bias, out, f"the {out} filters of pointwise_kernel {pointwise_kernel}")
    pointwise = conv_shapes(depthwise.output, pointwise_kernel)
    return SeparableShapes(depthwise.batch, depthwise, pointwise)
