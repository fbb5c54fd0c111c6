"""Where XLA is known to compute wrong numbers or to end the process, and the way round each.

The one list of them: with the thread, the jaxlib versions it was seen in, and what is done instead.
``tests/convolve/test_known_faults.py`` runs each, in a process of its own, by lax (where it shows
whether the fault is still there) and by ours. What is handed on to lax goes through :func:`cropped`
and :func:`undivided` first, whoever asks for it. The latter needs Shardy, JAX's default
partitioner: with ``jax_use_shardy_partitioner`` off nothing is kept whole.

Reductions are no convolutions, and nothing here can put a person's own right; but a network has
both, so :func:`reduces_rightly` asks the installed jaxlib, for ``jaxcnn doctor`` to tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxlib.mlir.dialects import sdy

from jaxcnn.convolve.problem import cut


@dataclass(frozen=True)
class Fault:
    """One of XLA's faults.

    Attributes:
      name: what it is called here.
      what: when it shows, and what then comes out.
      threads: where it is reported.
      seen: jaxlib versions in which it was seen, by the test of it.
      instead: what is done here.
    """

    name: str
    what: str
    threads: tuple[str, ...]
    seen: tuple[str, ...]
    instead: str


WITHOUT_YNNPACK = "--xla_cpu_experimental_ynn_fusion_type="
"""What XLA_FLAGS must hold for XLA to hand nothing to YNNPACK; read once a process."""

FAULTS = (
    Fault(
        "cropped convolution",
        "On CPUs, a convolution of floating-point images whose padding is negative before an axis "
        "and positive after it reads beyond its rows: wrong numbers, or the end of the process. "
        "Of complex images it cuts off the wrong cells.",
        (
            "https://github.com/openxla/xla/issues/48713",
            "https://github.com/openxla/xla/issues/48715",
        ),
        ("0.10.2",),
        "Cells are cut off by a slice, and no padding is negative: cropped, Problem.trimmed.",
    ),
    Fault(
        "cropped pool of one cell",
        "Compiling a reduce_window of one cell, stride 1, whose padding is negative wherever "
        "there is any ends the process, on CPUs and on NVIDIA's devices.",
        ("https://github.com/openxla/xla/issues/48719",),
        ("0.10.2", "0.11.2"),
        "The same slice, before lax's own pool is lowered for CPUs: cropped.",
    ),
    Fault(
        "spread pool",
        "On CPUs, a reduce_window over floating-point numbers of some thousands, which takes steps "
        "on one axis, forgets the base dilation of another on which its window is of one cell.",
        ("https://github.com/openxla/xla/issues/48714",),
        ("0.10.2", "0.12.0.1"),
        "Such an axis is laid apart in the result, after lax's own pool: _by_lax in pooling.py.",
    ),
    Fault(
        "divided filter",
        "Where a program is divided among devices and x along a spatial axis, the gradient of the "
        "kernel is wrong for strides, dilations and paddings that do not match the parts, or the "
        "process ends: both its operands are divided along the axis that is summed over, and the "
        "parts meet wrongly.",
        ("https://github.com/jax-ml/jax/issues/16894",),
        ("0.10.2",),
        "No filter is divided along its spatial axes, and no x along those of which the filter "
        "reaches over half: undivided. Images stay divided forward and in the gradient of x.",
    ),
    Fault(
        "divided groups",
        "Where the channels of a convolution in groups are divided among devices and the groups "
        "are not a multiple of the parts, the results and the gradient of x are wrong, or the "
        "process ends (CreateShardedConvolution: new_input_batch_size % new_output_batch_size). "
        "On a mesh of two axes a gradient of the kernel is added up once for each part of the "
        "channels.",
        ("https://github.com/jax-ml/jax/issues/16894",),
        ("0.10.2",),
        "The channels of convolutions in groups are not divided: undivided. Batch and space are. "
        "Gradients of their kernels are put as products: kernel_gradient in divided.py.",
    ),
    Fault(
        "reduction of a product",
        "On CPUs, where the entries of a matrix product are squared and summed in one program, the "
        "sums after the 32,768th are wrong where there are up to some 43,000 (in float64, half as "
        "many): XLA hands both to YNNPACK as one fusion.",
        ("https://github.com/jax-ml/jax/issues/39103",),
        ("0.10.2",),
        f"Convolutions and pools are not met by it; XLA_FLAGS={WITHOUT_YNNPACK} keeps XLA from "
        f"such fusions, and jaxcnn doctor says where that is needed: reduces_rightly.",
    ),
    Fault(
        "reduction of seven axes",
        "On CPUs, the sum over one axis of a product of arrays with seven axes or more, one of "
        "them of a single cell, ends the process, in YNNPACK again.",
        (
            "https://github.com/jax-ml/jax/issues/39257",
            "https://github.com/jax-ml/jax/issues/40412",
        ),
        ("0.10.2",),
        "Nothing of ours sums over so many axes; the same flag.",
    ),
)
"""Every fault that is known here."""


ROWS = 40_001
"""Of the product that is probed; jaxlib 0.10.2 has 7,233 of them wrong."""


def reduces_rightly() -> bool:
    """Whether this process's XLA sums the squares of a matrix product rightly.

    A probe: one small program, a twentieth of a second to compile and a millisecond to run, on the
    default device. Small whole numbers, so that any order of the sums gives the same.
    """
    x = (np.arange(3 * ROWS, dtype=np.int32) % 7).reshape(ROWS, 3).astype(np.float32)
    with jax.disable_jit(False):
        sums = jax.jit(_squares_summed)(np.eye(3, dtype=np.float32), x)
    return np.array_equal(sums, np.sum(x * x, axis=1))


def _squares_summed(matrix: jax.Array, x: jax.Array) -> jax.Array:
    return jax.vmap(lambda row: jnp.sum(jnp.square(jnp.matmul(matrix, row))))(x)


def crops(shape: Sequence[Any], axes: Sequence[int], padding: Sequence[Any]) -> bool:
    """Whether padding cuts cells off an axis of known size, so that :func:`cropped` has work."""
    return any(
        _known(shape[axis], lo, hi) and min(lo, hi) < 0
        for axis, (lo, hi) in zip(axes, padding, strict=True)
    )


def _known(*sizes: Any) -> bool:
    return all(isinstance(size, (int, np.integer)) for size in sizes)


def cropped(
    x: jax.Array, axes: Sequence[int], padding: Sequence[Any], base_dilation: Sequence[int]
) -> tuple[jax.Array, list[Any]]:
    """x without the cells that negative padding cuts off, and what is left of the padding.

    Axes whose size or padding is no known number stay as they are.

    Args:
      x: the array.
      axes: those of x that the other two speak of.
      padding: (lo, hi) on each of them.
      base_dilation: how far its cells are apart on each of them.

    >>> import jax.numpy as jnp
    >>> x, padding = cropped(jnp.arange(5), [0], [(-2, 1)], [1])
    >>> x, padding
    (Array([2, 3, 4], dtype=int32), [(0, 1)])
    """
    pairs = []
    for axis, (lo, hi), base in zip(axes, padding, base_dilation, strict=True):
        n = x.shape[axis]
        if not _known(n, lo, hi) or min(lo, hi) >= 0:
            pairs.append((lo, hi))
            continue
        first, last, pair = cut(n, base, lo, hi)
        pairs.append(pair)
        x = lax.slice_in_dim(x, first, n - last, axis=axis)
    return x, pairs


def undivided(
    x: Any, kernel: Any, shapes: tuple[tuple[Any, ...], tuple[Any, ...]], params: dict[str, Any]
) -> tuple[Any, Any]:
    """Both operands of lax's convolution, kept whole along the axes that XLA divides wrongly.

    The filter's spatial axes; those of x where the filter reaches over half of one, as in kernel
    gradients; and all axes that groups lie on. The examples, the spatial axes of x under small
    filters, and the channels of a convolution without groups are left to whoever divides the
    program.

    Args:
      x, kernel: values of a program that several devices share.
      shapes: their shapes.
      params: those of ``lax.conv_general_dilated_p``.
    """
    if not getattr(jax.config, "jax_use_shardy_partitioner", True):
        return x, kernel
    (batch, channels, *space), (filters, inputs, *taps), _ = params["dimension_numbers"]
    cells, weights = shapes
    reach = zip(space, taps, params["lhs_dilation"], params["rhs_dilation"], strict=True)
    small = all(
        _known(cells[at], weights[tap])
        and 2 * (dilation * (weights[tap] - 1) + 1) <= base * (cells[at] - 1) + 1
        for at, tap, base, dilation in reach
    )
    free = set(space) if small else set()
    if params["feature_group_count"] > 1:
        return _whole(x, {batch, *free}), _whole(kernel, set())
    if params["batch_group_count"] > 1:
        return _whole(x, {channels, *free}), _whole(kernel, {inputs})
    return _whole(x, {batch, channels, *free}), _whole(kernel, {filters, inputs})


def _whole(value: Any, free: set[int]) -> Any:
    """The value, divided along the free axes alone; the empty mesh is part of every mesh."""
    axes = range(len(value.type.shape))
    sharding = sdy.TensorShardingAttr.get(
        sdy.MeshAttr.get([]),
        [sdy.DimensionShardingAttr.get([], is_closed=axis not in free) for axis in axes],
    )
    return sdy.ShardingConstraintOp(value, sharding).result
