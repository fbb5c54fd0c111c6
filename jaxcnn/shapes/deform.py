"""Checks and shapes of a deformable convolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.shapes.arrays import as_arrays, require_floating
from jaxcnn.shapes.conv import ConvShapes, conv_shapes
from jaxcnn.shapes.operation import Edge

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jax

    from jaxcnn.geometry import Padding


@dataclass(frozen=True, kw_only=True)
class DeformShapes(ConvShapes):
    """A checked deformable convolution: a convolution whose taps read at offsets of their own.

    Attributes:
      offset_groups: G, the number of parts of the channels that have offsets of their own; the
        others are those of :class:`ConvShapes`.

    >>> deform_shapes((7, 7, 4), (5, 5, 36), (3, 3, 4, 6)).offset_groups
    2
    """

    offset_groups: int

    @property
    def taps(self) -> int:
        """T, the taps of a window."""
        return math.prod(window.kernel_size for window in self.windows)


def deform_shapes(
    x: Sequence[int],
    offset: Sequence[int],
    kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rounding: str = "exact",
    mask: Sequence[int] | None = None,
) -> DeformShapes:
    """The shapes of a deformable convolution, checked.

    Args:
      x: (N, *spatial, C_in), or (*spatial, C_in) for one example.
      offset: (N, *k, G*T*axes), or (*k, G*T*axes), with T the number of taps.
      kernel: (*F, C_in/groups, C_out).
      bias: (C_out,), or None.
      stride, padding, dilation, groups, rounding: as in :func:`jaxcnn.conv`.
      mask: (N, *k, G*T), or (*k, G*T); or None.

    Raises:
      InputError: if these do not fit; names argument and numbers, and what to type instead.

    >>> deform_shapes((8, 7, 7, 3), (8, 5, 5, 18), (3, 3, 3, 6)).output
    (8, 5, 5, 6)
    """
    shapes = conv_shapes(
        x,
        kernel,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        rounding=rounding,
    )
    offset, axes = tuple(offset), len(shapes.windows)
    taps = math.prod(window.kernel_size for window in shapes.windows)
    places = shapes.with_batch(*shapes.spatial)
    parts = offset[-1] // (taps * axes) if offset and isinstance(offset[-1], int) else 0
    if parts < 1 or offset != (*places, parts * taps * axes):
        raise InputError(
            f"offset of shape {offset} does not fit x of shape {tuple(x)} and kernel of shape "
            f"{tuple(kernel)}, with {taps} taps at {shapes.spatial} positions; use shape "
            f"{(*places, taps * axes)}, one number for each tap and axis, or that many for each "
            f"group of channels"
        )
    if shapes.in_channels % parts:
        raise InputError(
            f"offset of shape {offset} has offsets for {parts} groups of channels, which do not "
            f"divide the {shapes.in_channels} channels of x; use shape {(*places, taps * axes)}"
        )
    if mask is not None and tuple(mask) != (*places, parts * taps):
        raise InputError(
            f"mask of shape {tuple(mask)} does not fit offset of shape {offset}; use shape "
            f"{(*places, parts * taps)}, one number for each tap"
        )
    return DeformShapes(
        shapes.batch,
        shapes.windows,
        shapes.in_channels,
        shapes.out_channels,
        shapes.groups,
        offset_groups=parts,
    )


def _described(x: Any, kernel: Any, bias: Any = None, *, offset: Any, **arguments: Any) -> Any:
    return deform_shapes(x, offset, kernel, bias, **arguments)


_deform_conv = Edge("deform_conv", _described, require_floating, arrays=("x", "kernel", "bias"))


def deform_conv(
    x: jax.Array,
    offset: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    mask: jax.Array | None = None,
    **arguments: Any,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array | None, jax.Array | None, DeformShapes]:
    """The checked arrays of :func:`jaxcnn.deform_conv`, of which offset may differ in dtype.

    >>> import jax.numpy as jnp
    >>> arrays = jnp.ones((7, 7, 3)), jnp.ones((5, 5, 18)), jnp.ones((3, 3, 3, 6))
    >>> x, offset, *_, shapes = deform_conv(*arrays)
    >>> x.shape, offset.shape, shapes.output
    ((1, 7, 7, 3), (1, 5, 5, 18), (5, 5, 6))
    """
    with error_prefix("deform_conv"):
        (offset,), dtype = as_arrays({"offset": offset})
        if mask is not None:
            (_, mask), _ = as_arrays({"x": x, "mask": mask})
    shape = None if mask is None else mask.shape
    x, kernel, bias, shapes = _deform_conv(
        x, kernel, bias, offset=offset.shape, mask=shape, **arguments
    )
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"deform_conv: offset is {dtype}, but offsets are fractions of a cell; use "
            f"offset.astype(jnp.float32)"
        )
    mask = None if mask is None else shapes.batched(mask)
    return x, shapes.batched(offset), kernel, bias, mask, shapes
