"""Flax NNX layers and stacks of layers. Imports operations, shapes, geometry and inspect."""

from jaxcnn.nn.adaptive import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    GlobalAvgPool,
    GlobalLpPool,
    GlobalMaxPool,
)
from jaxcnn.nn.causal import CausalConv
from jaxcnn.nn.conv import Conv
from jaxcnn.nn.conv_transpose import ConvTranspose
from jaxcnn.nn.deform import DeformConv
from jaxcnn.nn.local import LocalConv
from jaxcnn.nn.pool import AvgPool, LpPool, MaxPool, MinPool
from jaxcnn.nn.resample import BlurPool, PixelShuffle, PixelUnshuffle, Upsample
from jaxcnn.nn.separable import DepthwiseConv, SeparableConv
from jaxcnn.nn.stack import Residual, Stack
from jaxcnn.nn.unpool import MaxPoolWithIndices, MaxUnpool

__all__ = [
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AvgPool",
    "BlurPool",
    "CausalConv",
    "Conv",
    "ConvTranspose",
    "DeformConv",
    "DepthwiseConv",
    "GlobalAvgPool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "LocalConv",
    "LpPool",
    "MaxPool",
    "MaxPoolWithIndices",
    "MaxUnpool",
    "MinPool",
    "PixelShuffle",
    "PixelUnshuffle",
    "Residual",
    "SeparableConv",
    "Stack",
    "Upsample",
]
