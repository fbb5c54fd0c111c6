"""RegNet: bottlenecks whose widths follow from a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flax import nnx

from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.network import Chain, Classifier, Network, check_input
from jaxcnn.models.published import Published
from jaxcnn.models.resnet import Bottleneck
from jaxcnn.nn import ConvNorm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.models.published import Rules

STEM_CHANNELS = 32


class RegNet(Network):
    """RegNetY: a stem, four stages of bottlenecks with gates, the means, a dense layer.

        x: (N, H, W, C)      returns (N, classes)
        features=True        maps of 1/4, 1/8, 1/16 and 1/32 of the sizes, rounded up

    The blocks are :class:`jaxcnn.models.resnet.Bottleneck` with as many channels inside as outside
    and a :class:`jaxcnn.nn.SqueezeExcite`, which has a quarter of the block's input channels.

    Args:
      input_shape: (H, W, C), of any size.
      classes: the number of outputs; None returns the means.
      depths, widths: the number of blocks of each stage, and their channels.
      group_width: the channels of a group of the 3x3 convolutions.
      rngs: random streams for the parameters.

    Source: Radosavovic et al., arXiv:2003.13678, section 4 and appendix (RegNetY).

    >>> import jax.numpy as jnp
    >>> network = nnx.eval_shape(
    ...     lambda: RegNet((64, 64, 3), 10, (1, 1), (16, 32), group_width=8, rngs=nnx.Rngs(0))
    ... )
    >>> maps = nnx.eval_shape(lambda m: m(jnp.ones((2, 71, 65, 3)), features=True), network)
    >>> [feature_map.shape for feature_map in maps]
    [(2, 18, 17, 16), (2, 9, 9, 32)]
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int | None,
        depths: Sequence[int],
        widths: Sequence[int],
        *,
        group_width: int,
        rngs: nnx.Rngs,
    ) -> None:
        self.stem = ConvNorm(
            input_shape[-1],
            STEM_CHANNELS,
            (3, 3),
            stride=2,
            padding=1,
            rounding="floor",
            activation="relu",
            rngs=rngs,
        )
        before, stages = STEM_CHANNELS, []
        for depth, width in zip(depths, widths, strict=True):
            blocks = []
            for i in range(depth):
                block = Bottleneck(
                    before,
                    width,
                    width,
                    stride=1 if i else 2,
                    groups=width // group_width,
                    squeeze_channels=round(before / 4),
                    rngs=rngs,
                )
                blocks.append(block)
                before = width
            stages.append(Chain(blocks))
        self.stages = nnx.List(stages)
        self.head = Classifier(before, classes, rngs=rngs)


@suggest_keywords
def regnet_y_400mf(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> RegNet:
    """:class:`RegNet` of 0.4e9 multiply-adds: RegNetY-400MF.

    Depths, widths and group width are those of the paper's table of RegNetY models.

    >>> network = nnx.eval_shape(lambda: regnet_y_400mf((64, 64, 3), 10, rngs=nnx.Rngs(0)))
    >>> network.head.dense.kernel.shape
    (440, 10)
    """
    shape = check_input(input_shape, classes)
    depths, widths = (1, 3, 6, 6), (48, 104, 208, 440)
    return RegNet(shape, classes, depths, widths, group_width=8, rngs=rngs)


TORCHVISION: Rules = (
    (
        r"^stages\.(\d)\.(\d+)",
        lambda found: "trunk_output.block{0}.block{0}-{1}".format(int(found[1]) + 1, found[2]),
    ),
    (r"\.conv(\d)\.", lambda found: f".f.{'abc'[int(found[1]) - 1]}."),
    (r"gate\.squeeze$", "f.se.fc1@4"),
    (r"gate\.expand$", "f.se.fc2@4"),
    ("shortcut", "proj"),
    (r"\.conv$", ".0"),
    (r"\.norm$", ".1"),
    (r"^head\.dense$", "fc"),
)

TIMM: Rules = (
    (r"^stages\.(\d)\.(\d+)", lambda found: f"s{int(found[1]) + 1}.b{int(found[2]) + 1}"),
    (r"gate\.squeeze$", "se.fc1@4"),
    (r"gate\.expand$", "se.fc2@4"),
    ("shortcut", "downsample"),
    (r"\.norm$", ".bn"),
    (r"^head\.dense$", "head.fc"),
)

HUGGINGFACE: Rules = (
    ("^stem", "regnet.embedder.embedder"),
    (r"^stages\.(\d+)\.(\d+)", r"regnet.encoder.stages.\1.layers.\2"),
    (r"\.conv([12])\.", lambda found: f".layer.{int(found[1]) - 1}."),
    (r"gate\.squeeze$", "layer.2.attention.0@4"),
    (r"gate\.expand$", "layer.2.attention.2@4"),
    (r"\.conv3\.", ".layer.3."),
    (r"\.conv$", ".convolution"),
    (r"\.norm$", ".normalization"),
    (r"^head\.dense$", "classifier.1"),
)

NETWORKS = (
    # The numbers are those of torchvision's documentation of weights.
    Published(
        build=regnet_y_400mf,
        source="Radosavovic et al., 2020",
        parameters=4_344_144,
        multiply_adds=402 * 10**6,
        names={"torchvision": TORCHVISION, "timm": TIMM, "huggingface": HUGGINGFACE},
    ),
)
