"""Unfolding into patches and folding them back, the fast implementation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn import shapes as edge
from jaxcnn.convolve.taps import ArrayWindow, AxisWindow, steps, tap_indices, tap_slices
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.windows import layout
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.geometry import Padding


@suggest_keywords
def unfold(
    x: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    rounding: str = "exact",
) -> jax.Array:
    """The cells under each window as the channels of one position (im2col).

        x: (N, *spatial, C) or (*spatial, C)
        returns (N, *k, prod(F)*C) or (*k, prod(F)*C), with k as in :func:`jaxcnn.conv`

    Tap f (in row-major order) of channel c is channel f*C + c of the patch, the order of a kernel
    (*F, C, C_out) reshaped to (prod(F)*C, C_out): conv is the matrix product

        conv(x, kernel) = unfold(x, F) @ kernel.reshape(-1, C_out)

    torch.nn.Unfold and ``lax.conv_general_dilated_patches`` have channel c*prod(F) + f instead:
    ``patches.reshape(*k, prod(F), C).swapaxes(-2, -1)`` is their order.

    Args:
      x: the input; channels last.
      kernel_size: F, one number for all spatial axes or one for each. An x without a batch axis
        needs one for each.
      stride, padding, dilation, rounding: as in :func:`jaxcnn.conv`. Padding holds zeros; for
        other values use :func:`jaxcnn.pad` before.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.

    Source: Chellapilla, Puri and Simard, "High Performance Convolutional Neural Networks for
    Document Processing", 2006.

    >>> import jax.numpy as jnp
    >>> unfold(jnp.array([[1], [2], [3], [4]]), (3,))
    Array([[1, 2, 3],
           [2, 3, 4]], dtype=int32)
    """
    x, shapes = edge.unfold(
        x, kernel_size, stride=stride, padding=padding, dilation=dilation, rounding=rounding
    )
    y = widened(x)
    for step in steps(layout(x, shapes.windows)):
        channels = AxisWindow(y.shape[-1], y.shape[-1])
        # The last axes come first, so that the taps are in row-major order.
        y = jnp.concatenate(tap_slices(y, (*step[:-1], channels)), axis=-1)
    return shapes.restore(y)


@suggest_keywords
def fold(
    patches: jax.Array,
    kernel_size: int | Sequence[int],
    *,
    output_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """Adds the cells of all patches at their places (col2im): the adjoint of :func:`unfold`.

        patches: (N, *k, prod(F)*C) or (*k, prod(F)*C)
        returns (N, *output_size, C) or (*output_size, C)

    A cell that several patches hold gets their sum, one that none holds gets 0. Channel f*C + c of
    a patch is tap f of channel c, as :func:`unfold` has it. torch.nn.Fold and ONNX's Col2Im have
    channel c*prod(F) + f instead, and one axis for all positions; from their layout
    (N, C*prod(F), prod(k)) come the patches

        columns.reshape(N, C, prod(F), *k) with its axes in the order N, *k, prod(F), C

    of which the last two are merged.

    Args:
      patches: what :func:`unfold` returns.
      kernel_size, stride, padding, dilation: those of :func:`unfold`.
      output_size: the spatial sizes of the result: one for all axes or one for each. Patches
        without a batch axis need one for each. A rest that no window reads stays 0.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.

    >>> import jax.numpy as jnp
    >>> fold(jnp.array([[1, 2, 3], [2, 3, 4]]), (3,), output_size=(4,))[:, 0]
    Array([1, 4, 6, 4], dtype=int32)
    """
    patches, shapes = edge.fold(
        patches,
        kernel_size,
        output_size=output_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    y = widened(patches)
    for step in reversed(list(steps(layout(patches, shapes.windows)))):
        y = _add_taps(y, step)
    return shapes.restore(y)


def _add_taps(y: jax.Array, step: ArrayWindow) -> jax.Array:
    """The sum over the taps of a step; the channels of each are spread to the cells it reads."""
    spread = []
    parts = jnp.split(y, math.prod(axis.kernel_size for axis in step), axis=-1)
    for tap, part in zip(tap_indices(step), parts, strict=True):
        around = []
        for axis, f in zip(step[:-1], tap[:-1], strict=True):
            first = f * axis.dilation - axis.low
            end = first + (axis.output - 1) * axis.stride + 1
            around.append((first, axis.size - end, axis.stride - 1))
        spread.append(lax.pad(part, jnp.zeros((), y.dtype), [*around, (0, 0, 0)]))
    return sum(spread[1:], spread[0])
