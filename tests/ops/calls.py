"""One call of every public operation, for laws that hold for all of them.

A new operation must be added here, because the laws cover :data:`jaxcnn.ops.__all__`.
"""

from __future__ import annotations

import inspect
from functools import partial

import jax
import numpy as np

from jaxcnn import ops

X, KERNEL, BIAS = (8, 8, 8, 4), (3, 3, 4, 6), (6,)
WINDOW = {"kernel_size": (2, 2)}

# name: shapes of the arrays, other arguments, shapes of what is returned
CALLS = {
    "adaptive_avg_pool": ([X], {"output_size": (3, 3)}, [(8, 3, 3, 4)]),
    "adaptive_max_pool": ([X], {"output_size": (3, 3)}, [(8, 3, 3, 4)]),
    "avg_pool": ([X], WINDOW, [(8, 4, 4, 4)]),
    "blur_pool": ([X], {"rounding": "floor"}, [(8, 4, 4, 4)]),
    "causal_conv": ([(8, 8, 4), (3, 4, 6), BIAS], {}, [(8, 8, 6)]),
    "causal_conv_state": ([(3, 4, 6)], {"batch": 8}, [(8, 2, 4)]),
    "causal_conv_stream": ([(8, 8, 4), (8, 2, 4), (3, 4, 6), BIAS], {}, [(8, 8, 6), (8, 2, 4)]),
    "conv": ([X, KERNEL, BIAS], {"padding": 1}, [(8, 8, 8, 6)]),
    "conv_integer": ([X, KERNEL], {"padding": 1, "x_zero_point": 3}, [(8, 8, 8, 6)]),
    "conv_transpose": ([(8, 8, 8, 6), KERNEL, (4,)], {"stride": 2}, [(8, 17, 17, 4)]),
    "deform_conv": ([X, (8, 6, 6, 18), KERNEL, BIAS], {}, [(8, 6, 6, 6)]),
    "depthwise_conv": ([X, (3, 3, 4, 2), (8,)], {}, [(8, 6, 6, 8)]),
    "fold": (
        [(8, 6, 6, 36)],
        {"kernel_size": 3, "output_size": (8, 8)},
        [X],
    ),
    "global_avg_pool": ([X], {}, [(8, 4)]),
    "global_lp_pool": ([X], {}, [(8, 4)]),
    "global_max_pool": ([X], {}, [(8, 4)]),
    "kernel_from_keras": ([KERNEL], {}, [KERNEL]),
    "kernel_from_torch": ([(6, 4, 3, 3)], {}, [KERNEL]),
    "kernel_to_keras": ([KERNEL], {}, [KERNEL]),
    "kernel_to_torch": ([KERNEL], {}, [(6, 4, 3, 3)]),
    "local_conv": ([X, (6, 6, *KERNEL), (6, 6, 6)], {}, [(8, 6, 6, 6)]),
    "lp_pool": ([X], WINDOW, [(8, 4, 4, 4)]),
    "max_pool": ([X], WINDOW, [(8, 4, 4, 4)]),
    "max_pool_with_indices": ([X], WINDOW, [(8, 4, 4, 4)] * 2),
    "max_unpool": ([(8, 4, 4, 4)] * 2, {"output_size": (8, 8)}, [X]),
    "min_pool": ([X], WINDOW, [(8, 4, 4, 4)]),
    "pad": ([X], {"padding": 1, "padding_mode": "reflect"}, [(8, 10, 10, 4)]),
    "pixel_shuffle": ([X], {"factor": 2}, [(8, 16, 16, 1)]),
    "pixel_unshuffle": ([X], {"factor": 2}, [(8, 4, 4, 16)]),
    "quantized_conv": (
        [X, KERNEL, BIAS],
        {"padding": 1, "x_scale": 0.5, "kernel_scale": 0.25, "y_scale": 2.0},
        [(8, 8, 8, 6)],
    ),
    "separable_conv": ([X, (3, 3, 4, 2), (1, 1, 8, 6), BIAS], {}, [(8, 6, 6, 6)]),
    "upsample": ([X], {"output_size": (16, 12), "method": "linear"}, [(8, 16, 12, 4)]),
    "unfold": ([X], {"kernel_size": (3, 3)}, [(8, 6, 6, 36)]),
}
INTEGERS = {
    "conv_integer": (["int8", "int8"], "int32"),
    "quantized_conv": (["int8", "int8", "int32"], "int8"),
}
"""The dtypes of arrays and result of the operations that only integers have."""
BATCHED = {"causal_conv_stream": (0, 1), "deform_conv": (0, 1), "max_unpool": (0, 1)}
"""The arrays with a batch axis, if it is not only the first."""
NEVER_BATCHED = {"causal_conv_state", *(name for name in CALLS if name.startswith("kernel"))}


def call_of(forms, name):
    """The operation of ``ops`` or ``reference`` with its other arguments."""
    return partial(getattr(forms, name), **CALLS[name][1])


def drawn(name, dtype, draw):
    """Arrays for the call from ``draw(shape)``, except indices; see also INTEGERS."""
    arrays = [np.asarray(draw(shape)).astype(dtype) for shape in CALLS[name][0]]
    if name in INTEGERS:
        return [a.astype(own) for a, own in zip(arrays, INTEGERS[name][0], strict=True)]
    if name == "max_unpool":
        shape = CALLS[name][0][1]
        arrays[1] = np.random.default_rng(0).integers(0, 64, shape).astype("int32")
    return arrays


def typed(name, dtype):
    """The types of the call's arrays, and those of its results."""
    shapes, _, returned = CALLS[name]
    if name in INTEGERS:
        own, result = INTEGERS[name]
        arrays = [jax.ShapeDtypeStruct(*each) for each in zip(shapes, own, strict=True)]
        return arrays, [jax.ShapeDtypeStruct(returned[0], result)]
    arrays = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    returns = [jax.ShapeDtypeStruct(shape, dtype) for shape in returned]
    if name == "max_unpool":
        arrays[1] = jax.ShapeDtypeStruct(shapes[1], "int32")
    if name == "max_pool_with_indices":
        returns[1] = jax.ShapeDtypeStruct(returned[1], "int32")
    return arrays, returns


def arguments_of(name, dtype, draw):
    """All arguments of the call by their names: the arrays, then the others."""
    names = inspect.signature(getattr(ops, name)).parameters
    return dict(zip(names, drawn(name, dtype, draw), strict=False)) | CALLS[name][1]
