"""What each layer of a network reads and gives, in NNX and in PyTorch, in float64."""

from __future__ import annotations

import copy
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
      name: the layer's path, dotted.
      layer: the module.
      x, y: its input and its output, of the network's layout.
      own: whether y is what the layer computes before its submodules, such as the activation of a
        norm of timm.
    """

    name: str
    layer: Any
    x: np.ndarray
    y: np.ndarray
    own: bool = False


def our_calls(model: nnx.Module, images: np.ndarray) -> tuple[list[Call], str]:
    """The calls of the model's modules in evaluation mode, in the order in which they end.

    The last is that of the model itself. The model is not changed.

    Returns:
      the calls, and the error that ended them; empty if there was none.

    >>> from jaxcnn.nn import ConvNorm
    >>> block = ConvNorm(3, 8, (3, 3), rngs=nnx.Rngs(0))
    >>> [call.name for call in our_calls(block, np.ones((1, 5, 5, 3)))[0]]
    ['conv', 'norm', '']
    """
    layers: list[tuple[str, Any]] = []
    errors: list[str] = []

    @jax.jit
    def run(state: Any, x: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
        module = nnx.merge(graph, state)
        module.eval()
        paths = {
            id(each): ".".join(map(str, path))
            for path, each in nnx.iter_graph(module)
            if isinstance(each, nnx.Module)
        }
        pairs = []

        def heard(layer: Any, x: Any, y: Any) -> None:
            if id(layer) in paths and isinstance(x, jax.Array) and isinstance(y, jax.Array):
                layers.append((paths[id(layer)], layer))
                pairs.append((x, y))

        with _listening(module, heard), _noting(errors):
            module(x)  # type: ignore[operator]
        return pairs

    with jax.enable_x64(True):
        graph, state = nnx.split(model)
        found = run(jax.tree.map(_widened, state), jnp.asarray(images, jnp.float64))
        return [
            Call(name, layer, np.asarray(x), np.asarray(y))
            for (name, layer), (x, y) in zip(layers, found, strict=True)
        ], "".join(errors)


def torch_calls(model: Any, images: np.ndarray) -> tuple[list[Call], str]:
    """The calls of a PyTorch network's modules, as :func:`our_calls`.

    Args:
      model: a ``torch.nn.Module``, which is not changed.
      images: (N, *spatial, C); the network gets (N, C, *spatial).
    """
    torch: Any = sys.modules.get("torch")  # who has a module of it has imported it
    if torch is None or not isinstance(model, torch.nn.Module):
        raise TypeError(f"torch_model must be a torch.nn.Module, got {type(model).__name__}")
    network = copy.deepcopy(model).to("cpu", torch.float64).eval()
    calls, inputs, errors = [], {}, []
    owners = {part: layer for layer in network.modules() for part in _parts(layer)}
    computed: dict[Any, np.ndarray] = {}

    def before(layer: Any, given: tuple[Any, ...]) -> None:
        if given and isinstance(given[0], torch.Tensor):
            inputs[layer] = given[0].numpy().copy()  # a layer may change its input in place
            if layer in owners:
                computed.setdefault(owners[layer], inputs[layer])

    def after(name: str) -> Callable[..., None]:
        def hook(layer: Any, _given: Any, y: Any) -> None:
            y = getattr(y, "logits", y)  # of transformers
            if layer in inputs and isinstance(y, torch.Tensor):
                own = computed.pop(layer, None)
                result = y.numpy().copy() if own is None else own
                calls.append(Call(name, layer, inputs.pop(layer), result, own is not None))

        return hook

    for name, layer in network.named_modules():
        layer.register_forward_pre_hook(before)
        layer.register_forward_hook(after(name))
    with torch.no_grad(), _noting(errors):
        network(torch.tensor(np.moveaxis(images, -1, 1), dtype=torch.float64))
    return calls, "".join(errors)


def torch_output(layer: Any, x: np.ndarray) -> np.ndarray:
    """What a layer of :func:`torch_calls` gives for another input."""
    import torch

    found: list[Any] = []
    for module in layer.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            hooks.clear()
    for part in _parts(layer):
        part.register_forward_pre_hook(lambda _, given: found.append(given[0].clone()))
    with torch.no_grad():
        found.append(layer(torch.tensor(x)))
    return found[0].numpy()


def _parts(layer: Any) -> list[Any]:
    """The submodules of a layer of PyTorch with a weight of its own, which it computes first."""
    return [*layer.children()] if "weight" in dict(layer.named_parameters(recurse=False)) else []


@contextmanager
def _noting(errors: list[str]) -> Iterator[None]:
    """Ends the block at an error, which may be the difference that is looked for."""
    try:
        yield
    except Exception as error:  # of any kind, from a person's network
        errors.append(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")


@contextmanager
def _listening(module: nnx.Module, heard: Callable[[Any, Any, Any], None]) -> Iterator[None]:
    """Calls ``heard`` with every call of a layer, which Python looks up in the layer's class."""
    layers = [each for _, each in nnx.iter_graph(module) if isinstance(each, nnx.Module)]
    active: list[Any] = []
    with ExitStack() as stack:
        for kind in {type(each) for each in layers}:
            call = next((vars(k)["__call__"] for k in kind.__mro__ if "__call__" in vars(k)), None)
            if call is None:
                continue
            if "__call__" in vars(kind):
                stack.callback(setattr, kind, "__call__", call)
            else:
                stack.callback(delattr, kind, "__call__")
            kind.__call__ = _reported(call, active, heard)  # type: ignore[method-assign]
        yield


def _reported(
    call: Callable[..., Any], active: list[Any], heard: Callable[[Any, Any, Any], None]
) -> Callable[..., Any]:
    def reported(layer: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        if any(layer is each for each in active):  # a class calls its base
            return call(layer, x, *args, **kwargs)
        active.append(layer)
        try:
            y = call(layer, x, *args, **kwargs)
        finally:
            active.pop()
        heard(layer, x, y)
        return y

    return reported


def _widened(leaf: Any) -> Any:
    floating = jnp.issubdtype(leaf.dtype, jnp.floating)
    return jnp.asarray(np.asarray(leaf), jnp.float64) if floating else leaf
