"""Checks and shapes of causal convolutions, at once and chunk by chunk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError, error_prefix, omit_advice
from jaxcnn.geometry import effective_kernel_size
from jaxcnn.geometry.check import integer
from jaxcnn.shapes.arrays import as_arrays
from jaxcnn.shapes.conv import ConvShapes, conv_shapes
from jaxcnn.shapes.operation import Edge

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jax


def causal_shapes(
    x: Sequence[int],
    kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    rounding: str = "exact",
) -> ConvShapes:
    """The shapes of a causal convolution, checked: all padding precedes the input.

    Args:
      x: (N, T, C_in), or (T, C_in) for one example.
      kernel: (F, C_in/groups, C_out).
      bias: (C_out,), or None.
      stride, dilation, groups, rounding: as in :func:`jaxcnn.causal_conv`.

    Raises:
      InputError: if these do not fit; names argument and numbers, and what to type instead.

    >>> causal_shapes((100, 3), (5, 3, 8), dilation=2).windows[0].padding
    (8, 0)
    """
    _require_one_axis(tuple(kernel))
    with omit_advice("padding"):
        return conv_shapes(
            x,
            kernel,
            bias,
            stride=integer("stride", stride, least=1),
            padding="CAUSAL",
            dilation=integer("dilation", dilation, least=1),
            groups=groups,
            rounding=rounding,
        )


def causal_state_shape(
    kernel: Sequence[int], *, batch: int | None = None, dilation: int = 1, groups: int = 1
) -> tuple[int, ...]:
    """The shape of a causal convolution's state, (batch, F'-1, C_in) or (F'-1, C_in).

    >>> causal_state_shape((3, 2, 8), batch=4, dilation=5)
    (4, 10, 2)
    """
    kernel = tuple(kernel)
    _require_one_axis(kernel)
    back = effective_kernel_size(kernel[0], dilation) - 1
    cells = (back, kernel[1] * integer("groups", groups, least=1))
    return cells if batch is None else (integer("batch", batch, least=0), *cells)


def causal_stream_shapes(
    chunk: Sequence[int],
    state: Sequence[int],
    kernel: Sequence[int],
    bias: Sequence[int] | None = None,
    *,
    dilation: int = 1,
    groups: int = 1,
) -> ConvShapes:
    """The shapes of a chunk's causal convolution, checked: over the state, then the chunk.

    >>> shapes = causal_stream_shapes((7, 3), (8, 3), (5, 3, 8), dilation=2)
    >>> shapes.input, shapes.output
    ((15, 3), (7, 8))
    """
    chunk, state, kernel = tuple(chunk), tuple(state), tuple(kernel)
    back, channels = causal_state_shape(kernel, dilation=dilation, groups=groups)
    if len(chunk) not in (2, 3) or chunk[-1] != channels:
        raise InputError(
            f"chunk of shape {chunk} does not fit kernel of shape {kernel} with groups {groups}, "
            f"which takes {channels} channels; use shape (N, L, {channels}), or (L, {channels}) "
            f"for one example"
        )
    fitting = (*chunk[:-2], back, channels)
    if state != fitting:
        raise InputError(
            f"state of shape {state} does not fit chunk of shape {chunk} and kernel of shape "
            f"{kernel} with dilation {dilation}, which reads {back} earlier cells; use shape "
            f"{fitting}, from causal_conv_state or the previous call"
        )
    shapes = causal_shapes(chunk, kernel, bias, dilation=dilation, groups=groups)
    (window,) = shapes.windows
    return replace(shapes, windows=(replace(window, size=window.padded, padding=(0, 0)),))


def _require_one_axis(kernel: tuple[int, ...]) -> None:
    if len(kernel) != 3:
        raise InputError(
            f"kernel of shape {kernel} has {len(kernel)} axes; a causal convolution runs along one "
            f"axis, time: use (F, C_in/groups, C_out)"
        )


causal_conv = Edge("causal_conv", causal_shapes, arrays=("x", "kernel", "bias"))
causal_conv_stream = Edge(
    "causal_conv_stream",
    causal_stream_shapes,
    arrays=("chunk", "state", "kernel", "bias"),
    batched=2,
)


@error_prefix("causal_conv_state")
def causal_conv_state(kernel: jax.Array, **arguments: Any) -> tuple[jax.Array, tuple[int, ...]]:
    """The kernel of :func:`jaxcnn.causal_conv_state` and the shape of the state.

    >>> import jax.numpy as jnp
    >>> causal_conv_state(jnp.ones((3, 2, 8)), batch=4, dilation=5)[1]
    (4, 10, 2)
    """
    (kernel,), _ = as_arrays({"kernel": kernel})
    return kernel, causal_state_shape(kernel.shape, **arguments)
