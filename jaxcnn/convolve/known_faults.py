"""XLA's known faults, wrong numbers or a crash of the process, and the way around each.

The only list of them: with the report, the jaxlib versions in which it was seen, and the remedy.
``tests/convolve/test_known_faults.py`` runs each in a process of its own, by lax (which shows
whether the fault is still there) and by ours. Every call that goes to lax passes :func:`crop` and
:func:`keep_whole` first. The latter needs Shardy, JAX's default partitioner: with
``jax_use_shardy_partitioner`` off nothing is kept whole.

Two faults are of reductions. jaxcnn cannot repair a user's own reductions, but most networks have
some, so :func:`reduces_rightly` tests the installed jaxlib, and ``jaxcnn doctor`` reports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.convolve.jax_internals import partition_only
from jaxcnn.convolve.problem import crop_axis

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Fault:
    """One of XLA's faults.

    Attributes:
      name: what it is called here.
      what: when it shows, and what happens.
      threads: where it is reported.
      seen: jaxlib versions in which its test saw it.
      instead: what jaxcnn does.
    """

    name: str
    what: str
    threads: tuple[str, ...]
    seen: tuple[str, ...]
    instead: str


WITHOUT_YNNPACK = "--xla_cpu_experimental_ynn_fusion_type="
"""The entry of XLA_FLAGS that keeps XLA from calling YNNPACK; XLA reads it once a process."""

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
        "A slice crops the cells, and no padding is negative: crop, Problem.trimmed.",
    ),
    Fault(
        "cropped pool of one cell",
        "Compiling a reduce_window of one cell, stride 1, whose padding is negative wherever "
        "there is any ends the process, on CPUs and on NVIDIA's devices.",
        ("https://github.com/openxla/xla/issues/48719",),
        ("0.10.2", "0.11.2"),
        "The same slice, before lax's own pool is lowered for CPUs: crop.",
    ),
    Fault(
        "spread pool",
        "On CPUs, a reduce_window over floating-point numbers of some thousands, which takes steps "
        "on one axis, forgets the base dilation of another on which its window is of one cell.",
        ("https://github.com/openxla/xla/issues/48714",),
        ("0.10.2", "0.12.0.1"),
        "The result of lax's own pool is dilated on such an axis: pool_lowerings.py.",
    ),
    Fault(
        "partitioned filter",
        "In a program that is partitioned among devices, with x along a spatial axis, the gradient "
        "of the kernel is wrong for strides, dilations and paddings that do not match the parts, "
        "or the process ends: both its operands are partitioned along the axis that is summed "
        "over, and the parts are paired wrongly.",
        ("https://github.com/jax-ml/jax/issues/16894",),
        ("0.10.2",),
        "No kernel is partitioned along its spatial axes, and no x along an axis of which the "
        "kernel spans over half: keep_whole. Images stay partitioned forward and in the gradient "
        "of x.",
    ),
    Fault(
        "partitioned groups",
        "If the channels of a convolution in groups are partitioned among devices and the groups "
        "are not a multiple of the parts, the results and the gradient of x are wrong, or the "
        "process ends (CreateShardedConvolution: new_input_batch_size % new_output_batch_size). "
        "On a mesh of two axes a gradient of the kernel is added up once for each part of the "
        "channels.",
        ("https://github.com/jax-ml/jax/issues/16894",),
        ("0.10.2",),
        "The channels of convolutions in groups are not partitioned: keep_whole. Batch and space "
        "are. The gradients of their kernels are matrix products: partitioned.py.",
    ),
    Fault(
        "reduction of a product",
        "On CPUs, if one program squares and sums the entries of a matrix product, the sums after "
        "the 32,768th are wrong when there are up to some 43,000 (in float64, half as many): XLA "
        "passes both to YNNPACK as one fusion.",
        ("https://github.com/jax-ml/jax/issues/39103",),
        ("0.10.2",),
        f"Convolutions and pools are not affected. XLA_FLAGS={WITHOUT_YNNPACK} keeps XLA from "
        f"such fusions, and jaxcnn doctor says if that is needed: reduces_rightly.",
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
        "jaxcnn sums over fewer axes; the same flag.",
    ),
)
"""Every known fault."""


ROWS = 40_001
"""Rows of the product that is probed; jaxlib 0.10.2 has 7,233 of them wrong."""


def reduces_rightly() -> bool:
    """Whether XLA in this process sums the squares of a matrix product rightly.

    Compiles and runs one small program on the default device: a twentieth of a second and a
    millisecond. Its numbers are small integers, so any order of the sums gives the same.
    """
    x = (np.arange(3 * ROWS, dtype=np.int32) % 7).reshape(ROWS, 3).astype(np.float32)
    with jax.disable_jit(False):
        sums = jax.jit(_row_sums_of_squares)(np.eye(3, dtype=np.float32), x)
    return np.array_equal(sums, np.sum(x * x, axis=1))


def _row_sums_of_squares(matrix: jax.Array, x: jax.Array) -> jax.Array:
    return jax.vmap(lambda row: jnp.sum(jnp.square(jnp.matmul(matrix, row))))(x)


def crops(shape: Sequence[Any], axes: Sequence[int], padding: Sequence[Any]) -> bool:
    """Whether padding crops an axis of known size, so that :func:`crop` has work."""
    return any(
        _known(shape[axis], lo, hi) and min(lo, hi) < 0
        for axis, (lo, hi) in zip(axes, padding, strict=True)
    )


def _known(*sizes: Any) -> bool:
    return all(isinstance(size, (int, np.integer)) for size in sizes)


def crop(
    x: jax.Array, axes: Sequence[int], padding: Sequence[Any], base_dilation: Sequence[int]
) -> tuple[jax.Array, list[Any]]:
    """x without the cells that negative padding crops, and the padding that is left.

    Axes whose size or padding is a symbol are left unchanged.

    Args:
      x: the array.
      axes: the axes of x that ``padding`` and ``base_dilation`` are for.
      padding: (lo, hi) on each of them.
      base_dilation: on each of them.

    >>> import jax.numpy as jnp
    >>> x, padding = crop(jnp.arange(5), [0], [(-2, 1)], [1])
    >>> x, padding
    (Array([2, 3, 4], dtype=int32), [(0, 1)])
    """
    pairs = []
    for axis, (lo, hi), base in zip(axes, padding, base_dilation, strict=True):
        n = x.shape[axis]
        if not _known(n, lo, hi) or min(lo, hi) >= 0:
            pairs.append((lo, hi))
            continue
        first, last, pair = crop_axis(n, base, lo, hi)
        pairs.append(pair)
        x = lax.slice_in_dim(x, first, n - last, axis=axis)
    return x, pairs


def keep_whole(
    x: Any, kernel: Any, shapes: tuple[tuple[Any, ...], tuple[Any, ...]], params: dict[str, Any]
) -> tuple[Any, Any]:
    """Both operands of lax's convolution, kept whole along the axes that XLA partitions wrongly.

    These are the kernel's spatial axes; those of x if the kernel spans over half of one, as in
    kernel gradients; and all axes of groups. The examples, the spatial axes of x under small
    kernels, and the channels of a convolution without groups may still be partitioned.

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
        return partition_only(x, {batch, *free}), partition_only(kernel, set())
    if params["batch_group_count"] > 1:
        return partition_only(x, {channels, *free}), partition_only(kernel, {inputs})
    return partition_only(x, {batch, channels, *free}), partition_only(kernel, {filters, inputs})
