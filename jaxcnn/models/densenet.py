"""DenseNet: each layer reads the maps of all layers before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.network import Chain, Classifier, Network, check_input
from jaxcnn.models.published import Published
from jaxcnn.models.resnet import STEM_CHANNELS, large_stem
from jaxcnn.nn import AvgPool, BatchNorm, Conv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.models.published import Rules

GROWTH = 32
"""The channels that a layer adds."""

BOTTLENECK = 4 * GROWTH
"""The outputs of a layer's 1x1 convolution."""


class DenseLayer(nnx.Module):
    """x, and beside it conv2(relu(norm2(conv1(relu(norm1(x)))))).

        x: (N, H, W, channels)      returns (N, H, W, channels + 32)

    >>> x = jnp.ones((2, 5, 5, 8))
    >>> nnx.eval_shape(lambda: DenseLayer(8, rngs=nnx.Rngs(0))(x)).shape
    (2, 5, 5, 40)
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs) -> None:
        self.norm1 = BatchNorm(channels, rngs=rngs)
        self.conv1 = Conv(channels, BOTTLENECK, (1, 1), use_bias=False, rngs=rngs)
        self.norm2 = BatchNorm(BOTTLENECK, rngs=rngs)
        self.conv2 = Conv(BOTTLENECK, GROWTH, (3, 3), padding=1, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.conv1(jax.nn.relu(self.norm1(x)))
        y = self.conv2(jax.nn.relu(self.norm2(y)))
        return jnp.concatenate([x, y], -1)


class Transition(nnx.Module):
    """The means of 2x2 cells of conv(relu(norm(x))).

        x: (N, H, W, channels)      returns (N, floor(H/2), floor(W/2), channels // 2)

    >>> x = jnp.ones((2, 5, 6, 8))
    >>> nnx.eval_shape(lambda: Transition(8, rngs=nnx.Rngs(0))(x)).shape
    (2, 2, 3, 4)
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs) -> None:
        self.norm = BatchNorm(channels, rngs=rngs)
        self.conv = Conv(channels, channels // 2, (1, 1), use_bias=False, rngs=rngs)
        self.pool = AvgPool((2, 2), stride=2, rounding="floor")

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.pool(self.conv(jax.nn.relu(self.norm(x))))


class DenseStage(nnx.Module):
    """norm(block(transition(x))); the first stage has no transition, only the last has a norm.

    >>> x = jnp.ones((2, 6, 6, 8))
    >>> nnx.eval_shape(lambda: DenseStage(8, 2, first=False, last=True, rngs=nnx.Rngs(0))(x)).shape
    (2, 3, 3, 68)
    """

    def __init__(
        self, channels: int, depth: int, *, first: bool, last: bool, rngs: nnx.Rngs
    ) -> None:
        self.transition = None if first else Transition(channels, rngs=rngs)
        before = channels if first else channels // 2
        self.block = Chain([DenseLayer(before + i * GROWTH, rngs=rngs) for i in range(depth)])
        self.out_channels = before + depth * GROWTH
        self.norm = BatchNorm(self.out_channels, rngs=rngs) if last else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.block(x if self.transition is None else self.transition(x))
        return y if self.norm is None else self.norm(y)


class DenseNet(Network):
    """A stem, four dense stages, the means of the channels, a dense layer.

        x: (N, H, W, C)      returns (N, classes)
        features=True        maps of 1/4, 1/8, 1/16 and 1/32 of the sizes

    Args:
      input_shape: (H, W, C), H and W of 29 or more.
      classes: the number of outputs; None returns the means.
      depths: the number of layers of each stage.
      rngs: random streams for the parameters.

    Source: Huang et al., arXiv:1608.06993: DenseNet-BC, table 1.

    >>> network = nnx.eval_shape(lambda: DenseNet((64, 64, 3), 10, (1, 1, 1, 1), rngs=nnx.Rngs(0)))
    >>> maps = nnx.eval_shape(lambda m: m(jnp.ones((2, 71, 65, 3)), features=True), network)
    >>> [feature_map.shape for feature_map in maps]
    [(2, 18, 17, 96), (2, 9, 8, 80), (2, 4, 4, 72), (2, 2, 2, 68)]
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int | None,
        depths: Sequence[int],
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.stem = large_stem(input_shape[-1], rngs)
        channels, stages, last = STEM_CHANNELS, [], len(depths) - 1
        for i, depth in enumerate(depths):
            stages.append(DenseStage(channels, depth, first=i == 0, last=i == last, rngs=rngs))
            channels = stages[-1].out_channels
        self.stages = nnx.List(stages)
        self.head = Chain([jax.nn.relu, Classifier(channels, classes, rngs=rngs)])


@suggest_keywords
def densenet121(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> DenseNet:
    """:class:`DenseNet` of 121 layers with weights.

    Raises:
      InputError: (a ValueError) if H or W is less than 29.

    >>> network = nnx.eval_shape(lambda: densenet121((64, 64, 3), 10, rngs=nnx.Rngs(0)))
    >>> network.head[1].dense.kernel.shape
    (1024, 10)
    """
    shape = check_input(input_shape, classes, least=29)
    return DenseNet(shape, classes, (6, 12, 24, 16), rngs=rngs)


TORCHVISION: Rules = (
    (r"^stem\.0\.(conv|norm)$", r"features.\g<1>0"),
    (r"^stages\.3\.norm$", "features.norm5"),
    (r"^stages\.(\d)\.transition", r"features.transition\1"),
    (
        r"^stages\.(\d)\.block\.(\d+)",
        lambda found: f"features.denseblock{int(found[1]) + 1}.denselayer{int(found[2]) + 1}",
    ),
    (r"^head\.1\.dense$", "classifier"),
)
"""torchvision's names, and timm's."""

FILES: Rules = (*TORCHVISION, (r"(denselayer\d+\.(norm|conv))", r"\1."))
"""The names in torchvision's published file, which torchvision renames as it loads it."""

NETWORKS = (
    # The numbers are those of torchvision's documentation of weights.
    Published(
        build=densenet121,
        source="Huang et al., 2016",
        parameters=7_978_856,
        multiply_adds=2834 * 10**6,
        names={"torchvision": TORCHVISION, "timm": TORCHVISION, "torchvision_file": FILES},
    ),
)
