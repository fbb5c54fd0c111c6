"""Chains of layers and residual blocks; sizes are checked when a stack is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn.errors import InputError, error_prefix, format_advice
from jaxcnn.inspect import plan_of
from jaxcnn.keywords import suggest_keywords
from jaxcnn.nn._options import check_dtype, check_shape
from jaxcnn.nn.text import as_part, parse

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jaxcnn.inspect import Plan

Entry = str | Callable[[Any], Any]
"""A layer: a word of :mod:`jaxcnn.nn.text`, a built module, or a function of an array."""


@suggest_keywords
class Stack(nnx.Module):
    """A chain of layers over inputs of one known shape.

        x: (N, *input_shape) or input_shape
        returns (N, *output_shape) or output_shape

    Args:
      input_shape: the input's shape without the batch axis, such as (*spatial, C).
      layers: the entries, first to last. Each is a word of the text form (``"conv:16:k3:relu"``,
        ``"max:k2"``; see :mod:`jaxcnn.nn.text`), whose channels and number of axes come from the
        entry before it; or any function of a batch, such as a built module, ``jax.nn.relu`` or a
        :class:`Residual`.
      dtype, param_dtype: as in :class:`jaxcnn.nn.Conv`, for the layers given as words.
      rngs: random streams for the parameters of the words.

    Attributes:
      input_shape, output_shape: shapes of one example.
      layers: the built layers.

    Raises:
      InputError: (a ValueError) if an entry does not accept the output of the entry before it, when
        the stack is built; names the entry. TypeError if an entry is not a layer.

    >>> stack = Stack((7, 7, 1), ["conv:6:k3:relu", jnp.tanh, "conv:10:k5"], rngs=nnx.Rngs(0))
    >>> stack(jnp.ones((2, 7, 7, 1))).shape
    (2, 1, 1, 10)
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    def __init__(
        self,
        input_shape: Sequence[int],
        layers: Sequence[Entry],
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        with error_prefix(type(self).__name__):
            self.input_shape = check_shape(input_shape)
            if isinstance(layers, str) or not isinstance(layers, Sequence):
                raise TypeError(f"layers must list layers, as in ['conv:16:k3'], got {layers!r}")
            dtype = None if dtype is None else check_dtype("dtype", dtype)
        settings = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        built, self.output_shape = _chain(layers, self.input_shape, settings)
        self.layers = nnx.List(built)

    def __call__(self, x: jax.Array) -> jax.Array:
        axes = len(self.input_shape)
        if jnp.ndim(x) not in (axes, axes + 1):
            raise InputError(
                f"Stack: x of shape {jnp.shape(x)} has {jnp.ndim(x)} axes; use (N, *input_shape) "
                f"or input_shape, with input_shape {self.input_shape}"
            )
        if jnp.shape(x)[-axes:] != self.input_shape:
            raise InputError(
                f"Stack: x of shape {jnp.shape(x)} is not for a stack that was built for "
                f"{self.input_shape}; use x of that shape, channels last, or build a stack for "
                f"{jnp.shape(x)[-axes:]}"
            )
        # Entries are functions of batches, because other libraries' layers accept nothing else.
        y = x if jnp.ndim(x) > axes else x[None]
        for layer in self.layers:
            y = layer(y)
        return y if jnp.ndim(x) > axes else y[0]

    def plan(self) -> Plan:
        """The output shape and the cost of each layer, by :func:`jaxcnn.inspect.plan_of`."""
        return plan_of(self, self.input_shape)


@suggest_keywords
class Residual(nnx.Module):
    """A chain of layers with a shortcut: layers(x) + x, or layers(x) + shortcut(x).

        x: (N, *shape)      returns (N, *output_shape), the shape of both branches

    Args:
      layers: a chain of entries, as in :class:`Stack`.
      shortcut: an entry with the output shape of the layers; None adds x.

    The stack that contains the block builds its words.

    Raises:
      InputError: (a ValueError) if the branches' shapes differ, when the stack is built or the
        block is called; or if the block is called before a stack has built its words.
      TypeError: if an entry is not a layer.

    Source: He et al., arXiv:1512.03385, section 3.2.

    >>> block = Residual("conv:4:k3:p1:relu", "conv:4:k3:p1", shortcut="conv:4:k1")
    >>> stack = Stack((7, 7, 1), [block, jax.nn.relu, Residual("conv:4:k3:p1")], rngs=nnx.Rngs(0))
    >>> stack(jnp.ones((2, 7, 7, 1))).shape
    (2, 7, 7, 4)
    """

    def __init__(self, *layers: Entry, shortcut: Entry | None = None) -> None:
        with error_prefix(type(self).__name__):
            for entry in layers if shortcut is None else (*layers, shortcut):
                _require_layer(entry)
        self.layers = nnx.List(layers)
        self.shortcut = shortcut

    def __call__(self, x: jax.Array) -> jax.Array:
        y = x
        for layer in self.layers:
            y = _built_alone(layer)(y)
        beside = x if self.shortcut is None else _built_alone(self.shortcut)(x)
        with error_prefix("Residual"):
            self._require_same(y.shape, beside.shape, "")
        return y + beside

    def _built(self, shape: tuple[int, ...], settings: dict[str, Any]) -> Residual:
        """The block with its words built, for inputs of shape ``shape``."""
        layers, output = _chain(self.layers, shape, settings)
        if self.shortcut is None:
            self._require_same(output, shape, _projection(shape, output))
            return type(self)(*layers)
        with error_prefix("shortcut"):
            (shortcut,), beside = _chain([self.shortcut], shape, settings)
        self._require_same(output, beside, "")
        return type(self)(*layers, shortcut=shortcut)

    def _require_same(self, y: tuple[int, ...], beside: tuple[int, ...], such_as: str) -> None:
        if y == beside:
            return
        if self.shortcut is None:
            raise InputError(
                f"the layers turn {beside} into {y}, so the two cannot be added; use layers that "
                f"keep the shape, or a shortcut to {y}{such_as}"
            )
        raise InputError(
            f"the layers give {y}, but the shortcut gives {beside}; use a shortcut that gives {y}"
        )


def _built_alone(entry: Entry) -> Callable[[Any], Any]:
    if isinstance(entry, str):
        raise InputError(
            f"Residual: {entry} is a word, which only a stack can build; use the block as an entry "
            f"of a Stack, or built layers"
        )
    return entry


def _projection(given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """Advice on a shortcut with 1x1 kernels from shape ``given`` to ``wanted``, if one exists."""
    if len(given) != len(wanted):
        return ""
    sizes = list(zip(given[:-1], wanted[:-1], strict=True))
    for stride in range(1, max(given[:-1], default=1) + 1):
        if all((size - 1) // stride + 1 == output for size, output in sizes):
            exact = all((size - 1) % stride == 0 for size, _ in sizes)
            return f', such as "conv:{wanted[-1]}:k1:s{stride}{"" if exact else ":floor"}"'
    return ""


def _chain(
    entries: Sequence[Entry], shape: tuple[int, ...], settings: dict[str, Any]
) -> tuple[list[Callable[[Any], Any]], tuple[int, ...]]:
    """The built layers over inputs of this shape, and the last one's output shape."""
    layers = []
    x = jax.ShapeDtypeStruct((2, *shape), settings["dtype"] or "float32")
    for number, entry in enumerate(entries, start=1):
        words = format_advice(as_part) if isinstance(entry, str) else nullcontext()
        with error_prefix(f"layer {number} ({_name(entry)})"), words:
            layer = _build(entry, x.shape[1:], settings)
            x = _output(layer, x)
        layers.append(layer)
    return layers, x.shape[1:]


def _build(entry: Entry, shape: tuple[int, ...], settings: dict[str, Any]) -> Callable[[Any], Any]:
    if isinstance(entry, str):
        return parse(entry).build(shape, **settings)
    if isinstance(entry, Residual):
        return entry._built(shape, settings)
    _require_layer(entry)
    # A layer with one more axis would treat the batch axis as a spatial axis.
    size = getattr(entry, "kernel_size", None) if isinstance(entry, nnx.Module) else None
    if isinstance(size, tuple) and len(size) != len(shape) - 1:
        raise InputError(
            f"has kernel_size {size}, for inputs of {len(size) + 1} axes, (*spatial, C), but its "
            f"input is {shape}; use a kernel_size of {len(shape) - 1} entries"
        )
    return entry


def _require_layer(entry: Any) -> None:
    if isinstance(entry, type) or not (isinstance(entry, str) or callable(entry)):
        raise TypeError(
            f"{entry!r} is not a layer; use a word such as 'conv:16:k3', a built module, or a "
            f"function of an array"
        )


def _output(layer: Callable[[Any], Any], x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """The shape and dtype of a layer's output for a batch; the layer is not changed."""
    graph, state = nnx.split(layer) if isinstance(layer, nnx.Module) else (None, None)
    try:
        y = jax.eval_shape(
            lambda state, x: (layer if graph is None else nnx.merge(graph, state))(x), state, x
        )
    except InputError:
        raise
    except Exception as error:  # of any kind, from any library
        raise InputError(f"does not accept x of shape {x.shape}: {error}") from error
    if not isinstance(y, jax.ShapeDtypeStruct):
        raise InputError(f"returns a {type(y).__name__}; a layer must return an array")
    if not y.shape or y.shape[0] != x.shape[0]:
        raise InputError(
            f"turns a batch {x.shape} into {y.shape}, without the batch axis; a layer maps "
            f"(N, ...) to (N, ...): use jax.vmap of a function of one example"
        )
    return y


def _name(entry: Entry) -> str:
    """The name of an entry in errors."""
    if isinstance(entry, str):
        return entry
    return getattr(entry, "__name__", type(entry).__name__)
