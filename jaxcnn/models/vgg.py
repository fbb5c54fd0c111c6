"""VGG: 3x3 convolutions, max pools and three dense layers."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import jax
from flax import nnx

from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.network import Chain, Network, check_input
from jaxcnn.models.published import Published
from jaxcnn.nn import BatchNorm, Conv, Dense, MaxPool
from jaxcnn.ops import adaptive_avg_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxcnn.models.published import Rules

CHANNELS = (64, 128, 256, 512, 512)
HIDDEN = 4096
BINS = (7, 7)
"""The size of the map that the dense layers read: 224/32."""

HE = nnx.initializers.he_normal()


class VGGHead(nnx.Module):
    """The means of 7x7 bins, and three dense layers with ReLU and Dropout between them.

        x: (N, H, W, channels)      returns (N, classes), or (N, 4096) without classes

    The first dense layer is a convolution with a 7x7 kernel. A map smaller than 7x7 repeats cells.

    >>> import jax.numpy as jnp
    >>> head = nnx.eval_shape(lambda: VGGHead(8, 10, rngs=nnx.Rngs(0)))
    >>> nnx.eval_shape(lambda head: head(jnp.ones((2, 3, 9, 8))), head).shape
    (2, 10)
    """

    def __init__(self, channels: int, classes: int | None, *, rngs: nnx.Rngs) -> None:
        self.dense1 = Conv(channels, HIDDEN, BINS, activation="relu", rngs=rngs)
        self.dropout1 = nnx.Dropout(0.5, rngs=rngs)
        self.dense2 = Dense(HIDDEN, HIDDEN, activation="relu", rngs=rngs)
        self.dropout2 = nnx.Dropout(0.5, rngs=rngs)
        self.dense3 = None if classes is None else Dense(HIDDEN, classes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.dense1(adaptive_avg_pool(x, BINS)).reshape(x.shape[0], HIDDEN)
        y = self.dense2(self.dropout1(y))
        return y if self.dense3 is None else self.dense3(self.dropout2(y))


class VGG(Network):
    """Five stages of 3x3 convolutions, each halved by a max pool, and three dense layers.

        x: (N, H, W, C)      returns (N, classes)
        features=True        the map before each of the five pools, and the one after the last:
                             of 1, 1/2, 1/4, 1/8, 1/16 and 1/32 of the sizes, rounded down

    Args:
      input_shape: (H, W, C), H and W of 32 or more.
      classes: the number of outputs; None returns the 4096 outputs of the layer before.
      depths: the number of convolutions of each stage.
      norm: whether each convolution is followed by :class:`jaxcnn.nn.BatchNorm`.
      rngs: random streams for the parameters and for Dropout.

    Source: Simonyan and Zisserman, arXiv:1409.1556, table 1. The means of 7x7 bins, which sizes
    other than 224 need, and BatchNorm are torchvision's.

    >>> import jax.numpy as jnp
    >>> network = nnx.eval_shape(lambda: VGG((32, 32, 3), 10, (1, 1, 1, 1, 1), rngs=nnx.Rngs(0)))
    >>> maps = nnx.eval_shape(lambda m: m(jnp.ones((2, 71, 65, 3)), features=True), network)
    >>> [feature_map.shape[1:] for feature_map in maps[2:]]
    [(17, 16, 256), (8, 8, 512), (4, 4, 512), (2, 2, 512)]
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int | None,
        depths: Sequence[int],
        *,
        norm: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        before, stages = input_shape[-1], []
        for i, (depth, channels) in enumerate(zip(depths, CHANNELS, strict=True)):
            layers: list = [_halve()] if i else []
            for _ in range(depth):
                layers.append(Conv(before, channels, (3, 3), padding=1, kernel_init=HE, rngs=rngs))
                layers += [BatchNorm(channels, rngs=rngs)] if norm else []
                layers.append(jax.nn.relu)
                before = channels
            stages.append(Chain(layers))
        self.stem = Chain([])
        self.stages = nnx.List([*stages, Chain([_halve()])])
        self.head = VGGHead(before, classes, rngs=rngs)


def _halve() -> MaxPool:
    return MaxPool((2, 2), stride=2, rounding="floor")


A, B, D, E = (1, 1, 2, 2, 2), (2, 2, 2, 2, 2), (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)
"""The number of convolutions of each stage, by the paper's letters."""


@suggest_keywords
def vgg11(input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs) -> VGG:
    """VGG of 11 layers with weights.

    Raises:
      InputError: (a ValueError) if H or W is less than 32.

    >>> nnx.eval_shape(lambda: vgg11((32, 32, 3), 10, rngs=nnx.Rngs(0))).head.dense3.out_features
    10
    """
    shape = check_input(input_shape, classes, least=32)
    return VGG(shape, classes, A, rngs=rngs)


@suggest_keywords
def vgg13(input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs) -> VGG:
    """VGG of 13 layers with weights; called as :func:`vgg11`."""
    shape = check_input(input_shape, classes, least=32)
    return VGG(shape, classes, B, rngs=rngs)


@suggest_keywords
def vgg16(input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs) -> VGG:
    """VGG of 16 layers with weights; called as :func:`vgg11`."""
    shape = check_input(input_shape, classes, least=32)
    return VGG(shape, classes, D, rngs=rngs)


@suggest_keywords
def vgg19(input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs) -> VGG:
    """VGG of 19 layers with weights; called as :func:`vgg11`."""
    shape = check_input(input_shape, classes, least=32)
    return VGG(shape, classes, E, rngs=rngs)


@suggest_keywords
def vgg11_bn(input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs) -> VGG:
    """VGG of 11 layers with weights, with BatchNorm; called as :func:`vgg11`."""
    shape = check_input(input_shape, classes, least=32)
    return VGG(shape, classes, A, norm=True, rngs=rngs)


@suggest_keywords
def vgg13_bn(input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs) -> VGG:
    """VGG of 13 layers with weights, with BatchNorm; called as :func:`vgg11`."""
    shape = check_input(input_shape, classes, least=32)
    return VGG(shape, classes, B, norm=True, rngs=rngs)


@suggest_keywords
def vgg16_bn(input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs) -> VGG:
    """VGG of 16 layers with weights, with BatchNorm; called as :func:`vgg11`."""
    shape = check_input(input_shape, classes, least=32)
    return VGG(shape, classes, D, norm=True, rngs=rngs)


@suggest_keywords
def vgg19_bn(input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs) -> VGG:
    """VGG of 19 layers with weights, with BatchNorm; called as :func:`vgg11`."""
    shape = check_input(input_shape, classes, least=32)
    return VGG(shape, classes, E, norm=True, rngs=rngs)


def _names(depths: Sequence[int], norm: bool) -> dict[str, Rules]:
    """The rules: torchvision and timm number the layers of all stages in one list."""
    sizes = [depth * (3 if norm else 2) + (i > 0) for i, depth in enumerate(depths)]
    starts = list(accumulate(sizes, initial=0))
    features = (
        r"^stages\.(\d+)\.(\d+)$",
        lambda found: f"features.{starts[int(found[1])] + int(found[2])}",
    )
    return {
        "torchvision": (
            features,
            (r"^head\.dense(\d)$", lambda found: f"classifier.{3 * int(found[1]) - 3}@2"),
        ),
        "timm": (
            features,
            (r"^head\.dense3$", "head.fc"),
            (r"^head\.dense(\d)$", r"pre_logits.fc\1@4"),
        ),
    }


def _published(
    build: Callable[..., VGG], depths: Sequence[int], parameters: int, millions: int
) -> Published:
    """An entry; the numbers are those of torchvision's documentation of weights."""
    return Published(
        build=build,
        source="Simonyan and Zisserman, 2014",
        parameters=parameters,
        multiply_adds=millions * 10**6,
        names=_names(depths, norm=build.__name__.endswith("_bn")),
    )


NETWORKS = (
    _published(vgg11, A, 132_863_336, 7609),
    _published(vgg13, B, 133_047_848, 11_308),
    _published(vgg16, D, 138_357_544, 15_470),
    _published(vgg19, E, 143_667_240, 19_632),
    _published(vgg11_bn, A, 132_868_840, 7609),
    _published(vgg13_bn, B, 133_053_736, 11_308),
    _published(vgg16_bn, D, 138_365_992, 15_470),
    _published(vgg19_bn, E, 143_678_248, 19_632),
)
