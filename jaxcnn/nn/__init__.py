"""Flax NNX layers and stacks of layers. Imports operations, shapes, geometry and inspect."""

from jaxcnn.nn.adaptive import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    GlobalAvgPool,
    GlobalLpPool,
    GlobalMaxPool,
)
from jaxcnn.nn.blocks import ConvNorm, SqueezeExcite
from jaxcnn.nn.causal import CausalConv
from jaxcnn.nn.conv import Conv
from jaxcnn.nn.conv_transpose import ConvTranspose
from jaxcnn.nn.deform import DeformConv
from jaxcnn.nn.dense import Dense
from jaxcnn.nn.local import LocalConv
from jaxcnn.nn.norm import BatchNorm, LayerNorm
from jaxcnn.nn.pool import AvgPool, LpPool, MaxPool, MinPool
from jaxcnn.nn.resample import BlurPool, PixelShuffle, PixelUnshuffle, Upsample
from jaxcnn.nn.separable import DepthwiseConv, SeparableConv
from jaxcnn.nn.stack import Residual, Stack
from jaxcnn.nn.unpool import MaxPoolWithIndices, MaxUnpool

__all__ = [
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AvgPool",
    "BatchNorm",
    "BlurPool",
    "CausalConv",
    "Conv",
    "ConvNorm",
    "ConvTranspose",
    "DeformConv",
    "Dense",
    "DepthwiseConv",
    "GlobalAvgPool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "LayerNorm",
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
    "SqueezeExcite",
    "Stack",
    "Upsample",
]
