"""Flax NNX layers and stacks of layers. Imports operations, shapes, geometry and inspect."""

from jaxcnn.nn.causal import CausalConv
from jaxcnn.nn.conv import Conv
from jaxcnn.nn.conv_transpose import ConvTranspose
from jaxcnn.nn.local import LocalConv
from jaxcnn.nn.pool import AvgPool, LpPool, MaxPool, MinPool
from jaxcnn.nn.separable import DepthwiseConv, SeparableConv
from jaxcnn.nn.stack import Residual, Stack

__all__ = [
    "AvgPool",
    "CausalConv",
    "Conv",
    "ConvTranspose",
    "DepthwiseConv",
    "LocalConv",
    "LpPool",
    "MaxPool",
    "MinPool",
    "Residual",
    "SeparableConv",
    "Stack",
]
