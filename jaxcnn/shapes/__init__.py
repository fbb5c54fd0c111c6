"""The shapes of operations: what each makes of the shapes of its arrays and of its arguments."""

from jaxcnn.shapes.adaptive import Bins, BinShapes, adaptive_shapes, global_shapes
from jaxcnn.shapes.causal import causal_shapes, causal_state_shape, causal_stream_shapes
from jaxcnn.shapes.conv import ConvShapes, conv_shapes
from jaxcnn.shapes.conv_transpose import conv_transpose_shapes
from jaxcnn.shapes.local import local_shapes
from jaxcnn.shapes.pad import pad_windows
from jaxcnn.shapes.pool import PoolShapes, pool_shapes
from jaxcnn.shapes.resample import ShuffleShapes, blur_shapes, shuffle_shapes, unshuffle_shapes
from jaxcnn.shapes.separable import depthwise_shapes, separable_shapes
from jaxcnn.shapes.unpool import UnpoolShapes, unpool_shapes

__all__ = [
    "BinShapes",
    "Bins",
    "ConvShapes",
    "PoolShapes",
    "ShuffleShapes",
    "UnpoolShapes",
    "adaptive_shapes",
    "blur_shapes",
    "causal_shapes",
    "causal_state_shape",
    "causal_stream_shapes",
    "conv_shapes",
    "conv_transpose_shapes",
    "depthwise_shapes",
    "global_shapes",
    "local_shapes",
    "pad_windows",
    "pool_shapes",
    "separable_shapes",
    "shuffle_shapes",
    "unpool_shapes",
    "unshuffle_shapes",
]
