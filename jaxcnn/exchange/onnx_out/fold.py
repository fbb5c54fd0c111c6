"""Batch normalisation folded into the convolution before it, and means that were sums.

In evaluation mode it multiplies each channel by a constant and adds another, so that

    (conv(x, w) + b) * a + c = conv(x, w*a) + (b*a + c)

The graph is searched for such additions and multiplications behind a convolution, whatever layer
they come from. The new numbers are computed in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from jaxcnn.exchange.onnx_out.graph import Graph, Node

_AFFINE = ("Add", "Sub", "Mul", "Div")
_ARRANGING = ("Reshape", "Squeeze", "Transpose", "Unsqueeze")


@dataclass
class _Affine:
    """The function y * factor + term of a convolution's output, each of shape (channels,)."""

    factor: np.ndarray
    term: np.ndarray

    def then(self, operator: str, number: np.ndarray, is_first: bool) -> None:
        """Applies y (operator) number, or number (operator) y."""
        if operator == "Mul":
            self.factor, self.term = self.factor * number, self.term * number
        elif operator == "Div":
            self.factor, self.term = self.factor / number, self.term / number
        elif operator == "Sub" and is_first:
            self.factor, self.term = -self.factor, number - self.term
        else:
            self.term = self.term + (number if operator == "Add" else -number)


class _Step(NamedTuple):
    """A node behind a convolution, the name of its constant, and the constant by channel."""

    node: Node
    other: str
    number: np.ndarray


def fold(graph: Graph, outputs: Collection[str]) -> None:
    """Folds what follows convolutions into them; ``outputs`` are the tensors of the outputs."""
    outputs = set(outputs)
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    removed: set[int] = set()
    for conv in graph.nodes:
        if conv.operator not in ("Conv", "ConvTranspose") or conv.inputs[1] not in graph.arrays:
            continue
        chain = _chain(graph, conv, readers, outputs)
        if chain:
            _absorb(graph, conv, chain)
            conv.outputs = chain[-1].node.outputs
            removed.update(id(step.node) for step in chain)
    graph.nodes = [node for node in graph.nodes if id(node) not in removed]
    idle = _means(graph, readers, outputs)
    graph.nodes = [node for node in graph.nodes if id(node) not in idle]


def _means(graph: Graph, readers: dict[str, list[Node]], outputs: set[str]) -> set[int]:
    """Makes means of sums that are divided by their count; the ids of the nodes then idle.

    A sum of windows is AveragePool times their count. Between a sum and the division there may be
    nodes that only arrange entries.
    """
    made = {node.outputs[0]: node for node in graph.nodes}
    found: set[int] = set()
    for division in graph.nodes:
        divisor = graph.arrays.get(division.inputs[-1])
        if division.operator != "Div" or divisor is None or divisor.size != 1:
            continue
        node = made.get(division.inputs[0])
        while node and node.operator in _ARRANGING and _is_inner(node, readers, outputs):
            node = made.get(node.inputs[0])
        if node is None or not _is_inner(node, readers, outputs):
            continue
        last = made[division.inputs[0]]
        if node.operator == "ReduceSum" and graph.counts.get(node.outputs[0]) == divisor.item():
            node.operator = "ReduceMean"
        elif pool := _averaged(graph, node, made, divisor.item()):
            pool.outputs = node.outputs
            last = pool if last is node else last
            found.add(id(node))
        else:
            continue
        last.outputs = division.outputs
        found.add(id(division))
    return found


def _averaged(graph: Graph, node: Node, made: dict[str, Node], count: float) -> Node | None:
    """The pool whose averages the node multiplies by their count."""
    pool, factor = made.get(node.inputs[0]), graph.arrays.get(node.inputs[-1])
    is_count = factor is not None and factor.size == 1 and factor.item() == count
    is_sum = node.operator == "Mul" and pool is not None and pool.operator == "AveragePool"
    return pool if is_sum and is_count else None


def _is_inner(node: Node, readers: dict[str, list[Node]], outputs: set[str]) -> bool:
    """Whether one node reads the node's output, and nothing else does."""
    return len(readers.get(node.outputs[0], ())) == 1 and node.outputs[0] not in outputs


def _chain(
    graph: Graph, conv: Node, readers: dict[str, list[Node]], outputs: Collection[str]
) -> list[_Step]:
    """The nodes behind a convolution, one behind the other, that are affine in each channel."""
    rank, channels = graph.arrays[conv.inputs[1]].ndim, _channels(graph, conv)
    found: list[_Step] = []
    name = conv.outputs[0]
    while name not in outputs and len(readers.get(name, ())) == 1:
        (node,) = readers[name]
        if node.operator not in _AFFINE or node.inputs[0] == node.inputs[1]:
            break
        other = node.inputs[1 - node.inputs.index(name)]
        array = graph.arrays.get(other)
        number = None if array is None else _by_channel(array, rank, channels)
        is_divisor = node.operator == "Div" and (node.inputs[1] == name or not np.all(number))
        if number is None or is_divisor:
            break
        found.append(_Step(node, other, number))
        name = node.outputs[0]
    return found


def _channels(graph: Graph, conv: Node) -> int:
    shape = graph.arrays[conv.inputs[1]].shape
    if conv.operator == "Conv":
        return shape[0]
    return shape[1] * conv.attributes.get("group", 1)


def _by_channel(array: np.ndarray, rank: int, channels: int) -> np.ndarray | None:
    """The array as one number a channel of (N, C, *spatial); None if it differs elsewhere."""
    if array.size == 1:
        return np.full(channels, array.reshape(()), np.float64)
    if array.ndim == rank and array.shape == (1, channels, *(1,) * (rank - 2)):
        return array.reshape(channels).astype(np.float64)
    return None


def _absorb(graph: Graph, conv: Node, chain: Sequence[_Step]) -> None:
    x, name, *biases = conv.inputs
    weights = graph.arrays[name]
    channels = _channels(graph, conv)
    affine = _Affine(np.ones(channels), np.zeros(channels))
    for bias in biases:
        affine.term = graph.arrays[bias].astype(np.float64)
    for node, other, number in chain:
        affine.then(node.operator, number, is_first=node.inputs[0] == other)
    wide = weights.astype(np.float64)
    if conv.operator == "Conv":
        scaled = wide * affine.factor.reshape(-1, *(1,) * (wide.ndim - 1))
    else:
        groups = conv.attributes.get("group", 1)
        by_group = wide.reshape(groups, -1, *wide.shape[1:])
        factor = affine.factor.reshape(groups, 1, -1, *(1,) * (wide.ndim - 2))
        scaled = (by_group * factor).reshape(wide.shape)
    kernel = graph.array(scaled.astype(weights.dtype), name)
    bias = graph.array(affine.term.astype(weights.dtype), _bias_name(name, chain[-1].other))
    conv.inputs = (x, kernel, bias)


def _bias_name(kernel: str, added: str) -> str:
    """The path of the added parameter, or the one beside the kernel's."""
    if not added.startswith("constant"):
        return added
    module, dot, _ = kernel.rpartition(".")
    return f"{module}{dot}bias"
