"""Checks of an operation's arrays and arguments, and the shapes that follow from them.

Each operation has two functions here:

- one with the operation's name, ``shapes.max_pool(x, kernel_size, ...)``, for the fast
  implementation and the reference. It checks a call and returns a common form: arrays of one dtype,
  x with a batch axis, and the shapes, whose ``restore`` gives the result the form of the caller's
  x. Errors begin with the operation's name.
- one on integers, ``pool_shapes(x.shape, kernel_size, ...)``, for code that needs only sizes.

This package imports the geometry and does not know how an operation is computed.
"""

from jaxcnn.shapes.adaptive import (
    Bins,
    BinShapes,
    adaptive_avg_pool,
    adaptive_max_pool,
    adaptive_shapes,
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
    global_shapes,
)
from jaxcnn.shapes.arrays import Sharding, sum_dtype, widened
from jaxcnn.shapes.causal import (
    causal_conv,
    causal_conv_state,
    causal_conv_stream,
    causal_shapes,
    causal_state_shape,
    causal_stream_shapes,
)
from jaxcnn.shapes.conv import ConvShapes, conv, conv_shapes
from jaxcnn.shapes.conv_transpose import conv_transpose, conv_transpose_shapes
from jaxcnn.shapes.deform import DeformShapes, deform_conv, deform_shapes
from jaxcnn.shapes.fold import FoldShapes, fold, fold_shapes, unfold, unfold_shapes
from jaxcnn.shapes.local import local_conv, local_shapes
from jaxcnn.shapes.operation import Edge, OperationShapes, WindowShapes
from jaxcnn.shapes.pad import pad, pad_shapes
from jaxcnn.shapes.pool import PoolShapes, avg_pool, lp_pool, max_pool, min_pool, pool_shapes
from jaxcnn.shapes.quantized import conv_integer, quantized_conv
from jaxcnn.shapes.resample import (
    ShuffleShapes,
    blur_pool,
    blur_shapes,
    pixel_shuffle,
    pixel_unshuffle,
    shuffle_shapes,
    unshuffle_shapes,
)
from jaxcnn.shapes.separable import (
    SeparableShapes,
    depthwise_conv,
    depthwise_shapes,
    separable_conv,
    separable_shapes,
)
from jaxcnn.shapes.unpool import UnpoolShapes, max_pool_with_indices, max_unpool, unpool_shapes
from jaxcnn.shapes.upsample import Factor, Resized, UpsampleShapes, upsample, upsample_shapes

__all__ = [
    "BinShapes",
    "Bins",
    "ConvShapes",
    "DeformShapes",
    "Edge",
    "Factor",
    "FoldShapes",
    "OperationShapes",
    "PoolShapes",
    "Resized",
    "SeparableShapes",
    "Sharding",
    "ShuffleShapes",
    "UnpoolShapes",
    "UpsampleShapes",
    "WindowShapes",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "adaptive_shapes",
    "avg_pool",
    "blur_pool",
    "blur_shapes",
    "causal_conv",
    "causal_conv_state",
    "causal_conv_stream",
    "causal_shapes",
    "causal_state_shape",
    "causal_stream_shapes",
    "conv",
    "conv_integer",
    "conv_shapes",
    "conv_transpose",
    "conv_transpose_shapes",
    "deform_conv",
    "deform_shapes",
    "depthwise_conv",
    "depthwise_shapes",
    "fold",
    "fold_shapes",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "global_shapes",
    "local_conv",
    "local_shapes",
    "lp_pool",
    "max_pool",
    "max_pool_with_indices",
    "max_unpool",
    "min_pool",
    "pad",
    "pad_shapes",
    "pixel_shuffle",
    "pixel_unshuffle",
    "pool_shapes",
    "quantized_conv",
    "separable_conv",
    "separable_shapes",
    "shuffle_shapes",
    "sum_dtype",
    "unfold",
    "unfold_shapes",
    "unpool_shapes",
    "unshuffle_shapes",
    "upsample",
    "upsample_shapes",
    "widened",
]
