"""Deformable convolution, the fast implementation: a gather, then a matrix product."""

from __future__ import annotations

from functools import partial, reduce
from itertools import product
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jaxcnn import shapes as edge
from jaxcnn.keywords import suggest_keywords
from jaxcnn.ops.conv import conv
from jaxcnn.shapes import Sharding, widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jax.typing import DTypeLike

    from jaxcnn.geometry import Padding, Window
    from jaxcnn.shapes import DeformShapes


@suggest_keywords
def deform_conv(
    x: jax.Array,
    offset: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rounding: str = "exact",
    mask: jax.Array | None = None,
    precision: lax.PrecisionLike = None,
    out_sharding: Sharding | None = None,
) -> jax.Array:
    """A convolution whose taps read x at offsets, which may be fractions of a cell.

        x: (N, *spatial, C_in) or (*spatial, C_in)      kernel: (*F, C_in/groups, C_out)
        offset: (N, *k, G*T*axes)      mask: (N, *k, G*T)      T = prod(F)
        returns (N, *k, C_out) or (*k, C_out), with k as in :func:`jaxcnn.conv`

    Output i's tap f reads x at i*stride - low + f*dilation + offset, by linear interpolation; cells
    outside x are 0. The channels of x are divided into G groups with offsets of their own. The last
    axis of ``offset`` counts these groups, then the taps in row-major order, then the axes.

    Args:
      x: the input, of a floating dtype; channels last.
      offset: the distance of each tap from its place, in cells; a convolution of x may compute it.
        Zeros give :func:`jaxcnn.conv`. Its dtype may be wider than that of x: in bfloat16, a
        distance of 5 cells is rounded to 1/32.
      kernel, bias, stride, padding, dilation, groups, rounding: as in :func:`jaxcnn.conv`.
      mask: a factor for each tap; None for 1.
      precision: as in :func:`jax.lax.dot_general`.
      out_sharding: as in :func:`jaxcnn.conv`.

    At a whole offset, where interpolation has a kink, the gradient of the offset is the slope to
    the next cell, as in torchvision. Sums of 16-bit inputs are computed in float32.

    Raises:
      InputError: (a ValueError) if shapes and arguments do not fit; it says what to type instead.
      TypeError: if other dtypes differ, x or offset is not floating, or an argument is of the wrong
        type.

    Source: Dai et al., arXiv:1703.06211; Zhu et al., arXiv:1811.11168 (the mask); ONNX, operator
    DeformConv.

    >>> import jax.numpy as jnp
    >>> deform_conv(jnp.array([[0.0], [4.0]]), jnp.array([[0.5], [0.5]]), jnp.ones((1, 1, 1)))[:, 0]
    Array([2., 2.], dtype=float32)
    """
    x, offset, kernel, bias, mask, shapes = edge.deform_conv(
        x,
        offset,
        kernel,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        rounding=rounding,
        mask=mask,
    )
    samples = _samples(widened(x), widened(offset), shapes)
    if mask is not None:
        samples = samples * widened(mask).reshape(*samples.shape[:-1], 1)
    # (N, *k, G, T, C_in/G) to (N, *k, groups*T*C_in/groups): a convolution with kernels of size 1.
    taps, axes = shapes.taps, len(shapes.windows)
    in_group = shapes.in_channels // groups
    # One axis at a time: a reshape of an array divided among devices cannot change more axes.
    rows = lax.collapse(jnp.moveaxis(samples, -2, -3), samples.ndim - 2)
    rows = rows.reshape(*rows.shape[:-1], groups, in_group)
    rows = lax.collapse(jnp.moveaxis(rows, -2, -3), rows.ndim - 3)
    y = conv(
        rows.astype(kernel.dtype),
        kernel.reshape(*(1,) * axes, taps * in_group, shapes.out_channels),
        bias,
        groups=groups,
        precision=precision,
        out_sharding=shapes.sharding(out_sharding),
    )
    return shapes.restore(y)


def _samples(x: jax.Array, offset: jax.Array, shapes: DeformShapes) -> jax.Array:
    """(N, *k, G, T, C_in/G): x where each tap reads it."""
    windows, parts = shapes.windows, shapes.offset_groups
    places = (x.shape[0], *shapes.spatial, parts, shapes.taps)
    offset = offset.reshape(*places, len(windows))
    taps = list(product(*(range(w.kernel_size) for w in windows)))
    sides = [
        _sides(offset[..., axis], window, axis, [tap[axis] for tap in taps], x.dtype)
        for axis, window in enumerate(windows)
    ]
    cells = x.reshape(*x.shape[:-1], parts, x.shape[-1] // parts)
    read = jax.vmap(jax.vmap(_read, in_axes=(-2, -2), out_axes=-3))
    corners = []
    for corner in product(*sides):
        at = tuple(cell for cell, _ in corner)
        within = ((cell >= 0) & (cell < w.size) for cell, w in zip(at, windows, strict=True))
        inside = reduce(jnp.logical_and, within)[..., None]
        share = reduce(jnp.multiply, (share for _, share in corner))[..., None]
        corners.append(_times(share, jnp.where(inside, read(cells, at), 0)))
    return reduce(jnp.add, corners)


def _sides(
    offset: jax.Array, window: Window, axis: int, taps: list[int], dtype: DTypeLike
) -> list[tuple[jax.Array, jax.Array]]:
    """The cells before and after the places on one axis, each with its share in ``dtype``.

    Both are (N, *k, G, T).
    """
    # Whole cells and fractions apart: the fraction keeps its digits far from the first cell.
    offset = jnp.clip(offset, -(2.0**30), 2.0**30)
    whole = jnp.floor(offset)
    beyond = offset - lax.stop_gradient(whole)
    starts = jnp.arange(window.output, dtype=jnp.int32) * window.stride - window.padding[0]
    starts = starts.reshape(tuple(-1 if at == axis + 1 else 1 for at in range(offset.ndim)))
    of_taps = jnp.asarray(taps, jnp.int32) * window.dilation
    cell = whole.astype(jnp.int32) + starts + of_taps.reshape((1,) * (offset.ndim - 1) + (-1,))
    beyond = beyond.astype(dtype)
    return [(cell, 1 - beyond), (cell + 1, beyond)]


def _read(cells: jax.Array, at: tuple[jax.Array, ...]) -> jax.Array:
    """(*k, T, C_in/G): one example's cells (*spatial, C_in/G) at the nearest of these places."""
    return cells.at[at].get(mode="clip", wrap_negative_indices=False)


@jax.custom_jvp
def _times(share: jax.Array, cells: jax.Array) -> jax.Array:
    """share * cells, with 0 for 0 times a NaN or an infinity: a cell of share 0 is not read.

    The derivative in the share is the cell even there, because a share that grows reads it.
    """
    return jnp.where(share == 0, 0, share * cells)


@partial(_times.defjvp, symbolic_zeros=True)
def _tangent_of_times(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    (share, cells), (by_share, by_cells) = primals, tangents
    slope = jnp.zeros_like(cells)
    if not isinstance(by_share, SymbolicZero):
        slope = slope + by_share * cells
    if not isinstance(by_cells, SymbolicZero):
        slope = slope + jnp.where(share == 0, 0, share * by_cells)
    return _times(share, cells), slope
