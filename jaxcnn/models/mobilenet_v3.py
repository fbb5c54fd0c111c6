"""MobileNetV3, large and small: inverted residuals with gates, of searched sizes."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import jax

from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.inverted import Block, block_of, multiple_of_8, stages_of
from jaxcnn.models.network import Chain, Classifier, Network, check_input, means
from jaxcnn.models.published import Published
from jaxcnn.nn import BatchNorm, ConvNorm, Dense

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flax import nnx

    from jaxcnn.models.published import Rules

LARGE = (
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, jax.nn.hard_swish, 2),
    (3, 200, 80, False, jax.nn.hard_swish, 1),
    (3, 184, 80, False, jax.nn.hard_swish, 1),
    (3, 184, 80, False, jax.nn.hard_swish, 1),
    (3, 480, 112, True, jax.nn.hard_swish, 1),
    (3, 672, 112, True, jax.nn.hard_swish, 1),
    (5, 672, 160, True, jax.nn.hard_swish, 2),
    (5, 960, 160, True, jax.nn.hard_swish, 1),
    (5, 960, 160, True, jax.nn.hard_swish, 1),
)
"""Kernel size, hidden channels, channels, gates, activation and stride of the blocks of table 1."""

SMALL = (
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, jax.nn.hard_swish, 2),
    (5, 240, 40, True, jax.nn.hard_swish, 1),
    (5, 240, 40, True, jax.nn.hard_swish, 1),
    (5, 120, 48, True, jax.nn.hard_swish, 1),
    (5, 144, 48, True, jax.nn.hard_swish, 1),
    (5, 288, 96, True, jax.nn.hard_swish, 2),
    (5, 576, 96, True, jax.nn.hard_swish, 1),
    (5, 576, 96, True, jax.nn.hard_swish, 1),
)
"""The blocks of table 2."""

NORM = partial(BatchNorm, epsilon=1e-3, momentum=0.99)


class MobileNetV3(Network):
    """A 3x3 stem, inverted residuals, a 1x1 convolution, two dense layers.

        x: (N, H, W, C)      returns (N, classes), or (N, hidden) without classes
        features=True        returns the maps before each halving after the stem's, and the last,
                             which is that of the 1x1 convolution

    The maps have 1/2 to 1/32 of the sizes and 16, 24, 40, 112 and 960 channels in the large
    network, and 1/4 to 1/32 and 16, 24, 48 and 576 channels in the small one. For images of every
    size. Layers of stride 2 (kernel 3 or 5, the same padding on both sides) drop the last row of
    the padding of an even size.

    Args:
      in_channels: C.
      classes: the number of outputs; None for the outputs of the first dense layer.
      blocks: rows of :data:`LARGE` or :data:`SMALL`.
      hidden: outputs of the first dense layer.
      rngs: random streams.

    Source: Howard et al., arXiv:1905.02244, tables 1 and 2.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int | None,
        *,
        blocks: Sequence[tuple],
        hidden: int,
        rngs: nnx.Rngs,
    ) -> None:
        act = {"activation": jax.nn.hard_swish, "norm": NORM, "rngs": rngs}
        window = {"stride": 2, "padding": 1, "rounding": "floor"}
        self.stem = ConvNorm(in_channels, 16, (3, 3), **window, **act)
        rows = [
            [
                Block(size, wide, channels, stride, multiple_of_8(wide / 4) if gates else 0, name)
                for size, wide, channels, gates, name, stride in row
            ]
            for _, row in groupby(blocks, key=lambda block: block[2])
        ]
        self.stages = stages_of(rows, 16, gate=jax.nn.hard_sigmoid, norm=NORM, rngs=rngs)
        last = rows[-1][-1]
        self.stages[-1].append(Chain([ConvNorm(last.channels, last.hidden, (1, 1), **act)]))
        dense = Dense(last.hidden, hidden, activation=jax.nn.hard_swish, rngs=rngs)
        self.head = Chain([means, dense, Classifier(hidden, classes, dropout=0.2, rngs=rngs)])


@suggest_keywords
def mobilenet_v3_large(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> MobileNetV3:
    """:class:`MobileNetV3` of 15 blocks, for inputs (H, W, C).

    >>> from flax import nnx
    >>> model = nnx.eval_shape(lambda: mobilenet_v3_large((224, 224, 3), rngs=nnx.Rngs(0)))
    >>> len(model.stages)
    5
    """
    shape = check_input(input_shape, classes)
    return MobileNetV3(shape[-1], classes, blocks=LARGE, hidden=1280, rngs=rngs)


@suggest_keywords
def mobilenet_v3_small(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> MobileNetV3:
    """:class:`MobileNetV3` of 11 blocks; called as :func:`mobilenet_v3_large`."""
    shape = check_input(input_shape, classes)
    return MobileNetV3(shape[-1], classes, blocks=SMALL, hidden=1024, rngs=rngs)


def _torchvision(depths: Sequence[Sequence[int]]) -> Rules:
    """torchvision's names, which count blocks; the last convolution follows them."""
    return (
        (r"^stem\.", "features.0."),
        (r"^stages\.(\d+)\.(\d+)\.(\d+)", lambda found: f"features.{1 + block_of(found, depths)}"),
        (r"^head\.1$", "classifier.0"),
        (r"^head\.2\.dense$", "classifier.3"),
        (r"\.layers\.", ".block."),
        (r"\.conv$", ".0"),
        (r"\.norm$", ".1"),
        (r"\.squeeze$", ".fc1@4"),
        (r"\.expand$", ".fc2@4"),
    )


def _published(
    build: Callable[..., MobileNetV3],
    depths: Sequence[Sequence[int]],
    parameters: int,
    millions: int,
) -> Published:
    """An entry; ``depths`` has the blocks of each row of each stage.

    The numbers are those of torchvision's documentation of weights. timm's norms have another
    epsilon, so that its weights would give other results here.
    """
    return Published(
        build=build,
        source="Howard et al., 2019",
        parameters=parameters,
        multiply_adds=millions * 10**6,
        names={"torchvision": _torchvision(depths)},
    )


NETWORKS = (
    _published(mobilenet_v3_large, ((1,), (2,), (3,), (4, 2), (3,)), 5_483_032, 217),
    _published(mobilenet_v3_small, ((1,), (2,), (3, 2), (3,)), 2_542_856, 57),
)
