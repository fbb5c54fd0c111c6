"""Residual networks: ResNet, ResNeXt and Wide ResNet."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
from flax import nnx

from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.network import Chain, Classifier, Network, check_input
from jaxcnn.models.published import Published
from jaxcnn.nn import ConvNorm, MaxPool, SqueezeExcite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxcnn.models.published import Rules

STEM_CHANNELS = 64


class BasicBlock(nnx.Module):
    """relu(conv2(relu(conv1(x))) + shortcut(x)), where each convolution is normalised.

        x: (N, H, W, in_channels)      returns (N, ceil(H/stride), ceil(W/stride), out_channels)

    The shortcut is a 1x1 convolution if the stride or the number of channels changes, else x.

    Args:
      in_channels, out_channels: channels of input and output.
      stride: of the first convolution and of the shortcut.
      rngs: random streams for the parameters.

    Source: He et al., arXiv:1512.03385, figure 5 on the left.

    >>> import jax.numpy as jnp
    >>> x = jnp.ones((2, 9, 12, 4))
    >>> nnx.eval_shape(lambda: BasicBlock(4, 8, stride=2, rngs=nnx.Rngs(0))(x)).shape
    (2, 5, 6, 8)
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int = 1, rngs: nnx.Rngs
    ) -> None:
        conv = partial(ConvNorm, kernel_size=(3, 3), padding=1, rngs=rngs)
        self.conv1 = conv(
            in_channels, out_channels, stride=stride, rounding="floor", activation="relu"
        )
        self.conv2 = conv(out_channels, out_channels)
        self.shortcut = projection(in_channels, out_channels, stride, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.conv2(self.conv1(x))
        return jax.nn.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class Bottleneck(nnx.Module):
    """relu(conv3(gate(relu(conv2(relu(conv1(x)))))) + shortcut(x)): 1x1, 3x3 and 1x1 cells.

        x: (N, H, W, in_channels)      returns (N, ceil(H/stride), ceil(W/stride), out_channels)

    Each convolution is normalised; the shortcut is that of :class:`BasicBlock`. The 3x3 convolution
    has the stride, as in torchvision; in the paper's text it is the first one.

    Args:
      in_channels, channels, out_channels: channels of the input, of the 3x3 convolution, of the
        output.
      stride, groups: of the 3x3 convolution.
      squeeze_channels: if not 0, the gate is a :class:`jaxcnn.nn.SqueezeExcite` with these.
      rngs: random streams for the parameters.

    Source: He et al., arXiv:1512.03385, figure 5 on the right; with groups, Xie et al.,
    arXiv:1611.05431, figure 3(c).

    >>> import jax.numpy as jnp
    >>> x = jnp.ones((2, 9, 12, 4))
    >>> nnx.eval_shape(lambda: Bottleneck(4, 8, 16, stride=2, groups=2, rngs=nnx.Rngs(0))(x)).shape
    (2, 5, 6, 16)
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        groups: int = 1,
        squeeze_channels: int = 0,
        rngs: nnx.Rngs,
    ) -> None:
        self.conv1 = ConvNorm(in_channels, channels, (1, 1), activation="relu", rngs=rngs)
        self.conv2 = ConvNorm(
            channels,
            channels,
            (3, 3),
            stride=stride,
            padding=1,
            groups=groups,
            rounding="floor",
            activation="relu",
            rngs=rngs,
        )
        gated = squeeze_channels > 0
        self.gate = SqueezeExcite(channels, squeeze_channels, rngs=rngs) if gated else None
        self.conv3 = ConvNorm(channels, out_channels, (1, 1), rngs=rngs)
        self.shortcut = projection(in_channels, out_channels, stride, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.conv2(self.conv1(x))
        y = self.conv3(y if self.gate is None else self.gate(y))
        return jax.nn.relu(y + (x if self.shortcut is None else self.shortcut(x)))


def projection(in_channels: int, out_channels: int, stride: int, rngs: nnx.Rngs) -> ConvNorm | None:
    """The shortcut's 1x1 convolution; None if the shortcut is x itself."""
    if stride == 1 and in_channels == out_channels:
        return None
    return ConvNorm(in_channels, out_channels, (1, 1), stride=stride, rounding="floor", rngs=rngs)


def large_stem(in_channels: int, rngs: nnx.Rngs) -> Chain:
    """A 7x7 convolution and a max pool, each with stride 2: a map of a quarter of the sizes."""
    conv = ConvNorm(
        in_channels,
        STEM_CHANNELS,
        (7, 7),
        stride=2,
        padding=3,
        rounding="floor",
        activation="relu",
        rngs=rngs,
    )
    return Chain([conv, MaxPool((3, 3), stride=2, padding=1, rounding="floor")])


class ResNet(Network):
    """A stem, four stages of blocks, the means of the channels, a dense layer.

        x: (N, H, W, C)      returns (N, classes)
        features=True        maps of 1/4, 1/8, 1/16 and 1/32 of the sizes, rounded up

    Args:
      input_shape: (H, W, C), of any size.
      classes: the number of outputs; None returns the means.
      depths: the number of blocks of each stage.
      channels: channels of the first stage's 3x3 convolutions in bottlenecks, doubled from stage to
        stage; None takes :class:`BasicBlock`.
      groups: of the 3x3 convolutions in bottlenecks.
      rngs: random streams for the parameters.

    Source: He et al., arXiv:1512.03385, table 1.

    >>> import jax.numpy as jnp
    >>> network = nnx.eval_shape(lambda: ResNet((64, 64, 3), 10, (1, 1, 1, 1), rngs=nnx.Rngs(0)))
    >>> maps = nnx.eval_shape(lambda m: m(jnp.ones((2, 71, 65, 3)), features=True), network)
    >>> [feature_map.shape for feature_map in maps]
    [(2, 18, 17, 64), (2, 9, 9, 128), (2, 5, 5, 256), (2, 3, 3, 512)]
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int | None,
        depths: Sequence[int],
        *,
        channels: int | None = None,
        groups: int = 1,
        rngs: nnx.Rngs,
    ) -> None:
        self.stem = large_stem(input_shape[-1], rngs)
        before, stages = STEM_CHANNELS, []
        for i, depth in enumerate(depths):
            wide = 2**i
            after = STEM_CHANNELS * wide * (1 if channels is None else 4)
            blocks = []
            for j in range(depth):
                stride = 2 if i and not j else 1
                if channels is None:
                    block = BasicBlock(before, after, stride=stride, rngs=rngs)
                else:
                    block = Bottleneck(
                        before, channels * wide, after, stride=stride, groups=groups, rngs=rngs
                    )
                blocks.append(block)
                before = after
            stages.append(Chain(blocks))
        self.stages = nnx.List(stages)
        self.head = Classifier(before, classes, rngs=rngs)


@suggest_keywords
def resnet18(input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs) -> ResNet:
    """:class:`ResNet` of 8 basic blocks.

    >>> nnx.eval_shape(lambda: resnet18((64, 64, 3), 10, rngs=nnx.Rngs(0))).head.dense.out_features
    10
    """
    shape = check_input(input_shape, classes)
    return ResNet(shape, classes, (2, 2, 2, 2), rngs=rngs)


@suggest_keywords
def resnet34(input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs) -> ResNet:
    """:class:`ResNet` of 16 basic blocks; called as :func:`resnet18`."""
    shape = check_input(input_shape, classes)
    return ResNet(shape, classes, (3, 4, 6, 3), rngs=rngs)


@suggest_keywords
def resnet50(input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs) -> ResNet:
    """:class:`ResNet` of 16 bottlenecks; called as :func:`resnet18`."""
    shape = check_input(input_shape, classes)
    return ResNet(shape, classes, (3, 4, 6, 3), channels=64, rngs=rngs)


@suggest_keywords
def resnet101(input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs) -> ResNet:
    """:class:`ResNet` of 33 bottlenecks; called as :func:`resnet18`."""
    shape = check_input(input_shape, classes)
    return ResNet(shape, classes, (3, 4, 23, 3), channels=64, rngs=rngs)


@suggest_keywords
def resnet152(input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs) -> ResNet:
    """:class:`ResNet` of 50 bottlenecks; called as :func:`resnet18`."""
    shape = check_input(input_shape, classes)
    return ResNet(shape, classes, (3, 8, 36, 3), channels=64, rngs=rngs)


@suggest_keywords
def resnext50_32x4d(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> ResNet:
    """ResNeXt: a :func:`resnet50` with 3x3 convolutions of 32 groups, twice as wide.

    It is called as :func:`resnet18`.

    It is called as :func:`resnet18`.

    Source: Xie et al., arXiv:1611.05431, table 1.
    """
    shape = check_input(input_shape, classes)
    return ResNet(shape, classes, (3, 4, 6, 3), channels=128, groups=32, rngs=rngs)


@suggest_keywords
def wide_resnet50_2(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> ResNet:
    """Wide ResNet: a :func:`resnet50` with 3x3 convolutions twice as wide.

    It is called as :func:`resnet18`.

    It is called as :func:`resnet18`.

    Source: Zagoruyko and Komodakis, arXiv:1605.07146.
    """
    shape = check_input(input_shape, classes)
    return ResNet(shape, classes, (3, 4, 6, 3), channels=128, rngs=rngs)


TORCHVISION: Rules = (
    (r"^stem\.0\.(conv|norm)$", r"\g<1>1"),
    (r"^stages\.(\d+)", lambda found: f"layer{int(found[1]) + 1}"),
    (r"conv(\d)\.norm$", r"bn\1"),
    (r"conv(\d)\.conv$", r"conv\1"),
    (r"shortcut\.conv$", "downsample.0"),
    (r"shortcut\.norm$", "downsample.1"),
    (r"^norm1$", "bn1"),
    (r"^head\.dense$", "fc"),
)
"""torchvision's names, and timm's."""

HUGGINGFACE: Rules = (
    (r"^stem\.0", "resnet.embedder.embedder"),
    (r"^stages\.(\d+)\.(\d+)", r"resnet.encoder.stages.\1.layers.\2"),
    (r"\.conv(\d)\.", lambda found: f".layer.{int(found[1]) - 1}."),
    (r"\.conv$", ".convolution"),
    (r"\.norm$", ".normalization"),
    (r"^head\.dense$", "classifier.1"),
)


def _published(
    build: Callable[..., ResNet], source: str, parameters: int, millions: int
) -> Published:
    """An entry; the numbers are those of torchvision's documentation of weights."""
    # Hugging Face's transformers has neither ResNeXt nor Wide ResNet.
    plain = {"huggingface": HUGGINGFACE} if build.__name__.startswith("resnet") else {}
    return Published(
        build=build,
        source=source,
        parameters=parameters,
        multiply_adds=millions * 10**6,
        names={"torchvision": TORCHVISION, "timm": TORCHVISION, **plain},
    )


NETWORKS = (
    _published(resnet18, "He et al., 2015", 11_689_512, 1814),
    _published(resnet34, "He et al., 2015", 21_797_672, 3664),
    _published(resnet50, "He et al., 2015", 25_557_032, 4089),
    _published(resnet101, "He et al., 2015", 44_549_160, 7801),
    _published(resnet152, "He et al., 2015", 60_192_808, 11_514),
    _published(resnext50_32x4d, "Xie et al., 2016", 25_028_904, 4230),
    _published(wide_resnet50_2, "Zagoruyko and Komodakis, 2016", 68_883_240, 11_398),
)
