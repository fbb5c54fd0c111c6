"""Everything that training changes, and a network as pure functions of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn.errors import InputError
from jaxcnn.models.weights.names import replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import optax


class TrainState(NamedTuple):
    """Everything that training changes.

    The place in the data and every random draw of a step follow from the step and the settings, so
    a state and its settings are the whole of a run.
    """

    step: jax.Array  # (), int32: the steps done; ~step after a loss or gradient that is not finite
    params: Any  # the parameters, nnx.Param
    rest: Any  # the other variables: statistics of BatchNorm, keys of Dropout
    opt_state: optax.OptState
    average: Any  # the averaged parameters and statistics; () without an average


class Network(NamedTuple):
    """A module as pure functions; its arrays are elsewhere.

    Attributes:
      build: () -> module, with its initial arrays.
      training, inference: the structure of the module in each mode.
    """

    build: Callable[[], nnx.Module]
    training: nnx.GraphDef
    inference: nnx.GraphDef

    def variables(self, values: Mapping[str, Any] | None = None) -> tuple[nnx.State, nnx.State]:
        """The initial parameters, and the other variables; floats of 16 bits become float32.

        Args:
          values: others to begin with, by the dotted paths of variables.
        """
        parts = split(self.build(), train=True)[1:]
        if values:
            parts = tuple(replaced(part, values) for part in parts)
        return jax.tree.map(_widened, parts)

    def train(self, params: Any, rest: Any, x: jax.Array) -> tuple[jax.Array, Any]:
        """The output of a batch in training mode, and the variables that it changed."""
        module = nnx.merge(self.training, params, rest, copy=True)
        y = module(x)  # type: ignore[operator]  # make_network has checked that it is callable
        return y, split(module, train=True)[2]

    def infer(self, params: Any, rest: Any, x: jax.Array) -> jax.Array:
        """The output of a batch in evaluation mode."""
        return nnx.merge(self.inference, params, rest, copy=True)(x)  # type: ignore[operator]


def make_network(build: Callable[[], nnx.Module], dtype: Any) -> Network:
    """The pure functions of the module that ``build`` makes, computing in ``dtype``.

    Parameters and images come in that dtype; a layer with a ``dtype`` that is None is given it as
    well, because Flax's BatchNorm would go on in the dtype of its statistics, float32.

    Raises:
      TypeError: if it makes anything but a callable NNX module.
    """
    module = nnx.eval_shape(build)
    if not (isinstance(module, nnx.Module) and callable(module)):
        raise TypeError(
            f"model must be a Flax NNX module that can be called with images (N, H, W, C), got "
            f"{type(module).__name__}"
        )
    if dtype != jnp.float32:
        for _, layer in nnx.iter_modules(module):
            if vars(layer).get("dtype", dtype) is None:
                layer.dtype = dtype  # type: ignore[attr-defined]
    return Network(build, split(module, train=True)[0], split(module, train=False)[0])


def split(module: nnx.Module, *, train: bool) -> tuple[nnx.GraphDef, nnx.State, nnx.State]:
    """Structure, parameters and other variables, in training or evaluation mode.

    Values that layers record with ``sow`` are left out: they are not part of the network.
    """
    module.train() if train else module.eval()
    nnx.pop(module, nnx.Intermediate)
    graph, params, rest = nnx.split(module, nnx.Param, ...)
    return graph, params, rest


def cast(tree: Any, dtype: Any) -> Any:
    """The tree with its floating-point arrays in ``dtype``."""
    return jax.tree.map(lambda a: a.astype(dtype) if _is_floating(a) else a, tree)


def blend(average: Any, new: Any, share: jax.Array) -> Any:
    """``average`` moved by ``share`` of the way to ``new``; what is not a float becomes new."""

    def of(old: jax.Array, value: jax.Array) -> jax.Array:
        return old + share.astype(old.dtype) * (value - old) if _is_floating(old) else value

    return jax.tree.map(of, average, new)


def largest_by_layer(grads: Any) -> dict[str, float]:
    """The largest absolute gradient of each parameter, largest first; NaN counts as largest."""
    leaves = jax.tree_util.tree_leaves_with_path(grads)
    found = {_path(path): float(jnp.abs(leaf).max()) for path, leaf in leaves}
    return dict(sorted(found.items(), key=lambda item: -_rank(item[1])))


def _rank(value: float) -> float:
    return float("inf") if value != value else value  # NaN


def _path(path: Any) -> str:
    names = [str(getattr(key, "key", getattr(key, "name", key))) for key in path]
    return ".".join(name for name in names if name != "value")  # the array of an nnx.Variable


def count_parameters(params: Any) -> int:
    """The number of parameters in a tree of arrays, concrete or abstract."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def check_network(network: Network, image_shape: tuple[int, ...], classes: int) -> None:
    """Raises if the network cannot be trained to turn images (N, H, W, C) into (N, classes).

    Axes of size 1 between the two are allowed, as those of a last convolution.

    Raises:
      InputError: (a ValueError) with the shape it gives, the error it raises in training or
        evaluation, or the parameters that are no floats.
    """
    params, rest = jax.eval_shape(network.variables)
    leaves = jax.tree_util.tree_leaves_with_path(params)
    whole = [f"{_path(path)} ({leaf.dtype})" for path, leaf in leaves if not _is_floating(leaf)]
    if whole:
        raise InputError(
            f"model has parameters that are no floats: {', '.join(whole)}; make them nnx.Variable, "
            f"which is not trained"
        )
    x = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    mode = "training"
    try:
        jax.eval_shape(network.train, params, rest, x)
        mode = "evaluation"
        y = jax.eval_shape(network.infer, params, rest, x)
    except InputError:
        raise
    except Exception as error:  # of any kind, from a person's module
        first = str(error).partition("\n")[0]
        raise InputError(
            f"model does not accept images of shape {x.shape} in {mode}: {type(error).__name__}: "
            f"{first}"
        ) from error
    shape = getattr(y, "shape", None)
    if shape is None or shape[:1] != (2,) or [n for n in shape[1:] if n != 1] != [classes]:
        raise InputError(
            f"model turns images {x.shape} into {shape}, but must give a number for each of the "
            f"{classes} classes, (2, {classes})"
        )


def _widened(leaf: jax.Array) -> jax.Array:
    return leaf.astype(jnp.float32) if _is_floating(leaf) and leaf.dtype.itemsize < 4 else leaf


def _is_floating(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)
