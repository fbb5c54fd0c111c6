"""An ONNX graph while it is built: nodes, arrays by name, and sizes that depend on the batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

END = 2**63 - 1
"""An end of a slice beyond every size."""


@dataclass
class Node:
    """A node: the outputs of an operator, by their names."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


class Graph:
    """Nodes in the order in which they are computed, and arrays.

    Attributes:
      nodes: the nodes.
      arrays: the initialisers, by name.
      batch: the symbolic size of the batch.
      images: the name of the input, whose first axis is the batch.
      counts: how many entries each entry of a sum is the sum of, by the sum's tensor.
    """

    def __init__(self, images: str, outputs: Iterable[str], batch: Any) -> None:
        self.nodes: list[Node] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.counts: dict[str, int] = {}
        self.images, self.batch = images, batch
        self._names = {images, *outputs}
        self._wanted: dict[str, str] = {}
        self._made: dict[Any, tuple[str, ...]] = {}

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The output of a node with one output; an equal node is not made twice."""
        return self.nodes_of(operator, inputs, 1, attributes)[0]

    def nodes_of(
        self, operator: str, inputs: Iterable[str], outputs: int, attributes: dict[str, Any]
    ) -> tuple[str, ...]:
        """The outputs of a node."""
        inputs = tuple(inputs)
        key = (operator, inputs, outputs, tuple(sorted(attributes.items())))
        if key not in self._made:
            names = tuple(self.unused(operator.lower()) for _ in range(outputs))
            self.nodes.append(Node(operator, inputs, names, attributes))
            self._made[key] = names
        return self._made[key]

    def array(self, array: np.ndarray, name: str = "constant") -> str:
        """The name of an initialiser; equal arrays of one name are stored once."""
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        key = ("", name, array.dtype.name, array.shape, sha256(array.tobytes()).digest())
        if key not in self._made:
            self._made[key] = (self.unused(name),)
            self.arrays[self._made[key][0]] = array
        return self._made[key][0]

    def ints(self, numbers: Iterable[int]) -> str:
        """The name of a vector of int64."""
        return self.array(np.array(list(numbers), np.int64), "ints")

    def sizes(self, dims: Sequence[Any]) -> str:
        """The name of a vector with these sizes, which may be multiples of the batch."""
        if all(isinstance(dim, int) for dim in dims):
            return self.ints(dims)
        return self.node("Concat", *map(self._size, dims), axis=0)

    def target(self, dims: Sequence[Any]) -> str:
        """Like :meth:`sizes`, for Reshape, which finds one unknown size by itself."""
        found = [dim if isinstance(dim, int) else -1 for dim in dims]
        if found.count(-1) == 1:
            return self.ints(found)
        return self.sizes(dims)

    def _size(self, dim: Any) -> str:
        if isinstance(dim, int):
            return self.ints([dim])
        batch = self.node("Shape", self.images, start=0, end=1)
        factor = dim // self.batch
        if dim == self.batch:
            return batch
        if isinstance(factor, int) and factor * self.batch == dim:
            return self.node("Mul", batch, self.ints([factor]))
        raise InputError(f"the size {dim} is not a multiple of the batch size {self.batch}")

    def unused(self, name: str) -> str:
        """The name, with a number behind it if it is taken."""
        found, number = name, 0
        while found in self._names:
            number += 1
            found = f"{name}_{number}"
        self._names.add(found)
        self._wanted[found] = name
        return found

    def finish(self, outputs: Mapping[str, str]) -> None:
        """Names the outputs, name -> tensor, and removes what none of them needs."""
        made = {name for node in self.nodes for name in node.outputs}
        renamed: dict[str, str] = {}
        for name, tensor in outputs.items():
            if tensor in made and tensor not in renamed:
                renamed[tensor] = name
            else:  # an input, a constant, or the tensor of two outputs
                self.nodes.append(Node("Identity", (tensor,), (name,)))
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            node.inputs, node.outputs = (
                tuple(renamed.get(name, name) for name in names)
                for names in (node.inputs, node.outputs)
            )
            if needed.intersection(node.outputs):
                kept.append(node)
                needed.update(node.inputs)
        self.nodes = kept[::-1]
        self._name_arrays({name: array for name, array in self.arrays.items() if name in needed})

    def _name_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Keeps these arrays; a number behind a name is dropped if the name became free."""
        shorter: dict[str, str] = {}
        for name in arrays:
            base = self._wanted.get(name, name)
            free = base not in arrays and base not in shorter.values()
            shorter[name] = base if free else name
        self.arrays = {shorter[name]: array for name, array in arrays.items()}
        for node in self.nodes:
            node.inputs = tuple(shorter.get(name, name) for name in node.inputs)
