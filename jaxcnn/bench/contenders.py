"""Rows computed by lax and by jaxcnn, each compiled separately."""

from __future__ import annotations

import re
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.bench.timing import time_calls
from jaxcnn.convolve import conv_general_dilated, onednn_closed
from jaxcnn.ops import avg_pool, max_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxcnn.bench.row import Row


class Operands(NamedTuple):
    """The float32 arrays of a row, in its layout.

    Attributes:
      x: the input.
      kernel: None for a pool.
      g: the output's cotangent.
    """

    x: np.ndarray
    kernel: np.ndarray | None
    g: np.ndarray


@dataclass(frozen=True)
class Contender:
    """One way to compute one direction of a row.

    Attributes:
      call: computes, waits for the end, and returns a value that holds the result.
      result: extracts the result from that value, as an array in the row's layout.
      compile_seconds: the duration of tracing and compiling; None if nothing is compiled.
      program: the text of XLA's optimised program, without source locations.
    """

    call: Callable[[], Any]
    result: Callable[[Any], np.ndarray]
    compile_seconds: float | None = None
    program: str | None = None

    def time_calls(self, seconds: float, calls: int) -> list[float]:
        """The seconds of each of ``calls`` calls, see :func:`jaxcnn.bench.timing.time_calls`."""
        return time_calls(self.call, seconds, calls)


def operands(row: Row, dtype: str, seed: int = 0) -> Operands:
    """Random operands between -1 and 1, which ``dtype`` represents exactly."""
    random = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        numbers = 2 * random.random(shape, np.float32) - 1
        return numbers.astype(jnp.dtype(dtype)).astype(np.float32)

    kernel = None if row.kernel_shape is None else draw(row.kernel_shape)
    return Operands(draw(row.x_shape), kernel, draw(row.output_shape))


def jax_contender_names(row: Row) -> tuple[str, ...]:
    """``lax``, ``jaxcnn``, and for convolutions ``jaxcnn-plain``, which does not use oneDNN."""
    return ("lax", "jaxcnn") if row.is_pool else ("lax", "jaxcnn", "jaxcnn-plain")


def jax_contender(name: str, row: Row, direction: str, dtype: str, given: Operands) -> Contender:
    """One of :func:`jax_contender_names`, compiled."""
    arrays = tuple(jnp.asarray(array, dtype) for array in given if array is not None)
    if row.is_pool:
        pool = _lax_pool(row) if name == "lax" else _jaxcnn_pool(row)
        return _compiled(_pool_direction(pool, direction), arrays)
    convolution = lax.conv_general_dilated if name == "lax" else conv_general_dilated
    arguments = lax_arguments(row)
    function = _direction(lambda x, w: convolution(x, w, **arguments), direction)
    with onednn_closed() if name == "jaxcnn-plain" else nullcontext():
        return _compiled(function, arrays)


def lax_arguments(row: Row) -> dict[str, Any]:
    """The keyword arguments of :func:`jax.lax.conv_general_dilated` for a row.

    A transposed convolution becomes a convolution of the dilated input: with zeros between its
    cells, and ``dilation * (kernel_size - 1) - padding`` cells on each side. The kernel is not
    flipped.
    """
    spatial = "DHW"[-row.axes :]
    last = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    first = (f"NC{spatial}", f"OI{spatial}", f"NC{spatial}")
    common = {
        "rhs_dilation": row.dilation,
        "dimension_numbers": last if row.layout == "last" else first,
        "feature_group_count": row.groups,
    }
    if row.operation == "conv":
        return common | {"window_strides": row.stride, "padding": row.padding}
    reach = (d * (f - 1) for d, f in zip(row.dilation, row.kernel_size, strict=True))
    padding = tuple((r - lo, r - hi) for r, (lo, hi) in zip(reach, row.padding, strict=True))
    return common | {
        "window_strides": (1,) * row.axes,
        "padding": padding,
        "lhs_dilation": row.stride,
    }


def _direction(function: Callable[..., jax.Array], direction: str) -> Callable[..., jax.Array]:
    """A function of (x, kernel, g) that computes one direction and nothing else."""
    if direction == "forward":
        return lambda x, w, _g: function(x, w)
    if direction == "input":
        return lambda x, w, g: jax.vjp(lambda x: function(x, w), x)[1](g)[0]
    return lambda x, w, g: jax.vjp(lambda w: function(x, w), w)[1](g)[0]


def _pool_direction(function: Callable[..., jax.Array], direction: str) -> Callable[..., Any]:
    """A function of (x, g) that computes the pool, or the pool and its gradient.

    Libraries differ in what the forward pass keeps for the gradient, so both are timed together.
    """
    if direction == "forward":
        return lambda x, _g: function(x)

    def both(x: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, pull = jax.vjp(function, x)
        return pull(g)[0], y

    return both


def _lax_pool(row: Row) -> Callable[[jax.Array], jax.Array]:
    def over_windows(x: jax.Array, start: float, step: Callable[..., jax.Array]) -> jax.Array:
        return lax.reduce_window(
            x,
            np.array(start, x.dtype),
            step,
            window_dimensions=(1, *row.kernel_size, 1),
            window_strides=(1, *row.stride, 1),
            padding=((0, 0), *row.padding, (0, 0)),
            window_dilation=(1, *row.dilation, 1),
        )

    if row.operation == "max pool":
        return lambda x: over_windows(x, -np.inf, lax.max)
    return lambda x: over_windows(x, 0, lax.add) / np.array(np.prod(row.kernel_size), x.dtype)


def _jaxcnn_pool(row: Row) -> Callable[[jax.Array], jax.Array]:
    options = {
        "stride": row.stride,
        "padding": row.padding,
        "dilation": row.dilation,
        "rounding": "floor",
    }
    if row.operation == "max pool":
        return lambda x: max_pool(x, row.kernel_size, **options)
    return lambda x: avg_pool(x, row.kernel_size, count_include_pad=True, **options)


def _compiled(function: Callable[..., Any], arrays: Sequence[jax.Array]) -> Contender:
    start = time.perf_counter()
    program = jax.jit(function).lower(*arrays).compile()
    seconds = time.perf_counter() - start
    return Contender(
        call=lambda: jax.block_until_ready(program(*arrays)),
        result=lambda value: np.asarray(jax.tree.leaves(value)[0], np.float32),
        compile_seconds=seconds,
        program=_without_locations(program.as_text() or ""),
    )


def _without_locations(program: str) -> str:
    """The program without its table of source files and the references to it."""
    computations = re.split(r"^(?=%|ENTRY)", program, maxsplit=1, flags=re.MULTILINE)[-1]
    return re.sub(r", metadata={[^}]*}", "", computations)
