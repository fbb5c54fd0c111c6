"""The definitions, from scratch: written to be read and believed, not to be fast.

Each function has the name and signature of its twin in :mod:`jaxcnn.ops`. It is written in plain
``jax.numpy``, with loops over the kernel's taps in the order of the definition, and calls none of
JAX's convolutions and pools. Autodiff differentiates it. Twins share only the checks of their
arguments, :mod:`jaxcnn.shapes`, and are compared in tests.
"""

from jaxcnn.reference.adaptive import (
    adaptive_avg_pool,
    adaptive_max_pool,
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
)
from jaxcnn.reference.causal import causal_conv, causal_conv_state, causal_conv_stream
from jaxcnn.reference.conv import conv
from jaxcnn.reference.conv_transpose import conv_transpose
from jaxcnn.reference.deform import deform_conv
from jaxcnn.reference.fold import fold, unfold
from jaxcnn.reference.local import local_conv
from jaxcnn.reference.pad import pad
from jaxcnn.reference.pool import avg_pool, lp_pool, max_pool, min_pool
from jaxcnn.reference.quantized import conv_integer, quantized_conv
from jaxcnn.reference.resample import blur_pool, pixel_shuffle, pixel_unshuffle
from jaxcnn.reference.separable import depthwise_conv, separable_conv
from jaxcnn.reference.unpool import max_pool_with_indices, max_unpool
from jaxcnn.reference.upsample import upsample

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
