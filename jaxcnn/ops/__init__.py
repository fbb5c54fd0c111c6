"""Operations on arrays: pure functions, checked by :mod:`jaxcnn.shapes`, computed fast.

Each operation has a from-scratch twin of the same name and signature in :mod:`jaxcnn.reference`,
which is never imported here. This package imports geometry, shapes and convolve.
"""

from jaxcnn.ops.adaptive import (
    adaptive_avg_pool,
    adaptive_max_pool,
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
)
from jaxcnn.ops.causal import causal_conv, causal_conv_state, causal_conv_stream
from jaxcnn.ops.conv import conv
from jaxcnn.ops.conv_transpose import conv_transpose
from jaxcnn.ops.deform import deform_conv
from jaxcnn.ops.fold import fold, unfold
from jaxcnn.ops.layouts import (
    kernel_from_keras,
    kernel_from_torch,
    kernel_to_keras,
    kernel_to_torch,
)
from jaxcnn.ops.local import local_conv
from jaxcnn.ops.pad import pad
from jaxcnn.ops.pool import avg_pool, lp_pool, max_pool, min_pool
from jaxcnn.ops.quantized import conv_integer, quantized_conv
from jaxcnn.ops.resample import blur_pool, pixel_shuffle, pixel_unshuffle
from jaxcnn.ops.separable import depthwise_conv, separable_conv
from jaxcnn.ops.unpool import max_pool_with_indices, max_unpool
from jaxcnn.ops.upsample import upsample

__all__ = [
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "blur_pool",
    "causal_conv",
    "causal_conv_state",
    "causal_conv_stream",
    "conv",
    "conv_integer",
    "conv_transpose",
    "deform_conv",
    "depthwise_conv",
    "fold",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "kernel_from_keras",
    "kernel_from_torch",
    "kernel_to_keras",
    "kernel_to_torch",
    "local_conv",
    "lp_pool",
    "max_pool",
    "max_pool_with_indices",
    "max_unpool",
    "min_pool",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "quantized_conv",
    "separable_conv",
    "unfold",
    "upsample",
]
