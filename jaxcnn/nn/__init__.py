"""Flax NNX layers and stacks of layers. Imports operations, shapes, geometry and inspect."""

from jaxcnn.nn.blocks import ConvNorm, SqueezeExcite
from jaxcnn.nn.causal import CausalConv
from jaxcnn.nn.conv import Conv
from jaxcnn.nn.conv_transpose import ConvTranspose
from jaxcnn.nn.dense import Dense
from jaxcnn.nn.local import LocalConv
from jaxcnn.nn.norm import BatchNorm, LayerNorm
from jaxcnn.nn.pool import AvgPool, LpPool, MaxPool, MinPool
from jaxcnn.nn.separable import DepthwiseConv, SeparableConv
from jaxcnn.nn.stack import Residual, Stack

__all__ = [
    "AvgPool",
    "BatchNorm",
    "CausalConv",
    "Conv",
    "ConvNorm",
    "ConvTranspose",
    "Dense",
    "DepthwiseConv",
    "LayerNorm",
    "LocalConv",
    "LpPool",
    "MaxPool",
    "MinPool",
    "Residual",
    "SeparableConv",
    "SqueezeExcite",
    "Stack",
]
