"""Flax NNX layers and stacks of them. Imports operations and geometry, never training."""

from jaxcnn.nn.causal import CausalConv
from jaxcnn.nn.convolutions import ConvTranspose, DepthwiseConv, LocalConv, SeparableConv
from jaxcnn.nn.layers import AvgPool, Conv, MaxPool
from jaxcnn.nn.spec import ConvSpec, PoolSpec, parse, plan
from jaxcnn.nn.stack import Stack

__all__ = [
    "AvgPool",
    "CausalConv",
    "Conv",
    "ConvSpec",
    "ConvTranspose",
    "DepthwiseConv",
    "LocalConv",
    "MaxPool",
    "PoolSpec",
    "SeparableConv",
    "Stack",
    "parse",
    "plan",
]
