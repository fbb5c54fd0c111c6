"""XLA's known faults (wrong numbers, or a crash of the process) and the workaround for each.

Each entry has the report, the jaxlib versions in which the fault was seen, and the workaround.
``tests/convolve/test_known_faults.py`` runs each case in a separate process, by lax (to see whether
the fault is still there) and by jaxcnn. Every call that goes to lax passes :func:`crop` and
:func:`keep_whole` first. The latter needs Shardy, JAX's default partitioner: if
``jax_use_shardy_partitioner`` is off, nothing is kept whole.

Two faults affect reductions. jaxcnn cannot repair a user's own reductions, but most networks have
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
      name: the name of the fault in jaxcnn.
      what: when the fault occurs, and its effect.
      threads: the addresses of its reports.
      seen: jaxlib versions in which its test found it.
      instead: the workaround in jaxcnn.
    """

    name: str
    what: str
    threads: tuple[str, ...]
    seen: tuple[str, ...]
    instead: str


WITHOUT_YNNPACK = "--xla_cpu_experimental_ynn_fusion_type="
"""The entry of XLA_FLAGS that keeps XLA from calling YNNPACK; XLA reads it once per process."""

FAULTS = (
    Fault(
        "cropped convolution",
        "On CPUs, a convolution of floating-point images whose padding is negative before an axis "
        "and positive after it reads beyond its rows: wrong numbers, or a crash of the process. "
        "With complex images it crops the wrong cells.",
        (
            "https://github.com/openxla/xla/issues/48713",
            "https://github.com/openxla/xla/issues/48715",
        ),
        ("0.10.2",),
        "A slice crops the cells, and no padding is negative: crop, Problem.trimmed.",
    ),
    Fault(
        "cropped pool of one cell",
        "Compiling a reduce_window of one cell and stride 1 with only negative (or zero) padding "
        "crashes the process, on CPUs and on NVIDIA's devices.",
        ("https://github.com/openxla/xla/issues/48719",),
        ("0.10.2", "0.11.2"),
        "The same slice, before lax's own pool is lowered for CPUs: crop.",
    ),
    Fault(
        "spread pool",
        "On CPUs, a reduce_window over some thousands of floating-point numbers, strided on one "
        "axis, ignores the base dilation of another axis on which its window has one cell.",
        ("https://github.com/openxla/xla/issues/48714",),
        ("0.10.2", "0.12.0.1"),
        "lax's own pool runs undilated on such an axis, then its result is dilated: "
        "pool_lowerings.py.",
    ),
    Fault(
        "partitioned filter",
        "In a program that is partitioned among devices, with x along a spatial axis, the gradient "
        "of the kernel is wrong for strides, dilations and paddings that do not match the parts, "
        "or the process crashes: both its operands are partitioned along the axis that is summed "
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
        "process crashes (CreateShardedConvolution: new_input_batch_size % new_output_batch_size). "
        "On a mesh of two axes the gradient of the kernel is added up once for each part of the "
        "channels.",
        ("https://github.com/jax-ml/jax/issues/16894",),
        ("0.10.2",),
        "The channels of grouped convolutions are not partitioned (keep_whole); batch and space "
        "are. The gradients of their kernels are matrix products: partitioned.py.",
    ),
    Fault(
        "reduction of a product",
        "On CPUs, if one program squares and sums the entries of a matrix product, the sums after "
        "the 32,768th are wrong if there are up to some 43,000 (in float64, half as many): XLA "
        "passes both steps to YNNPACK as one fusion.",
        ("https://github.com/jax-ml/jax/issues/39103",),
        ("0.10.2",),
        f"Convolutions and pools are not affected. XLA_FLAGS={WITHOUT_YNNPACK} disables such "
        f"fusions, and jaxcnn doctor says whether that is needed: reduces_rightly.",
    ),
    Fault(
        "reduction of seven axes",
        "On CPUs, the sum over one axis of a product of arrays with seven or more axes, one of "
        "them of size 1, crashes the process, also in YNNPACK.",
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
"""Rows of the product that is tested; jaxlib 0.10.2 gets 7,233 of them wrong."""


def reduces_rightly() -> bool:
    """Whether XLA in this process sums the squares of a matrix product correctly.

    It compiles (a twentieth of a second) and runs (a millisecond) one small program on the default
    device. The numbers are small integers, so every order of summation gives the same result.
    """
    x = (np.arange(3 * ROWS, dtype=np.int32) % 7).reshape(ROWS, 3).astype(np.float32)
    with jax.disable_jit(False):
        sums = jax.jit(_row_sums_of_squares)(np.eye(3, dtype=np.float32), x)
    return np.array_equal(sums, np.sum(x * x, axis=1))


def _row_sums_of_squares(matrix: jax.Array, x: jax.Array) -> jax.Array:
    return jax.vmap(lambda row: jnp.sum(jnp.square(jnp.matmul(matrix, row))))(x)


def crops(shape: Sequence[Any], axes: Sequence[int], padding: Sequence[Any]) -> bool:
    """Whether padding crops an axis of known size, so that :func:`crop` is needed."""
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
      padding: (lo, hi) on each of these axes.
      base_dilation: the base dilation of each.

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

    These are the kernel's spatial axes; those of x of which the kernel spans over half, as in
    kernel gradients; and the channels of grouped convolutions. The batch, the spatial axes of x
    under small kernels, and the channels of a convolution without groups may be partitioned.

    Args:
      x, kernel: values of a program that several devices share.
      shapes: the shapes of x and kernel.
      params: the parameters of ``lax.conv_general_dilated_p``.
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
