"""oneDNN's convolution, which the published Linux jaxlib carries, by its custom call.

The call is described by XLA's ``onednn_config.proto`` as JSON. Whether it may be asked at all is
decided in :mod:`jaxcnn.convolve.fence`; here is only how.
"""

from __future__ import annotations

import json
from dataclasses import replace

import jax

from jaxcnn.convolve import fence
from jaxcnn.convolve.algorithms.algorithm import (
    Algorithm,
    Solve,
    Work,
    in_lanes,
    padded,
    refuse_unplain,
    traffic,
    trimmed,
)
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
    bias: jax.Array | None = None,
) -> jax.Array:
    """The convolution, with a bias (O,) in the same pass where one is given."""
    problem, x = trimmed(problem, x)
    put = asked(problem)
    if put.size != problem.size:
        _, x = padded(problem, x)
    problem = put
    if problem.axes == 1:
        # A row one cell high: oneDNN's blocking of two axes is faster than its one of one.
        image = _as_image(problem)
        y = call(image, x.reshape(image.x_shape), kernel.reshape(image.kernel_shape), bias)
        return y.reshape(problem.output_shape)
    operands = [x, kernel] if bias is None else [x, kernel, bias]
    ops = [] if bias is None else ["BIAS"]
    result = jax.ShapeDtypeStruct(problem.output_shape, x.dtype)
    return jax.ffi.ffi_call(
        TARGET,
        result,
        custom_call_api_version=1,
        legacy_backend_config=_config(problem, ops),
    )(*operands)


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


def _config(problem: Problem, ops: list[str]) -> str:
    axes = problem.axes
    image = {
        "dims": axes + 2,
        "data": {
            "batch_dim": 0,
            "feature_dim": axes + 1,
            "spatial_dims": list(range(1, axes + 1)),
        },
    }
    filters = {
        "input_feature_dim": axes,
        "output_feature_dim": axes + 1,
        "spatial_dims": list(range(axes)),
    }
    window = {
        "pad_left": [lo for lo, _ in problem.padding],
        "pad_right": [hi for _, hi in problem.padding],
        "strides": list(problem.stride),
        "window_dilations": list(problem.dilation),
    }
    config = {
        "dims": axes + 2,
        "input": image,
        "kernel": {"dims": axes + 2, "filter": filters},
        "output": image,
        "window": window,
        "feature_groups": problem.groups,
    }
    if ops:
        config["fusions"] = {"ops": ops}
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
        if kind == "depthwise":  # a tap's own work is that of so many outputs
            operations *= max(1, ROWS / columns)
        kind = f"thin {kind}"
    return Work(operations, traffic(problem), kind=kind)


ALGORITHM = Algorithm("onednn", refuses, work, run)
