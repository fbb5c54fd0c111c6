"""A network of the package and its rival in PyTorch with the same weights: what each computes.

Everything is compared in PyTorch's layouts and under its names. ReLU in place is no trouble: the
maps are copied when they are computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from torch.nn import functional

from jaxcnn.models.weights.names import from_torch, places, to_torch, torch_name, variables
from tests.models.formula import weight

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxcnn.models.published import Rules

Arrays = dict[str, np.ndarray]

EXAMPLES, STEPS, RATE = 4, 3, 0.001
"""The batch size, the number of training steps, and their learning rate."""

SMALLEST = 1e-4


@dataclass(frozen=True)
class Outcome:
    """What a network computes from one batch.

    Attributes:
      evaluation: the logits and each stage's map, in evaluation mode.
      gradients: of the loss of the first training step, by parameter.
      trained: parameters and running statistics after :data:`STEPS` steps of plain descent.
    """

    evaluation: Arrays
    gradients: Arrays
    trained: Arrays


@dataclass(frozen=True)
class Batch:
    """Images (N, *spatial, C), and labels (N,) or, if the network gives none, a target like y."""

    images: np.ndarray
    target: np.ndarray

    @classmethod
    def drawn(cls, shape: tuple[int, ...], output: tuple[int, ...], seed: int = 0) -> Batch:
        """A batch for inputs of this shape; ``output`` is that of the network, channels last."""
        draws = np.random.default_rng(seed)
        images = draws.normal(size=(EXAMPLES, *shape)).astype("float32")
        if len(output) > 2:
            return cls(images, draws.normal(size=output).astype("float32"))
        return cls(images, draws.integers(output[-1], size=EXAMPLES))


def fill_torch(network: torch.nn.Module) -> None:
    """Gives all weights and statistics the values of the formula."""
    for name, value in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            value.copy_(torch.tensor(weight(name, tuple(value.shape))))


def maps_of(
    network: torch.nn.Module, stages: Iterable[str], x: torch.Tensor
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Copies of the outputs of the modules with these names, and the network's output."""
    maps: list[torch.Tensor] = []

    def keep(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
        maps.append(output.detach().clone())

    modules = dict(network.named_modules())
    hooks = [modules[name].register_forward_hook(keep) for name in stages]
    y = logits(network(x))
    for hook in hooks:
        hook.remove()
    return maps, y


def give(state: dict[str, torch.Tensor], model: nnx.Module, rules: Rules) -> None:
    """Gives the model the weights of PyTorch; every name on both sides must have a partner."""
    ours = variables(model)
    names = {torch_name(path, rules): path for path in ours}
    theirs = {
        name: tuple(value.shape)
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }
    assert len(names) == len(ours), "two variables have one name"
    assert set(names) == set(theirs), f"left over: {sorted(set(names) ^ set(theirs))[:20]}"
    expected = {name: place.shape for name, place in places(model, "", {"": rules}).items()}
    wrong = {name: (expected[name], theirs[name]) for name in names}
    assert not {name: each for name, each in wrong.items() if each[0] != each[1]}
    for name, path in names.items():
        variable = ours[path]
        value = from_torch(state[name].detach().numpy(), path, variable.shape)
        assert value.shape == variable.shape, f"{path} {variable.shape}, {name} {value.shape}"
        variable[...] = jnp.asarray(value)


def computed_by_torch(
    network: torch.nn.Module, stages: Iterable[str], batch: Batch, dtype: str
) -> Outcome:
    """What the network of PyTorch computes; its weights are trained."""
    network.to(getattr(torch, dtype))
    x = torch.tensor(second(batch.images)).to(getattr(torch, dtype))
    target = torch.tensor(second(batch.target))
    network.eval()
    with torch.no_grad():
        maps, y = maps_of(network, stages, x)
    evaluation = {f"stage {i}": each for i, each in enumerate(maps)} | {"logits": y}
    network.train()
    _without_chance(network)
    gradients = {}
    for step in range(STEPS):
        network.zero_grad()
        y = logits(network(x))
        loss = (
            functional.cross_entropy(y, target)
            if y.ndim == 2
            else ((y - target.to(y.dtype)) ** 2).mean()
        )
        loss.backward()
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if not step:
                    gradients[name] = parameter.grad.clone()
                parameter -= RATE * parameter.grad
    return Outcome(_arrays(evaluation), _arrays(gradients), _arrays(network.state_dict()))


def computed_by_us(model: nnx.Module, rules: Rules, batch: Batch, dtype: str) -> Outcome:
    """What the network of the package computes, in PyTorch's layouts and under its names."""
    x = jnp.asarray(batch.images.astype(dtype))
    target = jnp.asarray(batch.target)
    model.eval()
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    parameters, rest = _cast(parameters, dtype), _cast(rest, dtype)

    @jax.jit
    def evaluate(parameters: Any, rest: Any) -> tuple[Any, Any]:
        model = nnx.merge(graph, parameters, rest)
        return model(x), model(x, features=True)

    y, maps = evaluate(parameters, rest)
    evaluation = {f"stage {i}": each for i, each in enumerate(maps)} | {"logits": y}
    model.train()
    model.set_attributes(deterministic=True, raise_if_not_found=False)
    graph = nnx.graphdef(model)

    @jax.jit
    @partial(jax.grad, has_aux=True)
    def differentiate(parameters: Any, rest: Any) -> tuple[Any, Any]:
        model = nnx.merge(graph, parameters, rest, copy=True)
        y = model(x)
        if y.ndim == 2:
            chosen = jnp.take_along_axis(jax.nn.log_softmax(y), target[:, None], 1)
            return -chosen.mean(), nnx.state(model, nnx.Not(nnx.Param))
        loss = ((y - target.astype(y.dtype)) ** 2).mean()
        return loss, nnx.state(model, nnx.Not(nnx.Param))

    gradients = None
    for _ in range(STEPS):
        gradient, rest = differentiate(parameters, rest)
        gradients = gradients or gradient
        parameters = jax.tree.map(
            lambda p, g: p - jnp.asarray(RATE, p.dtype) * g, parameters, gradient
        )
    named = partial(_under_their_names, rules=rules)
    trained = named(nnx.merge_state(parameters, rest))
    return Outcome({k: second(v) for k, v in evaluation.items()}, named(gradients), trained)


def distances(ours: Arrays, theirs: Arrays) -> dict[str, float]:
    """For each array, the norm of the difference relative to the norm of theirs.

    A gradient may be zero but for rounding, as that of a bias before a normalisation. So an array
    counts as no smaller than :data:`SMALLEST` of the mean square over all arrays.
    """
    assert set(ours) == set(theirs), f"left over: {sorted(set(ours) ^ set(theirs))[:20]}"
    cells = sum(array.size for array in theirs.values())
    typical = sum(_norm(array) ** 2 for array in theirs.values()) / cells
    found = {}
    for name, array in theirs.items():
        assert ours[name].size == array.size, f"{name}: {ours[name].shape}, {array.shape}"
        difference = ours[name].astype("float64").reshape(array.shape) - array.astype("float64")
        size = max(_norm(array), SMALLEST * (typical * array.size) ** 0.5)
        found[name] = _norm(difference) / size
    return found


def _norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(array.astype("float64")))


def _under_their_names(state: nnx.State, rules: Rules) -> Arrays:
    flat = {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(state)}
    return {
        torch_name(path, rules): to_torch(leaf[...], path)
        for path, leaf in flat.items()
        if isinstance(leaf, nnx.Param | nnx.BatchStat)
    }


def _cast(state: nnx.State, dtype: str) -> nnx.State:
    def cast(leaf: Any) -> Any:
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(cast, state)


def _arrays(tensors: dict[str, torch.Tensor]) -> Arrays:
    return {
        name: tensor.numpy()
        for name, tensor in tensors.items()
        if not name.endswith("num_batches_tracked")
    }


def second(array: Any) -> np.ndarray:
    """(N, *spatial, C) as (N, C, *spatial)."""
    array = np.asarray(array)
    return np.moveaxis(array, -1, 1) if array.ndim > 2 else array


def logits(output: Any) -> torch.Tensor:
    """The output itself, or that of a network of transformers."""
    return getattr(output, "logits", output)


def _without_chance(network: torch.nn.Module) -> None:
    """Dropout and stochastic depth as in evaluation."""
    for module in network.modules():
        if "Drop" in type(module).__name__ or type(module).__name__ == "StochasticDepth":
            module.eval()
