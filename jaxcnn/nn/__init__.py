"""Flax NNX layers and stacks of them. Imports operations and geometry, never training."""

from jaxcnn.nn.layers import AvgPool, Conv, MaxPool
from jaxcnn.nn.spec import ConvSpec, PoolSpec, parse, plan
from jaxcnn.nn.stack import Stack

__all__ = ["AvgPool", "Conv", "ConvSpec", "MaxPool", "PoolSpec", "Stack", "parse", "plan"]
