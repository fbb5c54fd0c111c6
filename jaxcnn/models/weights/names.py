"""Names and layouts of other libraries: of each variable of a model, and of its values.

A library has a few rules for a family of networks (:data:`jaxcnn.models.published.Rules`): regular
expressions, applied in order to the dotted path of a module. The name of the variable itself and
the layout of its values follow from the kind of layer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from flax import nnx

from jaxcnn.ops.layouts import kernel_from_torch, kernel_to_torch

if TYPE_CHECKING:
    from jaxcnn.models.published import Rules

VARIABLES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
"""PyTorch's names of variables."""


def variables(model: nnx.Module) -> dict[str, nnx.Variable]:
    """The parameters and running statistics of a model by their dotted paths.

    >>> from jaxcnn.nn import ConvNorm
    >>> list(variables(ConvNorm(3, 8, (3, 3), rngs=nnx.Rngs(0))))
    ['conv.kernel', 'norm.bias', 'norm.mean', 'norm.scale', 'norm.var']
    """
    found = nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat)))
    return {".".join(map(str, path)): variable for path, variable in found}


def torch_name(path: str, rules: Rules) -> str:
    """The name of a variable in another library.

    >>> torch_name("stem.norm.scale", ((r"^stem.norm", "bn1"),))
    'bn1.weight'
    """
    module, _, leaf = path.rpartition(".")
    for pattern, replacement in rules:
        module = re.sub(pattern, replacement, module)
    return f"{module}.{VARIABLES.get(leaf, leaf)}".lstrip(".")


def from_torch(weight: np.ndarray, path: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of PyTorch in the layout of a variable with this path and shape.

    A kernel (A, B, *F) becomes (*F, B, A), and the matrix of a linear layer (out, in) becomes
    (in, out). The two also fit each other: a linear layer over all cells and channels is a
    convolution whose kernel covers them, and a 1x1 convolution over one cell is a dense layer.

    >>> from_torch(np.ones((8, 3, 5, 7)), "conv.kernel", (5, 7, 3, 8)).shape
    (5, 7, 3, 8)
    """
    if not path.endswith("kernel"):
        return weight
    if weight.ndim == 2 and len(shape) > 2:
        weight = weight.reshape(shape[-1], shape[-2], *shape[:-2])
    if len(shape) == 2 and weight.ndim > 2:
        weight = weight.reshape(weight.shape[:2])
    return weight.T if weight.ndim == 2 else kernel_from_torch(weight)


def to_torch(value: Any, path: str) -> np.ndarray:
    """Values of a variable in the layout of PyTorch: the inverse of :func:`from_torch`.

    >>> to_torch(np.ones((5, 7, 3, 8)), "conv.kernel").shape
    (8, 3, 5, 7)
    """
    array = np.asarray(jax.device_get(value))
    if not path.endswith("kernel"):
        return array
    return array.T if array.ndim == 2 else kernel_to_torch(array)
