"""The form of a network for images: a stem, stages, a head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flax import nnx

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry.check import integer, is_sequence
from jaxcnn.nn import Dense

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jax


class Chain(nnx.List):
    """Layers, each called on the output of the one before.

    >>> Chain([abs, float])(-2)
    2.0
    """

    def __call__(self, x: Any) -> Any:
        for layer in self:
            x = layer(x)
        return x


class Network(nnx.Module):
    """head(stages(stem(x))).

        x: (N, *spatial, C)      returns (N, classes), or (N, channels) without classes
        features=True            returns a tuple, the output (N, *spatial_i, C_i) of each stage

    Attributes:
      stem, stages, head: the layers; ``stages`` lists functions of an array.

    >>> import jax.numpy as jnp
    >>> class Tiny(Network):
    ...     def __init__(self):
    ...         self.stem, self.stages, self.head = jnp.tanh, nnx.List([abs, abs]), jnp.sum
    >>> [feature_map.shape for feature_map in Tiny()(jnp.ones((2, 5, 5, 3)), features=True)]
    [(2, 5, 5, 3), (2, 5, 5, 3)]
    """

    stem: Any
    stages: nnx.List
    head: Any

    def __call__(self, x: jax.Array, *, features: bool = False) -> Any:
        y = self.stem(x)
        maps = []
        for stage in self.stages:
            y = stage(y)
            maps.append(y)
        return tuple(maps) if features else self.head(y)


def means(x: jax.Array) -> jax.Array:
    """The mean of each channel.

        x: (N, *spatial, C)      returns (N, C)

    >>> import jax.numpy as jnp
    >>> means(jnp.ones((2, 5, 5, 3))).shape
    (2, 3)
    """
    return x.mean(tuple(range(1, x.ndim - 1)))


class Classifier(nnx.Module):
    """The mean of each channel, then Dropout and one dense layer.

        x: (N, *spatial, channels)      returns (N, classes)

    Args:
      channels: channels of x.
      classes: the number of outputs; None returns the means, (N, channels).
      dropout: the share of the means that training sets to zero.
      rngs: random streams.

    >>> import jax.numpy as jnp
    >>> Classifier(4, 10, rngs=nnx.Rngs(0))(jnp.ones((2, 5, 5, 4))).shape
    (2, 10)
    """

    def __init__(
        self, channels: int, classes: int | None, *, dropout: float = 0.0, rngs: nnx.Rngs
    ) -> None:
        layers: list[Any] = [nnx.Dropout(dropout, rngs=rngs)] if dropout else []
        self.dropout = Chain(layers)
        self.dense = None if classes is None else Dense(channels, classes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = means(x)
        return y if self.dense is None else self.dense(self.dropout(y))


def stochastic_depth(rate: float, rngs: nnx.Rngs) -> Chain:
    """In training, zeros in place of a share ``rate`` of the examples, the others scaled up.

        x: (N, H, W, C)      returns the same shape; one draw for all cells of an example

    A block x + stochastic_depth(branch(x)) is then left out for these examples.

    Source: Huang et al., arXiv:1603.09382.

    >>> len(stochastic_depth(0.0, nnx.Rngs(0))), len(stochastic_depth(0.5, nnx.Rngs(0)))
    (0, 1)
    """
    return Chain([nnx.Dropout(rate, broadcast_dims=(1, 2, 3), rngs=rngs)] if rate else [])


def check_input(
    input_shape: Sequence[int], classes: int | None, axes: int = 2, *, least: int = 1
) -> tuple[int, ...]:
    """An input's shape (*spatial, C) as Python ints, with the number of classes checked.

    Args:
      input_shape: the shape of one example.
      classes: 1 or more, or None.
      axes: spatial axes of the network.
      least: the smallest size that the network's layers leave a cell of.

    Raises:
      InputError: if a size or ``classes`` is too small, or the number of axes is another.

    >>> check_input([224, 224, 3], 10)
    (224, 224, 3)
    >>> check_input((16, 64, 3), 10, least=32)
    Traceback (most recent call last):
    jaxcnn.errors.InputError: input_shape (16, 64, 3) has a size below 32, of which the network's \
layers leave nothing. Use input_shape=(32, 64, 3).
    """
    if classes is not None:
        integer("classes", classes, least=1)
    forms = {0: "(features,)", 1: "(length, channels)", 2: "(height, width, channels)"}
    form = forms.get(axes, "(depth, height, width, channels)")
    if not is_sequence(input_shape) or len(input_shape) != axes + 1:
        raise InputError(f"input_shape must be {form}, got {input_shape!r}")
    *sizes, channels = (integer(f"input_shape[{i}]", n, least=1) for i, n in enumerate(input_shape))
    enough = [max(size, least) for size in sizes]
    if enough != sizes:
        raise InputError(
            f"input_shape {(*sizes, channels)} has a size below {least}, of which the network's "
            f"layers leave nothing.",
            Advice("input_shape", ((*enough, channels),)),
        )
    return *sizes, channels


def check_multiple(shape: tuple[int, ...], factor: int) -> tuple[int, ...]:
    """Returns the shape, if no size of an input would be halved to a fraction.

    Raises:
      InputError: if a size of the shape (*spatial, C) is not a multiple of ``factor``.

    >>> check_multiple((224, 225, 3), 32)
    Traceback (most recent call last):
    jaxcnn.errors.InputError: input_shape (224, 225, 3) has a size that is not a multiple of 32, \
by which the network's strides divide it. Use input_shape=(224, 224, 3) or (224, 256, 3).
    """
    *sizes, channels = shape
    down = [max(factor, size // factor * factor) for size in sizes]
    up = [-(-size // factor) * factor for size in sizes]
    if up != sizes:
        raise InputError(
            f"input_shape {shape} has a size that is not a multiple of {factor}, by which the "
            f"network's strides divide it.",
            Advice("input_shape", tuple(dict.fromkeys([(*down, channels), (*up, channels)]))),
        )
    return shape
