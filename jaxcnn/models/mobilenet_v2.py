"""MobileNetV2: inverted residuals with linear bottlenecks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax

from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.inverted import TIMM, Block, block_of, stages_of
from jaxcnn.models.network import Chain, Classifier, Network, check_input
from jaxcnn.models.published import Published
from jaxcnn.nn import ConvNorm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flax import nnx

    from jaxcnn.models.published import Rules

ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks and stride of each row of table 2."""


class MobileNetV2(Network):
    """A 3x3 stem, seven rows of inverted residuals, a 1x1 convolution, one dense layer.

        x: (N, H, W, C)      returns (N, classes), or (N, 1280) without classes
        features=True        returns the 5 maps before each halving and the last, at 1/2 to 1/32 of
                             the sizes, with 16, 24, 32, 96 and 320 channels

    For images of every size. The five layers of stride 2 (3x3, padding 1) drop the last row of the
    padding of an even size.

    Args:
      in_channels: C.
      classes: the number of outputs; None for the means of the 1280 channels.
      rngs: random streams.

    Source: Sandler et al., arXiv:1801.04381, table 2.
    """

    def __init__(self, in_channels: int, classes: int | None, *, rngs: nnx.Rngs) -> None:
        act = {"activation": jax.nn.relu6, "rngs": rngs}
        window = {"stride": 2, "padding": 1, "rounding": "floor"}
        self.stem = ConvNorm(in_channels, 32, (3, 3), **window, **act)
        rows, before = [], 32
        for expansion, channels, depth, stride in ROWS:
            rows.append([])
            for i in range(depth):
                hidden, step = expansion * before, stride if i == 0 else 1
                rows[-1].append(Block(3, hidden, channels, step, 0, jax.nn.relu6))
                before = channels
        self.stages = stages_of(rows, 32, rngs=rngs)
        last = ConvNorm(before, 1280, (1, 1), **act)
        self.head = Chain([last, Classifier(1280, classes, dropout=0.2, rngs=rngs)])


@suggest_keywords
def mobilenet_v2(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> MobileNetV2:
    """:class:`MobileNetV2` for inputs (H, W, C).

    >>> from flax import nnx
    >>> model = nnx.eval_shape(lambda: mobilenet_v2((224, 224, 3), rngs=nnx.Rngs(0)))
    >>> len(model.stages)
    5
    """
    shape = check_input(input_shape, classes)
    return MobileNetV2(shape[-1], classes, rngs=rngs)


DEPTHS = ((1,), (2,), (3,), (4, 3), (3, 1))
"""The blocks of each row of each stage."""

TORCHVISION: Rules = (
    (r"^stem\.", "features.0."),
    (r"^head\.0\.", "features.18."),
    (r"^head\.1\.dense$", "classifier.1"),
    (
        r"^stages\.(\d+)\.(\d+)\.(\d+)\.layers",
        lambda found: f"features.{1 + block_of(found, DEPTHS)}.conv",
    ),
    # The projection, the last layer of a block, is not a block of its own there.
    (r"^features\.1\.conv\.1\.conv$", "features.1.conv.1"),
    (r"^features\.1\.conv\.1\.norm$", "features.1.conv.2"),
    (r"\.2\.conv$", ".2"),
    (r"\.2\.norm$", ".3"),
    (r"\.conv$", ".0"),
    (r"\.norm$", ".1"),
)

NETWORKS = (
    Published(
        build=mobilenet_v2,
        source="Sandler et al., 2018",
        parameters=3_504_872,
        multiply_adds=301_000_000,
        names={"torchvision": TORCHVISION, "timm": TIMM},
    ),
)
"""The numbers are those of torchvision's documentation of weights."""
