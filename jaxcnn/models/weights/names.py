"""Names and layouts of other libraries: of each variable of a model, and of its values.

A library has a few rules for a family of networks (:data:`jaxcnn.models.published.Rules`): regular
expressions, applied in order to the dotted path of a module. The name of the variable itself and
the layout of its values follow from the kind of layer. What the rules give may end in marks:

    fc1@4            the weight has 4 axes there: a dense layer that is a 1x1 convolution in PyTorch
    classifier.0@2   2 axes: a convolution over all cells that is a linear layer there
    gamma=           the name is whole: ``weight`` or ``bias`` does not follow
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcnn.errors import InputError
from jaxcnn.ops.layouts import kernel_from_torch, kernel_to_torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxcnn.models.published import Rules

OWN = "jaxcnn"
"""The names and layouts of this package."""

VARIABLES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
"""PyTorch's names of variables."""

COUNT = "num_batches_tracked"
"""PyTorch's count of the batches that BatchNorm has seen, an int64 beside the running mean."""


@dataclass(frozen=True)
class Place:
    """Where a file has a variable of a model.

    Attributes:
      path: the variable's path in the model.
      shape: the shape of its values in the file.
      count: the key of the count beside a running mean; empty for other variables.
    """

    path: str
    shape: tuple[int, ...]
    count: str = ""


def variables(model: nnx.Module) -> dict[str, nnx.Variable]:
    """The parameters and running statistics of a model by their dotted paths.

    >>> from jaxcnn.nn import ConvNorm
    >>> list(variables(ConvNorm(3, 8, (3, 3), rngs=nnx.Rngs(0))))
    ['conv.kernel', 'norm.bias', 'norm.mean', 'norm.scale', 'norm.var']
    """
    found = nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat)))
    return {".".join(map(str, path)): variable for path, variable in found}


def replaced(state: nnx.State, values: Mapping[str, Any]) -> nnx.State:
    """The state with other values for the variables whose dotted paths ``values`` has.

    >>> from jaxcnn.nn import Dense
    >>> state = nnx.state(Dense(1, 2, rngs=nnx.Rngs(0)))
    >>> replaced(state, {"bias": np.ones(2, "float32")})["bias"][...]
    Array([1., 1.], dtype=float32)
    """
    return nnx.from_flat_state(
        [
            (path, variable.replace(jnp.asarray(values[dotted])) if dotted in values else variable)
            for path, variable in nnx.to_flat_state(state)
            for dotted in [".".join(map(str, path))]
        ]
    )


def torch_name(path: str, rules: Rules) -> str:
    """The name of a variable in another library.

    >>> torch_name("stem.norm.scale", ((r"^stem.norm", "bn1"),))
    'bn1.weight'
    >>> torch_name("gate.expand.kernel", ((r"gate.expand", "se.fc2@4"),))
    'se.fc2.weight'
    """
    return _marked(path, rules)[0]


def _marked(path: str, rules: Rules) -> tuple[str, int | None]:
    """The name of a variable, and the number of its axes there if a mark says it."""
    module, _, leaf = path.rpartition(".")
    for pattern, replacement in rules:
        module = re.sub(pattern, replacement, module)
    module, _, axes = module.partition("@")
    whole = module.endswith("=")
    name = module[:-1] if whole else f"{module}.{VARIABLES.get(leaf, leaf)}".lstrip(".")
    return name, int(axes) if axes else None


def places(model: nnx.Module, names: str, rules: Mapping[str, Rules]) -> dict[str, Place]:
    """Where a file has each variable of a model, by the file's keys.

    Args:
      model: the model; shapes are enough (``nnx.eval_shape``).
      names: a key of ``rules``, or "jaxcnn".
      rules: the rules of each library.

    Raises:
      InputError: if two variables have the same name, because the rules are not for this model.

    >>> from jaxcnn.nn import ConvNorm
    >>> block = ConvNorm(3, 8, (3, 3), rngs=nnx.Rngs(0))
    >>> places(block, "torch", {"torch": ((r"^norm", "bn"),)})["conv.weight"]
    Place(path='conv.kernel', shape=(8, 3, 3, 3), count='')
    """
    found: dict[str, Place] = {}
    for path, variable in variables(model).items():
        shape = tuple(variable.get_value().shape)
        if names == OWN:
            found[path] = Place(path, shape)
            continue
        name, axes = _marked(path, rules[names])
        if name in found:
            raise InputError(
                f"{found[name].path} and {path} have the same name in {names}, {name}; the rules "
                f"are those of another network"
            )
        module, _, leaf = name.rpartition(".")
        count = f"{module}.{COUNT}".lstrip(".") if leaf == VARIABLES["mean"] else ""
        leads = axes if axes and leaf != "bias" else None
        found[name] = Place(path, torch_shape(shape, path, leads), count)
    return found


def torch_shape(shape: tuple[int, ...], path: str, axes: int | None = None) -> tuple[int, ...]:
    """The shape of a variable's values in PyTorch.

    >>> torch_shape((5, 7, 3, 8), "conv.kernel"), torch_shape((32, 8), "dense.kernel", 4)
    ((8, 3, 5, 7), (8, 32, 1, 1))
    >>> torch_shape((7, 7, 512, 4096), "dense.kernel", 2)
    (4096, 25088)
    """
    if path.endswith("kernel"):
        shape = (shape[-1], shape[-2], *shape[:-2])
    if axes is None:
        return shape
    shape += (1,) * (axes - len(shape))
    return (*shape[: axes - 1], math.prod(shape[axes - 1 :]))


def from_torch(weight: np.ndarray, path: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of PyTorch in the layout of a variable with this path and shape.

    A kernel (A, B, *F) becomes (*F, B, A), and the matrix of a linear layer (out, in) becomes
    (in, out). The two also fit each other: a linear layer over all cells and channels is a
    convolution whose kernel covers them, and a 1x1 convolution over one cell is a dense layer.

    >>> from_torch(np.ones((8, 3, 5, 7)), "conv.kernel", (5, 7, 3, 8)).shape
    (5, 7, 3, 8)
    """
    if not path.endswith("kernel"):
        return weight.reshape(shape)
    weight = weight.reshape(torch_shape(shape, path))
    return weight.T if weight.ndim == 2 else kernel_from_torch(weight)


def to_torch(value: Any, path: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Values of a variable in the layout of PyTorch: the inverse of :func:`from_torch`.

    Args:
      value: the values.
      path: the variable's path.
      shape: the shape there; None for :func:`torch_shape` of the values' shape.

    >>> to_torch(np.ones((5, 7, 3, 8)), "conv.kernel").shape
    (8, 3, 5, 7)
    """
    array = np.asarray(jax.device_get(value))
    if path.endswith("kernel"):
        array = array.T if array.ndim == 2 else kernel_to_torch(array)
    return array if shape is None else array.reshape(shape)
