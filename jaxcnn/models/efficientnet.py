"""EfficientNet B0 to B7: one network, scaled in width, depth and input size together."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.inverted import ROWS_OF_STAGES, TIMM, Block, multiple_of_8, row_of, stages_of
from jaxcnn.models.network import Chain, Classifier, Network, check_input
from jaxcnn.models.published import Published
from jaxcnn.nn import BatchNorm, ConvNorm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flax import nnx

    from jaxcnn.models.published import Rules

ROWS = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
"""Expansion, kernel size, channels, blocks and stride of each row of B0 (table 1)."""

DROP_RATE = 0.2
"""The rate of stochastic depth towards which the blocks' rates rise."""

LARGE = partial(BatchNorm, epsilon=1e-3, momentum=0.99)
"""The norm of B5 to B7."""


class EfficientNet(Network):
    """A 3x3 stem, seven rows of inverted residuals, a 1x1 convolution, a dense layer.

        x: (N, H, W, C)      returns (N, classes), or (N, 1280 * width) without classes
        features=True        returns the 5 maps before each halving and the last, at 1/2 to 1/32 of
                             the sizes, with 16, 24, 40, 112 and 320 channels, times width

    For images of every size. The five layers of stride 2 (kernel 3 or 5, the same padding on both
    sides) drop the last row of the padding of an even size.

    Args:
      in_channels: C.
      classes: the number of outputs; None for the means of the last channels.
      width, depth: the factors on the channels and on the blocks of a row.
      dropout: the share of means that training sets to zero.
      norm: as in :class:`jaxcnn.nn.ConvNorm`.
      rngs: random streams.

    Weights of timm are those of its efficientnet_b0 and the like. Its tf_efficientnet_b0 and the
    like have the same keys, but another padding (SAME) and another epsilon: they would give other
    outputs here.

    Source: Tan and Le, arXiv:1905.11946, table 1 and section 5.2.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int | None,
        *,
        width: float,
        depth: float,
        dropout: float,
        norm: Callable[..., nnx.Module] = BatchNorm,
        rngs: nnx.Rngs,
    ) -> None:
        act = {"activation": "silu", "norm": norm, "rngs": rngs}
        before = first = multiple_of_8(32 * width)
        self.stem = ConvNorm(
            in_channels, first, (3, 3), stride=2, padding=1, rounding="floor", **act
        )
        rows = []
        for expansion, size, base, blocks, stride in ROWS:
            channels = multiple_of_8(base * width)
            rows.append([])
            for i in range(math.ceil(blocks * depth)):
                squeeze, step = max(1, before // 4), stride if i == 0 else 1
                rows[-1].append(Block(size, expansion * before, channels, step, squeeze, "silu"))
                before = channels
        options = {"squeeze_activation": "silu", "norm": norm, "drop_rate": DROP_RATE}
        self.stages = stages_of(rows, first, rngs=rngs, **options)
        last = ConvNorm(before, 4 * before, (1, 1), **act)
        self.head = Chain([last, Classifier(4 * before, classes, dropout=dropout, rngs=rngs)])


def _built(
    input_shape: Sequence[int],
    classes: int | None,
    rngs: nnx.Rngs,
    width: float,
    depth: float,
    dropout: float,
    norm: Callable[..., nnx.Module] = BatchNorm,
) -> EfficientNet:
    shape = check_input(input_shape, classes)
    return EfficientNet(
        shape[-1], classes, width=width, depth=depth, dropout=dropout, norm=norm, rngs=rngs
    )


@suggest_keywords
def efficientnet_b0(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> EfficientNet:
    """:class:`EfficientNet` of width 1 and depth 1, for inputs (H, W, C).

    >>> from flax import nnx
    >>> model = nnx.eval_shape(lambda: efficientnet_b0((224, 224, 3), rngs=nnx.Rngs(0)))
    >>> len(model.stages), model.head[1].dense.out_features
    (5, 1000)
    """
    return _built(input_shape, classes, rngs, 1.0, 1.0, 0.2)


@suggest_keywords
def efficientnet_b1(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> EfficientNet:
    """EfficientNet-B1; called as :func:`efficientnet_b0`."""
    return _built(input_shape, classes, rngs, 1.0, 1.1, 0.2)


@suggest_keywords
def efficientnet_b2(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> EfficientNet:
    """EfficientNet-B2; called as :func:`efficientnet_b0`."""
    return _built(input_shape, classes, rngs, 1.1, 1.2, 0.3)


@suggest_keywords
def efficientnet_b3(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> EfficientNet:
    """EfficientNet-B3; called as :func:`efficientnet_b0`."""
    return _built(input_shape, classes, rngs, 1.2, 1.4, 0.3)


@suggest_keywords
def efficientnet_b4(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> EfficientNet:
    """EfficientNet-B4; called as :func:`efficientnet_b0`."""
    return _built(input_shape, classes, rngs, 1.4, 1.8, 0.4)


@suggest_keywords
def efficientnet_b5(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> EfficientNet:
    """EfficientNet-B5; called as :func:`efficientnet_b0`."""
    return _built(input_shape, classes, rngs, 1.6, 2.2, 0.4, LARGE)


@suggest_keywords
def efficientnet_b6(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> EfficientNet:
    """EfficientNet-B6; called as :func:`efficientnet_b0`."""
    return _built(input_shape, classes, rngs, 1.8, 2.6, 0.5, LARGE)


@suggest_keywords
def efficientnet_b7(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> EfficientNet:
    """EfficientNet-B7; called as :func:`efficientnet_b0`."""
    return _built(input_shape, classes, rngs, 2.0, 3.1, 0.5, LARGE)


TORCHVISION: Rules = (
    (r"^stem\.", "features.0."),
    (r"^head\.0\.", "features.8."),
    (r"^head\.1\.dense$", "classifier.1"),
    (r"^stages\.(\d+)\.(\d+)", lambda found: f"features.{1 + row_of(found, ROWS_OF_STAGES)}"),
    (r"\.layers\.", ".block."),
    (r"\.conv$", ".0"),
    (r"\.norm$", ".1"),
    (r"\.squeeze$", ".fc1@4"),
    (r"\.expand$", ".fc2@4"),
)


def _published(
    build: Callable[..., EfficientNet], size: int, parameters: int, millions: int
) -> Published:
    """An entry; the numbers are those of torchvision's documentation of weights."""
    # timm's norms of B5 to B7 have another epsilon than torchvision's.
    timm = {"timm": TIMM} if size < 456 else {}
    return Published(
        build=build,
        source="Tan and Le, 2019",
        input_shape=(size, size, 3),
        parameters=parameters,
        multiply_adds=millions * 10**6,
        names={"torchvision": TORCHVISION, **timm},
    )


NETWORKS = (
    _published(efficientnet_b0, 224, 5_288_548, 386),
    _published(efficientnet_b1, 240, 7_794_184, 687),
    _published(efficientnet_b2, 288, 9_109_994, 1088),
    _published(efficientnet_b3, 300, 12_233_232, 1827),
    _published(efficientnet_b4, 380, 19_341_616, 4394),
    _published(efficientnet_b5, 456, 30_389_784, 10_266),
    _published(efficientnet_b6, 528, 43_040_704, 19_068),
    _published(efficientnet_b7, 600, 66_347_960, 37_746),
)
