"""oneDNN's convolution, which the published Linux jaxlib carries, by its custom call.

The call is described by XLA's ``onednn_config.proto`` as JSON. Whether it may be asked at all is
decided in :mod:`jaxcnn.convolve.fence`; here is only how. oneDNN computes with channels last, and
what is given otherwise it lays out anew by itself (:func:`readable`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import jax
from jax import lax

from jaxcnn.convolve import fence
from jaxcnn.convolve.algorithms.algorithm import (
    LARGEST_TEMPORARY,
    Algorithm,
    Solve,
    Work,
    in_lanes,
    padded,
    refuse_unplain,
    traffic,
    trimmed,
)
from jaxcnn.convolve.layout import Operation, channels_last
from jaxcnn.convolve.problem import Problem

TARGET = "__onednn$convolution"

ROWS = 8
"""Outputs of a row below which a depthwise convolution of many taps costs the same for each tap."""


def refuses(problem: Problem) -> str | None:
    """A problem that is not plain, or that is outside the fence as it would be asked."""
    return refuse_unplain(problem) or fence.refuses(asked(problem))


def run(problem: Problem, x: jax.Array, kernel: jax.Array, solve: Solve) -> jax.Array:
    """One call; the kernel is laid out anew inside it."""
    del solve
    return call(problem, x, kernel)


def call(
    problem: Problem,
    x: jax.Array,
    kernel: jax.Array,
    numbers: lax.ConvDimensionNumbers | None = None,
) -> jax.Array:
    """The convolution.

    Args:
      problem, x, kernel: what is computed.
      numbers: how x, kernel and the result are laid out, where it is not channels last.
    """
    numbers = numbers or channels_last(problem.axes)
    put = asked(problem)
    if put.size != problem.size and numbers != channels_last(problem.axes):
        laid_out = Operation(problem, numbers, 1)
        return laid_out.restored(call(problem, *laid_out.canonical(x, kernel)))
    problem, x = trimmed(problem, x)
    if put.size != problem.size:
        _, x = padded(problem, x)
    if put.axes == 1:
        # A row one cell high: oneDNN's blocking of two axes is faster than its one of one.
        x = lax.expand_dims(x, (numbers.lhs_spec[2],))
        kernel = lax.expand_dims(kernel, (numbers.rhs_spec[2],))
        y = call(_as_image(put), x, kernel, _of_image(numbers))
        return lax.squeeze(y, (numbers.out_spec[2],))
    if numbers == channels_last(put.axes):
        if _is_product(put):
            rows = x.reshape(-1, put.in_channels)
            columns = kernel.reshape(put.in_channels, put.out_channels)
            return product(rows, columns).reshape(put.output_shape)
        one_each = put.groups > 1 and put.group_channels == (1, 1)
        if put.axes == 2 and one_each and set(put.dilation) == {1}:
            return call(_as_volume(put), x[None], kernel[None])[0]
    shape = [0] * x.ndim
    for place, n in zip(numbers.out_spec, (put.batch, put.out_channels, *put.output), strict=True):
        shape[place] = n
    return jax.ffi.ffi_call(
        TARGET,
        jax.ShapeDtypeStruct(tuple(shape), x.dtype),
        custom_call_api_version=1,
        legacy_backend_config=_config(put, numbers),
    )(x, kernel)


def readable(axes: int, dtype: str) -> list[lax.ConvDimensionNumbers]:
    """The layouts that oneDNN may be given as they are.

    It lays kernels out anew in any case, several times as fast as XLA: they may have the channels
    on the last two axes or the first two, either before the other. Other orders it makes heavy
    weather of. Images have channels last or, where the fence lets that pass, first, in and out.
    """
    usual, spatial = channels_last(axes), tuple(range(2, axes + 2))
    images = [usual.lhs_spec]
    if fence.takes_channels_first(dtype):
        images.append((0, 1, *spatial))
    kernels = (usual.rhs_spec, (axes, axes + 1, *range(axes)), (0, 1, *spatial), (1, 0, *spatial))
    return [
        lax.ConvDimensionNumbers(image, kernel, image) for image in images for kernel in kernels
    ]


def spared(operation: Operation) -> int:
    """Bytes that oneDNN reads or writes as they lie, and others lay out anew, channels last."""
    problem, numbers = operation.problem, operation.numbers
    if operation.batch_groups > 1 or numbers not in readable(problem.axes, problem.dtype):
        return 0
    shapes = (problem.x_shape, problem.kernel_shape, problem.output_shape)
    return problem.itemsize * sum(
        math.prod(shape)
        for shape, spec, own in zip(shapes, numbers, channels_last(problem.axes), strict=True)
        if spec != own
    )


def _of_image(numbers: lax.ConvDimensionNumbers) -> lax.ConvDimensionNumbers:
    """Those of a row as an image of one row: an axis before the spatial one."""

    def moved(spec: Sequence[int]) -> tuple[int, ...]:
        one, other, row = spec
        return (one + (one > row), other + (other > row), row, row + 1)

    return lax.ConvDimensionNumbers(*map(moved, numbers))


def _is_product(problem: Problem) -> bool:
    """Whether the rows of x times the kernel are all there is to it.

    Kernel gradients of such convolutions are products of the same rows. What is handed over in one
    shape is computed once; of another shape XLA makes another array, and computes it anew.
    """
    return (
        problem.taps == problem.groups == 1
        and set(problem.stride) == {1}
        and not any(map(any, problem.padding))
        and fence.no_products(problem.dtype) is None
    )


def _as_volume(problem: Problem) -> Problem:
    """A depthwise convolution of images as that of one volume, in the shape of :mod:`.volume`."""
    return replace(
        problem,
        batch=1,
        size=(problem.batch, *problem.size),
        filter=(1, *problem.filter),
        stride=(1, *problem.stride),
        padding=((0, 0), *problem.padding),
        base_dilation=(),
        dilation=(),
    )


def asked(problem: Problem) -> Problem:
    """The problem as it is put to oneDNN, which is the same but for two hazards.

    Where there is one output on an axis a stride means nothing, and oneDNN heeds it wrongly (with
    one channel): it is 1. Padding is laid beforehand where windows would lie on padding alone,
    where there is much of it and, with groups, where windows are as large as the input, as those
    of kernel gradients are.
    """
    problem, _ = problem.trimmed()
    stride = tuple(s if k > 1 else 1 for s, k in zip(problem.stride, problem.output, strict=True))
    problem = replace(problem, stride=stride)
    alone = any(
        max(pair) >= extent for pair, extent in zip(problem.padding, problem.extent, strict=True)
    )
    if not alone and not fence.refuses_shape(problem):
        return problem
    size = tuple(n + lo + hi for n, (lo, hi) in zip(problem.size, problem.padding, strict=True))
    return replace(problem, size=size, padding=tuple((0, 0) for _ in size))


def _as_image(problem: Problem) -> Problem:
    """A problem of one axis as one of two, the first a single cell."""
    return replace(
        problem,
        size=(1, *problem.size),
        filter=(1, *problem.filter),
        stride=(1, *problem.stride),
        padding=((0, 0), *problem.padding),
        base_dilation=(1, *problem.base_dilation),
        dilation=(1, *problem.dilation),
    )


def _config(problem: Problem, numbers: lax.ConvDimensionNumbers) -> str:
    dims = problem.axes + 2
    x_spec, kernel_spec, out_spec = numbers

    def image(spec: Sequence[int]) -> dict[str, object]:
        data = {"batch_dim": spec[0], "feature_dim": spec[1], "spatial_dims": spec[2:]}
        return {"dims": dims, "data": data}

    filters = {
        "output_feature_dim": kernel_spec[0],
        "input_feature_dim": kernel_spec[1],
        "spatial_dims": kernel_spec[2:],
    }
    window = {
        "pad_left": [lo for lo, _ in problem.padding],
        "pad_right": [hi for _, hi in problem.padding],
        "strides": list(problem.stride),
        "window_dilations": list(problem.dilation),
    }
    config = {
        "dims": dims,
        "input": image(x_spec),
        "kernel": {"dims": dims, "filter": filters},
        "output": image(out_spec),
        "window": window,
        "feature_groups": problem.groups,
    }
    return json.dumps({"onednn_conv_config": config})


def product(a: jax.Array, b: jax.Array, *, transpose_a: bool = False) -> jax.Array:
    """The matrix product of a (R, K), or (K, R) where it is to be transposed, and b (K, O)."""
    rows = a.shape[1] if transpose_a else a.shape[0]
    result = jax.ShapeDtypeStruct((rows, b.shape[1]), a.dtype)
    config = {"onednn_matmul_config": {"transpose_a": transpose_a}}
    return jax.ffi.ffi_call(
        "__onednn$matmul",
        result,
        custom_call_api_version=1,
        legacy_backend_config=json.dumps(config),
    )(a, b)


def work(problem: Problem) -> Work:
    """The definition's multiply-adds; x and kernel read, y written."""
    c, o = problem.group_channels
    if problem.groups == 1:
        kind = "dense"
    elif c == 1:
        kind = "depthwise"
    else:
        kind = "groups of one filter" if o == 1 else "groups"
    operations, columns = in_lanes(problem), problem.output[-1]
    # Rows of the matrix product inside are the outputs of the last axis: with few it idles.
    if problem.is_thin and (columns < 32 or 1 in (c, o)):
        if c == 1 < problem.groups:  # a tap's own work is that of so many outputs
            operations *= max(1, ROWS / columns)
        kind = f"thin {kind}"
    elif kind == "depthwise" and traffic(problem) > LARGEST_TEMPORARY:
        kind = "large depthwise"  # memory decides, and costs more where it is fresh every time
    return Work(operations, traffic(problem), kind=kind)


ALGORITHM = Algorithm("onednn", refuses, work, run)
